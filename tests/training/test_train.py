"""What is measured and what is kept: the numbers are of clips that training did not see, the model of all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.switch_clips import HEAD, SETTINGS, make_clip
from videoseq.annotations.types import ClassNames
from videoseq.config.schema import BackboneSettings, TrainSettings
from videoseq.evaluation.evaluate import label_clips
from videoseq.evaluation.metrics import measure
from videoseq.features.backbones import load_backbone
from videoseq.models.decoding import DecodingParameters, MarkovChain
from videoseq.training.calibration import best_temperature, tempered
from videoseq.training.fit import fit
from videoseq.training.train import train_model

CLASSES = ClassNames(["off", "on"])
TRAINING = SETTINGS.model_copy(update={"max_epochs": 2, "patience": None, "time_stretch": 0.0, "noise": 0.0})


@pytest.fixture(scope="module")
def backbone():
    return load_backbone(BackboneSettings())


def train(clips, backbone, decoding=None, **data):
    settings = TrainSettings(head=HEAD, training=TRAINING, decoding=decoding or {})
    settings = settings.model_copy(update={"data": settings.data.model_copy(update=data)})
    return train_model(clips, CLASSES, settings, backbone)


def weights_of(head) -> torch.Tensor:
    return torch.cat([tensor.flatten() for name, tensor in head.state_dict().items() if name != "temperature"])


def codes(trained) -> set[str]:
    return {notice.code for notice in trained.validation.notices}


def test_where_validation_was_drawn_the_model_kept_has_seen_all_clips(backbone):
    clips = [make_clip(seed, group=f"g{seed % 4}") for seed in range(8)]
    trained = train(clips, backbone, cross_validation=None)
    assert trained.validation.measured_on == "val"
    assert "refitted_on_all_clips" in codes(trained)
    assert "measured_on_validation" not in codes(trained)  # it chose nothing
    validated = {clip.name for clip in trained.validation.evaluation.clips}
    kept = [clip for clip in clips if clip.entry.video.name not in validated]
    expected = fit([*kept, *(c for c in clips if c not in kept)], [], 2, HEAD, TRAINING).head
    assert torch.equal(weights_of(trained.contents.head), weights_of(expected))
    measured = fit(kept, [], 2, HEAD, TRAINING).head
    assert torch.equal(weights_of(trained.validation.fit.head), weights_of(measured))


def test_a_split_that_was_given_is_kept_out(backbone):
    clips = [make_clip(seed, split="val" if seed > 5 else "train") for seed in range(8)]
    trained = train(clips, backbone)
    assert torch.equal(weights_of(trained.contents.head), weights_of(trained.validation.fit.head))
    assert "refitted_on_all_clips" not in codes(trained)


def test_the_second_fit_can_be_left_out(backbone):
    trained = train(
        [make_clip(seed, group=f"g{seed % 4}") for seed in range(8)], backbone, cross_validation=None, refit=False
    )
    assert torch.equal(weights_of(trained.contents.head), weights_of(trained.validation.fit.head))


def test_test_clips_measure_the_model_that_is_kept(backbone):
    clips = [make_clip(seed, split="test" if seed > 5 else "train", group=f"g{seed}") for seed in range(8)]
    trained = train(clips, backbone)
    assert trained.validation.measured_on == "test"
    assert torch.equal(weights_of(trained.contents.head), weights_of(trained.validation.fit.head))
    everything_else = fit([clip for clip in clips if clip.entry.split == "train"], [], 2, HEAD, TRAINING).head
    assert weights_of(everything_else).shape == weights_of(trained.contents.head).shape
    assert {clip.name for clip in trained.validation.evaluation.clips} == {"clip6.mp4", "clip7.mp4"}
    assert codes(trained) == set()


def test_cross_validation_labels_each_clip_by_a_model_that_has_not_seen_its_group(backbone):
    clips = [make_clip(seed, group=f"g{seed % 3}") for seed in range(6)]
    trained = train(clips, backbone, cross_validation="groups")
    measured = trained.validation
    assert (measured.measured_on, codes(trained)) == ("cross-validation", {"cross_validated"})
    assert [fold.groups for fold in measured.folds] == [("g0",), ("g1",), ("g2",)]
    assert torch.equal(weights_of(trained.contents.head), weights_of(fit(clips, [], 2, HEAD, TRAINING).head))
    by_name = {clip.name: clip for clip in measured.evaluation.clips}
    assert sorted(by_name) == sorted(clip.entry.video.name for clip in clips)
    for group in ("g0", "g1", "g2"):
        head = fit([clip for clip in clips if clip.entry.group != group], [], 2, HEAD, TRAINING).head
        held_out = [clip for clip in clips if clip.entry.group == group]
        for video in label_clips(head, held_out, CLASSES):
            assert np.array_equal(by_name[video.name].labels, video.labels)
    frames = sum(fold.headline["model"]["num_frames"] for fold in measured.folds)
    assert frames == measured.evaluation.metrics["model"].num_frames


def test_folds_can_be_fewer_than_groups(backbone):
    clips = [make_clip(seed, group=f"g{seed}") for seed in range(6)]
    measured = train(clips, backbone, cross_validation=2).validation
    assert [len(fold.groups) for fold in measured.folds] == [3, 3]


def test_probabilities_are_calibrated_on_clips_that_were_not_learned_from(backbone):
    """The temperature of validation is the one that its clips like best, and the model that is kept has it too."""
    clips = [make_clip(seed, group=f"g{seed % 4}") for seed in range(8)]
    trained = train(clips, backbone, cross_validation=None)
    head = trained.validation.fit.head
    assert head.temperature != 1
    assert trained.contents.head.temperature == head.temperature
    loss = {}
    for factor in (0.8, 1.0, 1.25):
        scaled = [tempered(clip, factor) for clip in trained.validation.evaluation.clips]
        loss[factor] = measure(scaled, CLASSES).metrics.headline["negative_log_likelihood"].value
    assert min(loss, key=loss.get) == 1.0 or head.temperature in (0.25, 4.0)


def test_cross_validation_calibrates_on_all_clips_together_and_measures_with_what_other_groups_say(backbone):
    clips = [make_clip(seed, group=f"g{seed % 3}") for seed in range(6)]
    trained = train(clips, backbone, cross_validation="groups")
    by_group = {}
    for group in ("g0", "g1", "g2"):
        head = fit([clip for clip in clips if clip.entry.group != group], [], 2, HEAD, TRAINING).head
        by_group[group] = label_clips(head, [clip for clip in clips if clip.entry.group == group], CLASSES)
    everything = [video for videos in by_group.values() for video in videos]
    assert float(trained.contents.head.temperature) == pytest.approx(best_temperature(everything), rel=1e-6)
    measured = {clip.name: clip for clip in trained.validation.evaluation.clips}
    for group, videos in by_group.items():
        temperature = best_temperature([video for video in everything if video.group != group])
        for video in videos:
            expected = tempered(video, temperature).probabilities
            assert measured[video.name].probabilities == pytest.approx(expected, abs=1e-6)


def test_without_being_asked_it_cross_validates_where_the_clips_allow_it(backbone):
    clips = [make_clip(seed, group=f"g{seed}") for seed in range(7)]
    measured = train(clips, backbone).validation
    assert (measured.measured_on, len(measured.folds)) == ("cross-validation", 5)
    one_group = [make_clip(seed, group="g") for seed in range(2)]
    assert train(one_group, backbone).validation.measured_on == "train"
    with_split = [make_clip(seed, split="val" if seed else "train") for seed in range(2)]
    assert train(with_split, backbone).validation.measured_on == "val"
    one_shows_both = [replace(clip, targets=np.where(clip.targets >= 0, 0, -1)) for clip in clips[:2]] + clips[2:3]
    assert train(one_shows_both, backbone).validation.measured_on == "val"  # a fold without it had nothing to learn


@pytest.mark.slow
@pytest.mark.parametrize("data", [{"cross_validation": None}, {"cross_validation": "groups"}], ids=["drawn", "folds"])
def test_decoding_that_is_tuned_costs_little_and_is_kept_and_measured(backbone, data):
    clips = [make_clip(seed, group=f"g{seed % 4}") for seed in range(8)]
    plain = train(clips, backbone, **data)
    assert plain.contents.head.decoding.parameters == DecodingParameters()
    for given in ({"method": "hysteresis"}, {"method": "lag", "delay_seconds": 0.5}):
        tuned = train(clips, backbone, given, **data)
        decoding = tuned.contents.head.decoding
        assert decoding.parameters == tuned.validation.fit.head.decoding.parameters
        assert decoding.parameters.method == given["method"]
        assert torch.equal(weights_of(plain.contents.head), weights_of(tuned.contents.head))
        before, after = (trained.validation.evaluation.metrics["model"].headline for trained in (plain, tuned))
        assert after["f1_at_50"].value > before["f1_at_50"].value
        assert after["macro_f1"].value >= before["macro_f1"].value - 0.01
        for clip in tuned.validation.evaluation.clips:
            assert np.array_equal(clip.labels, _decoded(tuned.validation, clips, clip, decoding, data))


def _decoded(measured, clips, video, decoding, data):
    """The video's labels from its probabilities, by the chain of the clips that its labeler had learned from."""
    (group,) = [clip.entry.group for clip in clips if clip.entry.video.name == video.name]
    left_out = {group} if data["cross_validation"] else {video.group for video in measured.evaluation.clips}
    learned = [clip.targets for clip in clips if clip.entry.group not in left_out]
    decoder = replace(decoding, chain=MarkovChain.estimate(learned, 2, prior_power=0.5)).start(2)
    steps = np.ones(len(video.labels), np.int64)
    return np.concatenate((decoder.push(video.probabilities, steps), decoder.finish()))


def test_decoding_that_is_given_is_taken(backbone):
    clips = [make_clip(seed, group=f"g{seed % 4}") for seed in range(8)]
    trained = train(clips, backbone, {"method": "lag", "evidence_weight": 0.35, "delay_seconds": 1.0})
    expected = DecodingParameters(method="lag", evidence_weight=0.35, delay_seconds=1.0)
    for head in (trained.contents.head, trained.contents.no_context):
        assert (head.decoding.parameters, head.decoding.sample_hz) == (expected, 10.0)
        everything = MarkovChain.estimate([clip.targets for clip in clips], 2, prior_power=0.5)
        np.testing.assert_allclose(head.decoding.chain.transitions, everything.transitions)


def test_without_validation_clips_nothing_is_tuned_and_it_is_said(backbone):
    clips = [make_clip(seed, group="all") for seed in range(4)]
    trained = train(clips, backbone, {"method": "min_duration"})
    assert trained.contents.head.decoding.parameters == DecodingParameters()
    assert "decoding_not_tuned" in codes(trained)
    assert "decoding_not_tuned" not in codes(train(clips, backbone))

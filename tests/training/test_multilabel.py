"""Two things that overlap are both learned, measured, kept in a model folder, and labeled as they were measured."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.commands import check_one_line
from tests.support.model_edits import edit_tensors, refusal
from tests.support.multilabel_clips import CLIPS, label_at, write_overlapping
from tests.support.switch_clips import HEAD, SETTINGS, make_clip
from videoseq.annotations.formats import read_annotation
from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.config.runtime import RuntimeChoice
from videoseq.config.schema import BackboneSettings, DataSettings, TrainSettings
from videoseq.data.dataset import Clip
from videoseq.data.statistics import describe_clips
from videoseq.errors import AnnotationError, ModelError
from videoseq.evaluation.comparison import label_clips_as, load_previous
from videoseq.evaluation.evaluate import label_clips, label_features
from videoseq.evaluation.metrics import HEADLINES, MULTILABEL_HEADLINES
from videoseq.evaluation.metrics_json import metrics_json
from videoseq.features.backbones import load_backbone
from videoseq.features.extraction import FeatureChunk
from videoseq.inference.frame_labels import FrameLabelSets
from videoseq.inference.labels import joined_labels
from videoseq.inference.streaming import SequenceLabeler
from videoseq.models.causal_rnn import CausalRNN
from videoseq.models.ensemble import Ensemble
from videoseq.models.model_folder import load_model_folder, save_model_folder
from videoseq.training.calibration import best_thresholds, with_thresholds
from videoseq.training.fit import fit
from videoseq.training.lightning_module import loss_weights
from videoseq.training.sweep import sweep
from videoseq.training.train import train_model

CLASSES = ClassNames(["left", "right"])
TRAINING = SETTINGS.model_copy(update={"max_epochs": 12, "patience": None})


def two_switches(seed: int, group: str | None = None, split: str | None = None) -> Clip:
    """The switches of two clips at once: features show when each flips, so that both must be remembered."""
    one, other = make_clip(seed, split=split, group=group), make_clip(1000 + seed)
    features = np.concatenate((one.features.features, other.features.features), axis=1)
    targets = np.stack((one.targets, other.targets), axis=1)
    return replace(one, features=replace(one.features, features=features), targets=targets)


def settings_of(*, max_epochs: int = TRAINING.max_epochs, ensemble: int = 1, **data) -> TrainSettings:
    training = TRAINING.model_copy(update={"max_epochs": max_epochs, "ensemble": ensemble})
    return TrainSettings(head=HEAD, training=training, data=DataSettings(task="multilabel", **data))


@pytest.fixture(scope="module")
def backbone():
    return load_backbone(BackboneSettings())


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [two_switches(seed, group=f"g{seed % 4}") for seed in range(8)]


@pytest.fixture(scope="module")
def trained(clips, backbone):
    return train_model(clips, CLASSES, settings_of(cross_validation=None), backbone)


def test_both_are_learned_and_one_frame_alone_cannot_tell(trained):
    metrics = trained.validation.evaluation.metrics
    assert metrics["model"].headline["macro_f1"].value > 0.9
    assert metrics["model"].headline["exact_match"].value > 0.75
    assert metrics["no context"].headline["exact_match"].value < 0.6
    assert list(metrics) == ["model", "no context", "most frequent set"]


def test_thresholds_are_those_of_validation_and_the_model_that_is_kept_has_them(trained, clips):
    measured, kept = trained.validation.fit.head, trained.contents.head
    assert torch.equal(measured.thresholds, kept.thresholds)
    assert measured.temperature == kept.temperature
    assert "thresholds_tuned" in {notice.code for notice in trained.validation.notices}
    names = {clip.name for clip in trained.validation.evaluation.clips}
    found = label_clips(measured, [clip for clip in clips if clip.entry.video.name in names], CLASSES)
    assert best_thresholds(found, 2) == pytest.approx(measured.thresholds.numpy())
    for video, evaluated in zip(found, trained.validation.evaluation.clips, strict=True):
        assert np.array_equal(video.labels, evaluated.labels)


def test_metrics_json_names_its_task_and_has_no_more_than_has_a_meaning(trained):
    found = json.loads(json.dumps(metrics_json(trained.validation.evaluation, "val", [])))
    assert (found["task"], "background" in found) == ("multilabel", False)
    assert list(found["thresholds"]) == list(CLASSES)
    model = found["labelers"]["model"]
    assert list(model["headline"]) == list(MULTILABEL_HEADLINES)
    assert not (set(HEADLINES) - set(MULTILABEL_HEADLINES)) & set(model["headline"])
    assert set(found["videos"][0]["labelers"]["model"]) >= {"exact_match", "micro_f1"}


@pytest.fixture(scope="module")
def contents(trained):
    """The same model as it would be with features of the backbone's own size."""
    heads = [CausalRNN(trained.contents.backbone.identity.vector_size, 2, HEAD).eval() for _ in range(2)]
    for head in heads:
        head.add_thresholds()
        head.thresholds.copy_(torch.tensor([0.31, 0.62]))
    config = trained.contents.config.model_copy(update={"no_context_head": HEAD})
    return replace(trained.contents, head=heads[0], no_context=heads[1], config=config, known_groups=None)


def test_a_model_folder_gives_the_same_labels(contents, clips, tmp_path):
    wide = np.random.default_rng(0).normal(0, 3, (len(clips[0].targets), contents.head.vector_size)).astype(np.float32)
    features = replace(clips[0].features, features=wide)
    save_model_folder(contents, tmp_path / "model")
    loaded = load_model_folder(tmp_path / "model")
    assert loaded.config.settings.data.task == "multilabel"
    assert torch.equal(loaded.head.thresholds, contents.head.thresholds)
    (one,), (other,) = (list(label_features(head, features, CLASSES)) for head in
                        (loaded.head, contents.head))  # fmt: skip
    assert isinstance(one, FrameLabelSets)
    assert np.array_equal(one.probabilities, other.probabilities)
    assert np.array_equal(one.is_active, one.probabilities >= loaded.head.thresholds.numpy())
    assert 0 < one.is_active.mean() < 1


def test_frames_one_by_one_have_the_labels_of_the_whole(trained, clips):
    features, sequence = clips[0].features, SequenceLabeler(trained.contents.head)
    (whole,) = label_features(trained.contents.head, features, CLASSES)
    found = []
    for frame in range(len(features.seconds)):
        one = slice(frame, frame + 1)
        columns = np.array([frame]), features.seconds[one], features.flags[one], features.steps[one]
        found.append(sequence.label(FeatureChunk(*columns, torch.from_numpy(features.features[one])), CLASSES))
    joined = joined_labels(found, 7.0)
    assert joined.names == whole.names
    assert len(set(joined.names)) > 2
    np.testing.assert_allclose(joined.probabilities, whole.probabilities, atol=1e-6)
    assert joined.segments()[0].label == replace(whole, duration_seconds=7.0).segments()[0].label


def test_a_model_of_the_other_task_does_not_stand_beside(contents, model_folder):
    with pytest.raises(
        ModelError, match=r": expected a model of the task multilabel, as the other is, got multiclass$"
    ):
        load_previous(model_folder, contents, RuntimeChoice(device="cpu"))


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_a_threshold_that_is_none_is_refused(contents, tmp_path, value):
    save_model_folder(contents, tmp_path / "model")
    edit_tensors(tmp_path / "model", lambda tensors: tensors["head.thresholds"].fill_(value))
    assert "head: expected thresholds between 0 and 1, got " in refusal(tmp_path / "model")


def test_a_folder_without_thresholds_is_refused(contents, tmp_path):
    save_model_folder(contents, tmp_path / "model")
    edit_tensors(tmp_path / "model", lambda tensors: tensors.pop("no_context.thresholds"))
    assert "model.safetensors does not fit model.json" in refusal(tmp_path / "model")


def test_cross_validation_measures_all_clips_and_several_networks_answer_together(clips, backbone):
    trained = train_model(clips[:4], CLASSES, settings_of(max_epochs=2, cross_validation=2, ensemble=2), backbone)
    evaluation = trained.validation.evaluation
    assert len(evaluation.clips) == 4
    assert isinstance(trained.contents.head, Ensemble)
    assert evaluation.thresholds == pytest.approx(
        dict(zip(CLASSES, trained.contents.head.thresholds.tolist(), strict=True))
    )
    assert [set(fold.headline["model"]) >= {"micro_f1"} for fold in trained.validation.folds] == [True, True]
    assert set(trained.contents.config.majority_names) <= set(CLASSES)


def test_test_clips_are_measured_with_thresholds_that_they_did_not_tune(backbone):
    kinds = ["train"] * 4 + ["val", "test"]
    clips = [two_switches(seed, split=split) for seed, split in enumerate(kinds)]
    measured = train_model(clips, CLASSES, settings_of(max_epochs=2), backbone).validation
    assert (measured.measured_on, [clip.name for clip in measured.evaluation.clips]) == ("test", ["clip5.mp4"])
    assert "thresholds_tuned" not in {notice.code for notice in measured.notices}


def test_one_class_can_be_learned_and_nothing_cannot(clips, backbone):
    nothing = [replace(clip, targets=np.zeros_like(clip.targets)) for clip in clips[:2]]
    with pytest.raises(
        AnnotationError, match=r"^training clips: expected frames that have a class and frames that have not;"
    ):
        train_model(nothing, CLASSES, settings_of(), backbone)
    only = [replace(clip, targets=clip.targets[:, :1]) for clip in clips[:2]]
    assert fit(only, [], 1, HEAD, TRAINING.model_copy(update={"max_epochs": 1})).head.num_classes == 1


def test_a_model_with_its_classes_in_another_order_stands_beside(clips):
    """Its labels come out in the order that is asked for; targets are in that order already."""
    head = fit(clips, [], 2, HEAD, TRAINING.model_copy(update={"max_epochs": 1})).head
    (plain,) = label_clips(head, clips[:1], CLASSES)
    (turned,) = label_clips_as(head, clips[:1], ClassNames(["right", "left"]), CLASSES)
    assert np.array_equal(turned.labels, plain.labels[:, ::-1])
    assert np.array_equal(turned.probabilities, plain.probabilities[:, ::-1])
    assert np.array_equal(turned.targets, plain.targets)


def test_a_sweep_tries_settings(clips):
    _, trials = sweep(clips, CLASSES, settings_of(max_epochs=2), 2)
    assert all(0 < trial.macro_f1 <= 1 for trial in trials)


def test_weights_are_of_each_class_by_itself_and_damped(clips):
    """A class that is there in one frame of five: its frames weigh twice as much as the others."""
    targets = np.zeros((100, 2), np.int64)
    targets[:20, 0] = targets[:50, 1] = 1
    features = replace(
        clips[0].features, seconds=np.arange(100) / 10, flags=np.zeros(100, np.int64), steps=np.ones(100, np.int64)
    )
    weights = loss_weights([replace(clips[0], features=features, targets=targets)], 2, TRAINING)
    assert float(weights[0, 1] / weights[0, 0]) == pytest.approx(2.0)
    assert weights[1].tolist() == [1.0, 1.0]
    assert float(80 * weights[0, 0] + 20 * weights[0, 1]) == pytest.approx(100)
    plain = loss_weights(clips, 2, TRAINING.model_copy(update={"class_weighting": "none"}))
    assert plain.tolist() == [[1, 1], [1, 1]]


def test_what_was_annotated_is_counted_by_class(clips):
    targets = np.zeros_like(clips[0].targets)
    targets[10:30, 0] = targets[20:25, 1] = targets[40:45, 1] = 1
    targets[60:] = IGNORE_INDEX
    left, right = describe_clips([replace(clips[0], targets=targets)], CLASSES)
    assert (left.num_frames, left.num_bouts, left.share) == (20, 1, pytest.approx(20 / 60))
    assert (right.num_frames, right.num_bouts, right.median_bout_seconds) == (10, 2, pytest.approx(0.5))


def test_applying_the_same_thresholds_again_changes_nothing(trained):
    video = trained.validation.evaluation.clips[0]
    again = with_thresholds(video, 1.0, trained.contents.head.thresholds.double().numpy())
    assert np.array_equal(again.labels, video.labels)


# from videos to files


@pytest.mark.slow
def test_from_videos_to_labels_that_can_be_trained_on_again(call, tmp_path):
    clips = write_overlapping(tmp_path / "clips")
    model, labels, cache = tmp_path / "model", tmp_path / "labels", tmp_path / "cache"
    options = ["--set", "data.task=multilabel", "--cache", cache]
    assert call("train", clips, "--out", model, "--set", "training.max_epochs=150", *options).status == 0
    assert json.loads((model / "metrics.json").read_text(encoding="utf-8"))["task"] == "multilabel"
    ended = call("evaluate", model, clips, "--out", tmp_path / "report", "--cache", cache, "--json")
    found = json.loads(ended.out)["labelers"]["model"]["headline"]
    assert found["macro_f1"]["value"] > 0.9
    assert call("label", clips, "--model", model, "--out", labels).status == 0
    for number in range(len(CLIPS)):
        written = read_annotation(labels / f"clip{number}.mp4.frames.csv", "multilabel")
        rows = (labels / f"clip{number}.mp4.frames.csv").read_text(encoding="utf-8").splitlines()[1:]
        said = [row.split(",")[2] for row in rows]
        assert np.mean([said[frame] == label_at(number, frame) for frame in range(40)]) > 0.7
        assert written.labels <= {"lit", "square"}
        (labels / f"clip{number}.mp4.segments.csv").replace(clips / f"clip{number}.csv")
    assert call("train", clips, "--out", tmp_path / "again", "--set", "training.max_epochs=1", *options).status == 0
    check_one_line(call("evaluate", model, clips, "--background", "lit"), 2, "background: expected none, got 'lit'")

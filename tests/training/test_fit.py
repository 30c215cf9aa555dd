"""Training learns what needs memory, draws everything from its seed, and chooses by validation alone, if at all."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from tests.support.listeners import EpochListener
from tests.support.switch_clips import APPEARANCE, HEAD, SETTINGS, SIZE, make_clip, weights_of
from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.config.schema import TrainSettings
from videoseq.data.dataset import Clip
from videoseq.data.sequences import SequenceBatch
from videoseq.data.splits import split_clips
from videoseq.errors import AnnotationError, ConfigError
from videoseq.evaluation.evaluate import evaluate_heads, label_clips
from videoseq.evaluation.metrics.since_start import accuracy_since_start
from videoseq.evaluation.precision import label_agreement
from videoseq.models.causal_rnn import CausalRNN
from videoseq.training.fit import FitEnvironment, fit
from videoseq.training.lightning_module import SequenceModule

OFF, ON = 0, 1


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [make_clip(seed) for seed in range(12)]


def fit_switch(clips, head=HEAD, settings=SETTINGS):
    return fit(clips[:9], clips[9:], 2, head, settings)


@pytest.fixture(scope="module")
def fitted(clips):
    return fit_switch(clips)


def test_memory_is_learned_and_no_context_cannot(clips, fitted):
    """Unlike the chunks of training, the clips are met whole: what is learned must hold beyond a chunk."""
    baseline = fit_switch(clips, HEAD.model_copy(update={"cell": "none"}))
    unseen = [make_clip(seed, num_frames=300) for seed in (100, 101)]
    metrics = evaluate_heads(fitted.head, baseline.head, (OFF,), unseen, ClassNames(["off", "on"])).metrics
    assert metrics["model"].accuracy > 0.97
    assert metrics["no context"].accuracy < 0.75


def test_labels_stay_as_good_far_from_the_start(fitted):
    """Fifty times as far as any training clip reaches."""
    (video,) = label_clips(fitted.head, [make_clip(100, num_frames=3500)], ClassNames(["off", "on"]))
    is_right = (video.labels == video.targets).reshape(10, -1).mean(axis=1)
    assert is_right.min() > 0.97
    spans = accuracy_since_start([video])
    assert [span.num_frames for span in spans] == [10, 40, 150, 400, 2400, 500]
    assert min(span.accuracy for span in spans) > 0.95


def test_agreement_is_the_share_of_frames_with_the_same_label(clips, fitted):
    classes = ClassNames(["off", "on"])
    features = clips[0].features
    assert label_agreement(fitted.head, [(features, features)] * 3, classes) == 1.0
    silent = dataclasses.replace(features, features=np.zeros_like(features.features))
    never_switched = dataclasses.replace(clips[0], features=silent)
    (seen,) = evaluate_heads(fitted.head, fitted.head, (OFF,), [clips[0]], classes).clips
    (unseen,) = evaluate_heads(fitted.head, fitted.head, (OFF,), [never_switched], classes).clips
    expected = float((seen.labels == unseen.labels).mean())
    assert 0.1 < expected < 0.9
    assert label_agreement(fitted.head, [(features, silent)], classes) == expected


def test_the_same_seed_gives_the_same_weights_and_another_does_not(clips, fitted):
    torch.manual_seed(999)
    again = fit_switch(clips)
    other = fit_switch(clips, settings=SETTINGS.model_copy(update={"seed": 1}))
    assert torch.equal(weights_of(fitted), weights_of(again))
    assert not torch.equal(weights_of(fitted), weights_of(other))


def test_the_callers_random_state_is_left_alone(clips):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit_switch(clips, settings=SETTINGS.model_copy(update={"max_epochs": 1}))
    assert torch.equal(torch.rand(3), expected)


def test_the_epoch_with_the_lowest_validation_loss_is_kept(fitted):
    losses = [record.val_loss for record in fitted.history]
    assert fitted.best_epoch == int(np.argmin(losses))
    assert not fitted.head.training


def test_without_patience_validation_chooses_nothing(clips, fitted):
    settings = SETTINGS.model_copy(update={"max_epochs": 6, "patience": None})
    with_validation = fit(clips[:9], clips[9:], 2, HEAD, settings)
    assert with_validation.best_epoch == 5
    assert all(record.val_loss is not None for record in with_validation.history)
    assert torch.equal(weights_of(with_validation), weights_of(fit(clips[:9], [], 2, HEAD, settings)))


def test_what_a_chunk_begins_with_makes_a_difference(clips):
    settings = SETTINGS.model_copy(update={"max_epochs": 2, "patience": None})
    fits = {
        state: fit_switch(clips, settings=settings.model_copy(update={"state": state})) for state in ("carried", "zero")
    }
    assert len({tuple(weights_of(result).tolist()) for result in fits.values()}) == 2


def test_each_stream_has_a_loss_of_its_own(clips):
    """What one stream learns does not depend on the other: two streams are each fitted as if alone."""
    head = CausalRNN(SIZE, 2, HEAD.model_copy(update={"inputs": "two_streams", "difference_lags": (1,)}))
    module = SequenceModule(head, torch.ones(2), SETTINGS)
    features, targets = torch.randn(1, 6, SIZE), torch.tensor([[OFF, ON, OFF, ON, ON, OFF]])
    module.training_step(SequenceBatch(features, targets, torch.tensor([True])), 0).backward()
    alone = copy.deepcopy(head.streams["static"])
    alone.zero_grad()
    seen = features[..., :APPEARANCE]
    logits, _ = alone(torch.cat((seen, torch.diff(seen, dim=1, prepend=seen[:, :1])), dim=2), {})
    torch.nn.functional.cross_entropy(logits[0], targets[0]).backward()
    for parameter, other in zip(head.streams["static"].parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(2 * parameter.grad, other.grad)


def test_validation_stops_training(clips):
    """Validation clips whose targets are all wrong get worse from the start."""
    wrong = [Clip(clip.entry, clip.features, 1 - clip.targets) for clip in clips[9:]]
    result = fit(clips[:9], wrong, 2, HEAD, SETTINGS.model_copy(update={"patience": 3, "max_epochs": 60}))
    assert len(result.history) < 30


def test_without_validation_the_last_epoch_is_kept(clips):
    result = fit(clips, [], 2, HEAD, SETTINGS.model_copy(update={"max_epochs": 3}))
    assert (result.best_epoch, len(result.history)) == (2, 3)
    assert result.history[0].val_loss is None


def test_unlabeled_frames_teach_nothing(clips):
    """Frames whose targets are hidden may show anything: the gradient does not see them."""
    head = fit(clips[:2], [], 2, HEAD, SETTINGS.model_copy(update={"max_epochs": 1})).head
    module = SequenceModule(head, torch.ones(2), SETTINGS)
    features = torch.randn(1, 6, SIZE, requires_grad=True)
    targets = torch.tensor([[OFF, ON, OFF, IGNORE_INDEX, IGNORE_INDEX, IGNORE_INDEX]])
    module.training_step(SequenceBatch(features, targets, torch.tensor([True])), 0).backward()
    assert features.grad[0, :3].abs().sum() > 0
    assert features.grad[0, 3:].abs().sum() == 0


def test_a_chunk_without_labels_has_a_loss_of_zero(clips):
    head = fit(clips[:2], [], 2, HEAD, SETTINGS.model_copy(update={"max_epochs": 1})).head
    module = SequenceModule(head, torch.ones(2), SETTINGS)
    batch = SequenceBatch(torch.randn(1, 4, SIZE), torch.full((1, 4), IGNORE_INDEX), torch.tensor([True]))
    assert module.training_step(batch, 0).item() == 0.0


def test_class_weights_are_in_the_loss(clips):
    head = fit(clips[:2], [], 2, HEAD, SETTINGS.model_copy(update={"max_epochs": 1})).head
    batch = SequenceBatch(torch.randn(1, 2, SIZE), torch.tensor([[OFF, ON]]), torch.tensor([True]))
    modules = [SequenceModule(head, torch.tensor(weights), SETTINGS) for weights in ([1.0, 1.0], [1.0, 9.0])]
    losses = [module.training_step(batch, 0).item() for module in modules]
    log_odds = torch.log_softmax(head(batch.features)[0], dim=2)[0]
    expected = [-(log_odds[0, 0] + w * log_odds[1, 1]).item() / (1 + w) for w in (1.0, 9.0)]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


@pytest.mark.parametrize("num_val", [0, 3])
def test_a_loss_that_explodes_is_an_error_that_names_the_setting(clips, num_val):
    huge = SETTINGS.model_copy(update={"learning_rate": 1e30, "gradient_clip_norm": 1e30, "max_epochs": 8})
    with pytest.raises(ConfigError, match=r"a finite loss, got none in epoch \d; lower training\.learning_rate"):
        fit(clips[:9], clips[:num_val], 2, HEAD, huge)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_other_cells_train_too(clips, cell):
    result = fit_switch(clips, HEAD.model_copy(update={"cell": cell, "num_layers": 2}))
    assert result.history[-1].train_loss < result.history[0].train_loss


def test_splits_follow_the_dataset_and_never_divide_a_group():
    settings, classes = TrainSettings(), ClassNames(["off", "on"])
    free = [make_clip(seed, group=f"g{seed % 4}") for seed in range(12)]
    splits = split_clips(free, classes, settings.data, settings.training.seed)
    groups = [{clip.entry.group for clip in splits[name]} for name in ("train", "val")]
    assert all(groups)
    assert not groups[0] & groups[1]
    fixed = [make_clip(seed, split=("train", "val", "test")[seed % 3]) for seed in range(9)]
    splits = split_clips(fixed, classes, settings.data, settings.training.seed)
    assert {name: len(part) for name, part in splits.items()} == {"train": 3, "val": 3, "test": 3}


def test_one_class_is_nothing_to_learn():
    from videoseq.config.schema import BackboneSettings
    from videoseq.features.backbones import load_backbone
    from videoseq.training.train import train_model

    clip = make_clip(0)
    only = Clip(clip.entry, clip.features, np.zeros_like(clip.targets))
    with pytest.raises(AnnotationError, match="two classes or more"):
        train_model([only], ClassNames(["off", "on"]), TrainSettings(), load_backbone(BackboneSettings()))


def test_a_device_without_room_gets_half_the_batch_size_and_says_so(clips, monkeypatch):
    """As with a smaller batch size from the start, with the same random draws."""
    short = SETTINGS.model_copy(update={"max_epochs": 2, "patience": None})
    head = HEAD.model_copy(update={"dropout": 0.3})
    compute = SequenceModule.training_step
    steps = []

    def with_room_for_two(module, batch, number):
        steps.append(len(batch.is_start))
        if len(steps) > 3 and len(batch.is_start) > 2:  # not in the first steps, which changed the weights
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return compute(module, batch, number)

    expected = fit(clips[:9], [], 2, head, short.model_copy(update={"batch_size": 2}))
    monkeypatch.setattr(SequenceModule, "training_step", with_room_for_two)
    listener = EpochListener()
    found = fit(clips[:9], [], 2, head, short, environment=FitEnvironment(listener=listener))
    assert torch.equal(weights_of(found), weights_of(expected))
    assert {notice.code for notice in listener.notices} == {"batch_size_halved"}
    assert "fitted with training.batch_size=2" in listener.notices[0].message
    monkeypatch.setattr(SequenceModule, "training_step", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("")))
    with pytest.raises(ConfigError, match=r"room for one video on cpu, got none; lower training\.tbptt_steps"):
        fit(clips[:9], [], 2, head, short)

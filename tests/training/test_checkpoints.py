"""A training that was interrupted goes on to the same bits; what is kept of it is durable, and of no other training."""

from __future__ import annotations

import hashlib
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.interruption import PowerCutError, environment_at
from tests.support.listeners import EpochListener
from tests.support.switch_clips import HEAD, SETTINGS, make_clip, weights_of
from videoseq.annotations.types import ClassNames
from videoseq.config.schema import BackboneSettings, TrainerSettings, TrainSettings
from videoseq.errors import ConfigError, OutputError
from videoseq.features.backbones import load_backbone
from videoseq.training import checkpoints
from videoseq.training.checkpoints import CheckpointFolder, remove_checkpoints, training_digest
from videoseq.training.fit import FitEnvironment, fit
from videoseq.training.train import train_model

CLIPS = [make_clip(seed) for seed in range(6)]
HEAD_WITH_DROPOUT = HEAD.model_copy(update={"dropout": 0.3, "components": 4})
CHANGED = {"max_epochs": 5, "patience": 3, "ensemble": 2, "time_stretch": 0.2, "noise": 0.1, "tbptt_steps": 32}
TRAINING = SETTINGS.model_copy(update=CHANGED)


def fit_clips(environment: FitEnvironment, stop_at: tuple[int, int] | None = None):
    """A fit that is interrupted at the end of an epoch of a member, and the epochs that it went through."""
    epochs = []

    def on_epoch(_, record):
        epochs.append((record.member, record.epoch))
        if epochs[-1] == stop_at:
            raise PowerCutError

    try:
        environment = replace(environment, listener=EpochListener(on_epoch))
        fitted = fit(CLIPS[:4], CLIPS[4:], 2, HEAD_WITH_DROPOUT, TRAINING, environment=environment)
    except PowerCutError:
        fitted = None
    return fitted, epochs


@pytest.fixture(scope="module")
def undisturbed():
    return fit_clips(FitEnvironment())


@pytest.mark.parametrize("stop_at", [(0, 0), (0, 3), (1, 2)])
def test_an_interrupted_fit_goes_on_to_the_same_bits(tmp_path, undisturbed, stop_at):
    """Dropout, order, speed and noise of the clips, schedule, patience and the best epoch so far: all go on."""
    whole, all_epochs = undisturbed
    assert len(all_epochs) == 10  # the validation loss falls, so that patience does not end it before
    stopped, epochs = fit_clips(environment_at(tmp_path), stop_at)
    assert stopped is None
    assert epochs == all_epochs[: all_epochs.index(stop_at) + 1]
    resumed, rest = fit_clips(environment_at(tmp_path, may_resume=True))
    # The epoch at whose end the power went is repeated; of a member that was fitted, the last epoch is shown.
    assert rest == ([(0, 4)] if stop_at[0] else []) + all_epochs[all_epochs.index(stop_at) :]
    assert torch.equal(weights_of(resumed), weights_of(whole))
    assert (resumed.history, resumed.best_epoch) == (whole.history, whole.best_epoch)


def test_keeping_changes_nothing_and_a_fit_that_is_done_is_not_repeated(tmp_path, undisturbed):
    kept, epochs = fit_clips(environment_at(tmp_path))
    assert (torch.equal(weights_of(kept), weights_of(undisturbed[0])), epochs) == (True, undisturbed[1])
    again, shown = fit_clips(environment_at(tmp_path, may_resume=True))
    assert shown == [(0, 4), (1, 4)]
    assert torch.equal(weights_of(again), weights_of(kept))


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{"cross_validation": None}, {"cross_validation": 2}])
def test_a_training_goes_on_wherever_it_was(tmp_path, changed):
    """In the head, the baseline, the second fit on all clips, and any fold."""
    clips = [make_clip(seed, group=f"g{seed % 3}") for seed in range(6)]
    settings = TrainSettings(head=HEAD, training=SETTINGS.model_copy(update={"max_epochs": 2, "patience": None}))
    settings = settings.model_copy(update={"data": settings.data.model_copy(update=changed)})
    backbone, classes = load_backbone(BackboneSettings()), ClassNames(["off", "on"])

    def train(environment: FitEnvironment, num_epochs: int = 1000):
        seen = []

        def on_epoch(name, record):
            seen.append(name)
            if len(seen) == num_epochs:
                raise PowerCutError

        environment = replace(environment, listener=EpochListener(on_epoch))
        return train_model(clips, classes, settings, backbone, environment=environment), seen

    whole, names = train(FitEnvironment())
    assert len(set(names)) == len(names) / 2 == (6 if changed["cross_validation"] else 4)
    for num_shown in (
        (3, 5, 7) if changed["cross_validation"] else (3, 5, 4)
    ):  # what was fitted before is shown by its last epoch
        with pytest.raises(PowerCutError):
            train(environment_at(tmp_path, may_resume=True), num_shown)
    resumed, shown = train(environment_at(tmp_path, may_resume=True))
    assert len(shown) < len(names)
    for one, other in (
        (whole.contents.head, resumed.contents.head),
        (whole.contents.no_context, resumed.contents.no_context),
    ):
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name]), name
    assert whole.validation.evaluation.metrics == resumed.validation.evaluation.metrics


def test_what_was_kept_is_read_without_running_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    checkpoint = CheckpointFolder(tmp_path, "d", may_resume=True).of("head")

    for body in (
        pickle.dumps({"digest": "d", "is_done": True, "state": Evil()}, protocol=2),
        b"",
        b"PK\x03\x04 no archive",
    ):
        checkpoint.path.write_bytes(hashlib.sha256(body).digest() + body)
        assert checkpoint.read(is_done=True) is None
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("place", [0, 40, -1])
def test_a_damaged_checkpoint_is_told_and_not_gone_on_with(tmp_path, place):
    folder = CheckpointFolder(tmp_path, "d", may_resume=True)
    folder.of("head").write({"weights": torch.ones(3)}, is_done=True)
    assert torch.equal(folder.of("head").read(is_done=True)["weights"], torch.ones(3))
    assert folder.of("head").read(is_done=False) is None
    stored = bytearray(folder.of("head").path.read_bytes())
    stored[place] ^= 1
    folder.of("head").path.write_bytes(stored)
    assert folder.of("head").read(is_done=True) is None
    (notice,) = folder.review()
    assert notice.code == "checkpoint_damaged"
    assert not folder.of("head").path.exists()


def test_what_another_training_has_left(tmp_path):
    left = CheckpointFolder(tmp_path, "one").of("head")
    left.write({}, is_done=True)
    assert CheckpointFolder(tmp_path, "one", may_resume=True).review() == []
    assert CheckpointFolder(tmp_path, "one", may_resume=True).num_done == 1
    with pytest.raises(ConfigError, match=r"got another's; use the same as before, or start from the beginning"):
        CheckpointFolder(tmp_path, "other", may_resume=True).review()
    (notice,) = CheckpointFolder(tmp_path, "one").review()
    assert notice.code == "not_resumed"
    assert "--resume auto would continue" in notice.message
    assert left.path.exists()  # there is time to think better of it
    assert CheckpointFolder(tmp_path, "one").of("head").read(is_done=True) is None
    (notice,) = CheckpointFolder(tmp_path, "other").review()
    assert notice.code == "checkpoints_removed"
    assert not left.path.exists()
    remove_checkpoints(tmp_path)
    assert not tmp_path.exists()


def test_where_nothing_can_be_kept_training_goes_on_and_says_so(tmp_path, undisturbed):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no folder", encoding="utf-8")
    listener = EpochListener()
    environment = replace(environment_at(in_the_way / "model.training"), listener=listener)
    fitted = fit(CLIPS[:4], CLIPS[4:], 2, HEAD_WITH_DROPOUT, TRAINING, environment=environment)
    assert torch.equal(weights_of(fitted), weights_of(undisturbed[0]))
    assert {notice.code for notice in listener.notices} == {"checkpoint_not_kept"}
    assert all(str(in_the_way) in notice.message for notice in listener.notices)


def test_what_was_written_is_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "_read_body", lambda _: b"something else")
    with pytest.raises(OutputError, match="read back is something else"):
        CheckpointFolder(tmp_path, "d").of("head").write({}, is_done=True)


def test_the_digest_is_of_all_that_a_result_depends_on():
    classes, cpu = ClassNames(["off", "on"]), torch.device("cpu")
    backbone = load_backbone(BackboneSettings()).identity

    def digest(clips=CLIPS, settings=TrainSettings(), device=cpu, num_trials=0):  # noqa: B008 (never changed)
        return training_digest(clips, classes, settings, backbone, device, num_trials)

    def changed(**parts):
        features = replace(CLIPS[0].features, **{k: v for k, v in parts.items() if k not in ("targets", "entry")})
        others = {k: v for k, v in parts.items() if k in ("targets", "entry")}
        return [replace(CLIPS[0], features=features, **others), *CLIPS[1:]]

    trainer = TrainerSettings(checkpoint_seconds=1.0)
    assert digest() == digest(settings=TrainSettings(trainer=trainer))
    others = [
        digest(CLIPS[1:]),
        digest(CLIPS[::-1]),
        digest(changed(targets=1 - CLIPS[0].targets)),
        digest(changed(features=np.zeros_like(CLIPS[0].features.features))),
        digest(changed(entry=replace(CLIPS[0].entry, group="another"))),
        digest(settings=TrainSettings(training=TRAINING)),
        digest(settings=TrainSettings(backbone=BackboneSettings(trainable=1))),
        digest(settings=TrainSettings(trainer=TrainerSettings(devices=2))),
        digest(device=torch.device("cuda")),
        digest(num_trials=3),
    ]
    assert len({digest(), *others}) == len(others) + 1

"""Several processes learn the same as one: every video is in a row of one of them, and gradients are of all rows."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.commands import Cli
from tests.support.interruption import PowerCutError
from tests.support.listeners import EpochListener
from tests.support.switch_clips import HEAD, SETTINGS, make_clip, weights_of
from videoseq.config.schema import TrainerSettings, TrainingSettings
from videoseq.data.augmentation import Augmentation
from videoseq.data.sequences import SequenceBatches
from videoseq.errors import ConfigError
from videoseq.training.checkpoints import CheckpointFolder
from videoseq.training.fit import FitEnvironment, fit
from videoseq.training.losses import chunk_loss, multilabel_chunk_loss

CLIPS = [make_clip(seed, num_frames=40 + 9 * seed) for seed in range(6)]
TRAINING = SETTINGS.model_copy(
    update={
        "max_epochs": 3,
        "batch_size": 5,
        "temporal_smoothing": 0.15,
        "noise": 0.1,
        "time_stretch": 0.2,
        "patience": None,
    }
)
TWO = FitEnvironment(trainer=TrainerSettings(devices=2))


@settings(max_examples=20)
@given(st.integers(1, 6), st.integers(1, 4), st.booleans(), st.sampled_from([0.0, 0.2]), st.integers(0, 2))
def test_the_rows_of_all_processes_are_those_of_one(batch_size, num_ranks, shuffle, noise, num_pass):
    """To the bit: no video is met twice, or left out, and what is drawn for a row is the same wherever it plays."""

    def batches(rank: int, num_ranks: int) -> list:
        found = SequenceBatches(
            CLIPS, batch_size, 16, shuffle=shuffle, seed=3, augmentation=Augmentation(noise, noise) if shuffle else None
        )
        found.share(rank, num_ranks)
        found.begin_pass(num_pass)
        return list(found)

    whole = batches(0, 1)
    parts = [batches(rank, num_ranks) for rank in range(num_ranks)]
    assert [len(part) for part in parts] == [len(whole) if rank < batch_size else 0 for rank in range(num_ranks)]
    for rank, part in enumerate(parts):
        for one, other in zip(whole, part, strict=bool(part)):
            for of_all, of_rank in zip(one, other, strict=True):
                assert torch.equal(of_all[rank::num_ranks], of_rank)


@pytest.mark.parametrize("is_multilabel", [False, True])
def test_the_losses_of_processes_add_up_to_that_of_all_rows(is_multilabel):
    """One process has one labeled step, the other many: the mean of their own means would be another number."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 9, 3, generator=generator)
    targets = torch.randint(0, 2, (4, 9, 3) if is_multilabel else (4, 9), generator=generator)
    targets[:2] = -100
    targets[0, :1] = 1
    weights = torch.rand((3, 2) if is_multilabel else (3,), generator=generator)
    told = TrainingSettings(temporal_smoothing=0.15, label_smoothing=0.1, focal_gamma=1.0)
    compute = multilabel_chunk_loss if is_multilabel else chunk_loss
    loss, weight = compute(logits, targets, weights, told)
    halves = [(logits[:, :2], targets[:2]), (logits[:, 2:], targets[2:])]
    own: list[list[torch.Tensor]] = [[], []]
    for numbers, half in zip(own, halves, strict=True):
        compute(*half, weights, told, lambda number, numbers=numbers: numbers.append(number) or number)
    sums = [sum(numbers) for numbers in zip(*own, strict=True)]
    found = []
    for half in halves:
        remaining = iter(sums)
        found.append(compute(*half, weights, told, lambda _, remaining=remaining: next(remaining)))
    torch.testing.assert_close(sum(part for part, _ in found), loss)
    for _, of_rank in found:
        torch.testing.assert_close(of_rank, weight)


def test_more_processes_than_rows():
    environment = FitEnvironment(trainer=TrainerSettings(devices=6))
    expected = r"trainer\.devices: expected no more processes than clips side by side \(5\), got 6"
    with pytest.raises(ConfigError, match=expected):
        fit(CLIPS[:5], [], 2, HEAD, TRAINING, environment=environment)


def test_bfloat16_is_taken_where_it_is_asked_for():
    environment = FitEnvironment(trainer=TrainerSettings(precision="bfloat16"))
    short = TRAINING.model_copy(update={"max_epochs": 1})
    one, other = (fit(CLIPS[:5], [], 2, HEAD, short, environment=one) for one in (FitEnvironment(), environment))
    assert other.history[0].train_loss != one.history[0].train_loss
    assert other.history[0].train_loss == pytest.approx(one.history[0].train_loss, abs=0.05)
    assert {tensor.dtype for tensor in other.head.parameters()} == {torch.float32}


@pytest.mark.slow
def test_two_processes_learn_what_one_does_and_go_on_where_they_were(tmp_path):
    """Five rows on two processes, one clip to validate on, of which the second has none: weights to 1e-5."""
    whole = fit(CLIPS[:5], CLIPS[5:], 2, HEAD, TRAINING)

    def cut(_, record):
        if record.epoch == 1:
            raise PowerCutError

    def two(may_resume: bool, on_epoch):
        trainer = TrainerSettings(devices=2, checkpoint_seconds=0.0)
        kept = CheckpointFolder(tmp_path, "digest", may_resume)
        environment = FitEnvironment(trainer=trainer, checkpoints=kept, listener=EpochListener(on_epoch))
        return fit(CLIPS[:5], CLIPS[5:], 2, HEAD, TRAINING, environment=environment)

    with pytest.raises(PowerCutError):
        two(False, cut)
    shown = []
    shared = two(True, lambda _, record: shown.append(record))
    assert shown[0].epoch == 1 or shown[0].epoch == 2  # the second epoch's end was told before the third was kept
    torch.testing.assert_close(weights_of(shared), weights_of(whole), rtol=0, atol=1e-5)
    for one, other in zip(whole.history, shared.history, strict=True):
        assert (one.train_loss, one.val_loss) == pytest.approx((other.train_loss, other.val_loss), abs=1e-5)


def test_a_process_that_dies_is_an_error_of_one_line_and_none_is_left(monkeypatch):
    from videoseq.training import distributed as ranks

    started = []
    monkeypatch.setattr(
        ranks.subprocess, "Popen", lambda *a, real=ranks.subprocess.Popen, **k: _kept(started, real(*a, **k))
    )
    killer = threading.Thread(
        target=lambda: (_until(lambda: len(started) == 2), os.kill(started[1].pid, signal.SIGKILL))
    )
    killer.start()
    with pytest.raises(ConfigError, match=r"^training: process 1 of trainer\.devices was killed by SIGKILL; if it ran"):
        fit(CLIPS[:5], [], 2, HEAD, TRAINING, environment=TWO)
    killer.join()
    assert all(process.poll() is not None for process in started)


def _kept(started, process):
    started.append(process)
    return process


def _until(is_so) -> None:
    while not is_so():
        time.sleep(0.05)


PROBABILITY_METRICS = ("brier_score", "expected_calibration_error", "negative_log_likelihood")


@pytest.mark.slow
def test_the_command_trains_on_two_devices(cli: Cli, light_dataset, model_folder, tmp_path):
    """The features are in the cache, which the processes map; the model's labels are those of one process."""
    small = [
        "head.hidden_size=16",
        "head.projection_size=16",
        "head.dropout=0",
        "training.max_epochs=8",
        "data.refit=false",
    ]
    metrics = []
    for devices in (1, 2):
        told = [word for one in (*small, f"trainer.devices={devices}") for word in ("--set", one)]
        cache, out = model_folder.parent / "features", tmp_path / f"model{devices}"
        done = cli("train", light_dataset, "--out", out, "--cache", cache, "--device", "cpu", "--json", *told)
        assert done.returncode == 0, done.stderr
        assert not (tmp_path / f"model{devices}.training").exists()
        metrics.append(done.stdout)
    one, two = (json.loads(text)["labelers"]["model"]["headline"] for text in metrics)
    values = [{name: told["value"] for name, told in headline.items()} for headline in (one, two)]
    # Sums over processes are rounded elsewhere: probabilities differ in their last digits, labels do not.
    of_probabilities = [{name: each.pop(name) for name in PROBABILITY_METRICS} for each in values]
    assert values[0] == values[1]
    assert of_probabilities[0] == pytest.approx(of_probabilities[1], abs=1e-7)

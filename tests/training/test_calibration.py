"""Temperature and thresholds: no other value is better, and what cannot be fitted stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from tests.support.labeled_videos import joined, random_videos, video
from videoseq.annotations.types import IGNORE_INDEX
from videoseq.training.calibration import (
    best_macro_f1,
    best_thresholds,
    fit_temperature,
    multilabel_temperature,
    with_thresholds,
)


def test_without_a_labeled_frame_there_is_no_temperature():
    assert fit_temperature(np.zeros((3, 2)), np.full(3, IGNORE_INDEX)) is None


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0])
def test_a_temperature_is_found_again(temperature):
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (20_000, 4))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (p.cumsum(axis=1) < random.random((len(p), 1))).sum(axis=1)
    found = fit_temperature(temperature * logits, targets)
    assert found == pytest.approx(temperature, rel=0.05)


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.floats(0.2, 5))
def test_no_other_temperature_has_a_smaller_loss(seed, scale):
    random = np.random.default_rng(seed)
    targets = random.integers(0, 3, 100)
    logits = scale * (random.normal(0, 1, (100, 3)) + np.eye(3)[targets])

    def loss(temperature):
        return float(
            torch.nn.functional.cross_entropy(torch.from_numpy(logits / temperature), torch.from_numpy(targets))
        )

    found = fit_temperature(logits, targets)
    assert found is not None
    assert loss(found) <= min(loss(found * 1.01), loss(found / 1.01), loss(1.0)) + 1e-12


def test_unlabeled_frames_have_no_say_in_the_temperature():
    random = np.random.default_rng(0)
    targets, logits = random.integers(0, 4, 200), random.normal(0, 1, (200, 4))
    logits += 1.5 * np.eye(4)[targets]
    targets[random.random(200) < 0.2] = IGNORE_INDEX
    kept = targets != IGNORE_INDEX
    assert fit_temperature(logits, targets) == pytest.approx(fit_temperature(logits[kept], targets[kept]))


def test_logits_that_are_always_right_or_know_nothing_end_at_a_bound():
    targets = np.arange(30) % 3
    assert fit_temperature(np.eye(3)[targets], targets) == pytest.approx(0.01)
    assert fit_temperature(-np.eye(3)[targets], targets) == pytest.approx(100)
    assert fit_temperature(np.zeros((30, 3)), targets) == pytest.approx(1.0)


@settings(max_examples=20)
@given(st.integers(0, 1 << 16))
def test_no_threshold_in_hundredths_has_a_better_f1(seed):
    videos = random_videos(seed, 2, num_frames=15)
    targets, _, scores = joined(videos)
    for index, threshold in enumerate(best_thresholds(videos, 3)):
        target = targets[:, index]
        f1 = {}
        for hundredths in range(1, 100):
            said = scores[:, index] >= hundredths / 100
            f1[hundredths / 100] = 2 * (said & (target == 1)).sum() / max(1, said.sum() + target.sum())
        if 0 < target.sum() < len(target):
            best = [one for one in f1 if f1[one] >= max(f1.values()) - 1e-12]
            assert threshold in best
            assert abs(threshold - 0.5) == min(abs(one - 0.5) for one in best)
        else:
            assert threshold == 0.5


def test_thresholds_without_anything_to_tell_apart_are_a_half():
    assert best_thresholds([], 2).tolist() == [0.5, 0.5]
    one = video([[1, 0]] * 4, [[0, 0]] * 4, [[0.1, 0.9]] * 4)
    assert best_thresholds([one], 2).tolist() == [0.5, 0.5]


def test_a_class_that_is_never_sure_gets_the_threshold_that_finds_it():
    targets = [[1], [1], [0], [0]]
    one = video(targets, [[0]] * 4, [[0.3], [0.25], [0.2], [0.1]])
    assert best_thresholds([one], 1).tolist() == [0.25]
    assert with_thresholds(one, 1.0, np.array([0.25])).labels.tolist() == targets
    assert best_macro_f1([one], 1) == 1.0


def test_the_temperature_has_the_least_cross_entropy():
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (4000, 3))
    targets = (random.random(logits.shape) < 1 / (1 + np.exp(-logits / 2.0))).astype(np.int64)
    one = video(targets, targets, 1 / (1 + np.exp(-logits)))
    best = multilabel_temperature([one])
    assert best == pytest.approx(2.0, rel=0.1)
    losses = {}
    for factor in (0.9, 1.0, 1.1):
        after = with_thresholds(one, factor * best, np.full(3, 0.5))
        losses[factor] = reference.log_loss(targets.ravel(), after.probabilities.ravel())
    assert min(losses, key=losses.get) == 1.0
    assert multilabel_temperature([]) is None

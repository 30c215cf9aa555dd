"""Ranking and calibration: the numbers of scikit-learn and torchmetrics, and None where there is nothing to rank."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from torchmetrics.functional.classification import multiclass_average_precision, multiclass_calibration_error

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.evaluation.metrics.calibration import (
    calibration_counts,
    expected_calibration_error,
    reliability_curve,
)
from videoseq.evaluation.metrics.ranking import average_precision, average_precisions, ranking_counts


def random_video(seed: int, num_frames: int = 200, num_classes: int = 4, unlabeled: float = 0.2):
    """Targets, and probabilities that know something of them."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, num_classes, num_frames)
    logits = random.normal(0, 1, (num_frames, num_classes)) + 1.5 * np.eye(num_classes)[targets]
    targets[random.random(num_frames) < unlabeled] = IGNORE_INDEX
    return targets, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 12)), min_size=1, max_size=60))
def test_average_precision_is_that_of_scikit_learn_with_ties(frames):
    is_positive, scores = np.array([p for p, _ in frames]), np.array([s for _, s in frames]) / 12
    found = average_precision(is_positive, scores)
    if is_positive.any():
        assert found == pytest.approx(sk.average_precision_score(is_positive, scores))
    else:
        assert np.isnan(found)


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.integers(2, 200))
def test_calibrated_average_precision_is_that_of_the_papers_code(seed, num_frames):
    """As sums over the sorted frames, which is how the code of the OAD papers has it; no two scores are equal."""
    random = np.random.default_rng(seed)
    is_positive, scores = random.random(num_frames) < 0.3, random.permutation(num_frames) / num_frames
    found = average_precision(is_positive, scores, calibrated=True)
    if is_positive.all() or not is_positive.any():
        assert np.isnan(found)
        return
    hit = is_positive[np.argsort(-scores)].astype(float)
    weight = (1 - hit).sum() / hit.sum()
    precision = np.cumsum(hit) / (np.cumsum(hit) + np.cumsum(1 - hit) / weight)
    assert found == pytest.approx((precision * hit).sum() / hit.sum())


def test_average_precision_by_hand():
    is_positive, scores = np.array([True, False, True, False, False]), np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    assert average_precision(is_positive, scores) == pytest.approx((1 + 2 / 3) / 2)
    # w = 3 / 2: 1.5 / 1.5 and 3 / (3 + 1)
    assert average_precision(is_positive, scores, calibrated=True) == pytest.approx((1 + 3 / 4) / 2)
    assert average_precision(np.array([True, True]), np.array([0.1, 0.2])) == 1.0
    assert np.isnan(average_precision(np.zeros(0, bool), np.zeros(0)))


@pytest.mark.parametrize("calibrated", [False, True])
def test_a_rare_class_gains_by_calibration_what_chance_takes(calibrated):
    random = np.random.default_rng(0)
    is_positive, scores = random.random(20_000) < 0.02, random.random(20_000)
    expected = 0.5 if calibrated else 0.02
    assert average_precision(is_positive, scores, calibrated=calibrated) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("calibrated", [False, True])
def test_counts_of_several_videos_add_up_to_the_exact_score(calibrated):
    videos = [random_video(seed) for seed in range(5)]
    targets, probabilities = zip(*videos, strict=True)
    found = average_precisions(ranking_counts(targets, probabilities).sum(axis=0)[None], calibrated=calibrated)[0]
    t, p = np.concatenate(targets), np.concatenate(probabilities)
    kept = t != IGNORE_INDEX
    exact = [average_precision(t[kept] == c, p[kept, c], calibrated=calibrated) for c in range(4)]
    assert found.tolist() == pytest.approx(exact)
    if not calibrated:
        given_ = torch.from_numpy(p).float(), torch.from_numpy(t)
        official = multiclass_average_precision(*given_, 4, average="none", ignore_index=IGNORE_INDEX)
        assert exact == pytest.approx(official.tolist(), abs=1e-5)


@pytest.mark.parametrize("calibrated", [False, True])
def test_few_thresholds_change_the_score_by_little(calibrated):
    targets, probabilities = random_video(3, num_frames=40_000)
    counts = ranking_counts([targets], [probabilities])
    assert counts[0].sum() == 4 * (targets != IGNORE_INDEX).sum()
    found = average_precisions(counts, calibrated=calibrated)[0]
    kept = targets != IGNORE_INDEX
    for c in range(4):
        exact = average_precision(targets[kept] == c, probabilities[kept, c], calibrated=calibrated)
        assert exact - 1 / 500 <= found[c] <= exact


def test_a_class_without_frames_has_no_score():
    targets, probabilities = random_video(1)
    targets[targets == 2] = IGNORE_INDEX
    found = average_precisions(ranking_counts([targets], [probabilities]))[0]
    assert np.isnan(found[2])
    assert not np.isnan(found[[0, 1, 3]]).any()


# calibration


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 6))
def test_calibration_is_that_of_torchmetrics_and_scikit_learn(seed, num_classes):
    targets, probabilities = random_video(seed, num_classes=num_classes)
    counts = calibration_counts(targets, probabilities)
    official = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(targets), num_classes, 15, "l1", ignore_index=IGNORE_INDEX
    )
    assert expected_calibration_error(counts.bins[None])[0] == pytest.approx(float(official), abs=1e-6)
    kept = targets != IGNORE_INDEX
    num_frames, likelihood, brier = counts.losses
    assert num_frames == kept.sum()
    labels = range(num_classes)
    assert likelihood / num_frames == pytest.approx(sk.log_loss(targets[kept], probabilities[kept], labels=labels))
    onehot = np.eye(num_classes)[targets[kept]]
    assert brier / num_frames == pytest.approx(((probabilities[kept] - onehot) ** 2).sum(axis=1).mean())


def test_calibration_by_hand():
    targets = np.array([0, 1, 0, IGNORE_INDEX])
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [1.0, 0.0]])
    counts = calibration_counts(targets, probabilities)
    curve = reliability_curve(counts.bins)
    filled = {row.num_frames: (row.confidence, row.accuracy) for row in curve if row.num_frames}
    assert filled == {2: (pytest.approx(0.9), 0.5), 1: (pytest.approx(0.6), 1.0)}
    assert expected_calibration_error(counts.bins[None])[0] == pytest.approx((2 * 0.4 + 0.4) / 3)
    assert counts.losses[2] == pytest.approx(0.02 + 1.62 + 0.32)
    assert next(row for row in curve if not row.num_frames).accuracy is None
    assert (curve[0].low, curve[-1].high, len(curve)) == (0, 1, 15)


def test_bins_contain_their_upper_edge_and_certainty_is_in_the_last():
    counts = calibration_counts(np.zeros(3, np.int64), np.array([[1.0, 0.0], [0.6, 0.4], [0.600001, 0.399999]]))
    assert np.flatnonzero(counts.bins[:, 0]).tolist() == [8, 9, 14]


def test_a_probability_of_0_has_a_finite_loss():
    counts = calibration_counts(np.array([1]), np.array([[1.0, 0.0]], np.float32))
    assert 80 < counts.losses[1] < 90


def test_without_a_labeled_frame_there_is_no_calibration():
    counts = calibration_counts(np.full(3, IGNORE_INDEX), np.full((3, 2), 0.5))
    assert counts.losses.tolist() == [0, 0, 0]
    assert np.isnan(expected_calibration_error(counts.bins[None])[0])

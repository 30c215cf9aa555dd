"""The loss against its formula, written out step by step."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.config.schema import TrainingSettings
from videoseq.training.losses import chunk_loss, multilabel_chunk_loss, sqrt_inverse_weights

WEIGHTS = (0.5, 1.0, 2.0)


def slow_loss(logits: np.ndarray, targets: np.ndarray, options: TrainingSettings) -> tuple[float, float]:
    branches, videos, steps, classes = logits.shape
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    total = weight = jumps = pairs = 0.0
    for video in range(videos):
        for step in range(steps):
            target = targets[video, step]
            if target == IGNORE_INDEX:
                continue
            weight += WEIGHTS[target]
            is_pair = step > 0 and targets[video, step - 1] != IGNORE_INDEX
            pairs += is_pair
            for branch in range(branches):
                row = logs[branch, video, step]
                spread = options.label_smoothing / classes
                one = -(1 - options.label_smoothing) * WEIGHTS[target] * row[target]
                one -= sum(spread * WEIGHTS[k] * row[k] for k in range(classes))
                total += one * (1 - math.exp(row[target])) ** options.focal_gamma / branches
                if is_pair:
                    differences = row - logs[branch, video, step - 1]
                    jumps += np.minimum(differences**2, 16.0).mean() / branches
    return total + options.temporal_smoothing * weight * jumps / max(pairs, 1), weight


@settings(max_examples=40)
@given(st.integers(0, 1 << 16), st.sampled_from([0.0, 0.1]), st.sampled_from([0.0, 2.0]), st.sampled_from([0.0, 0.15]))
def test_the_loss_is_its_formula(seed, label_smoothing, focal_gamma, smoothing):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 4, (2, 3, 7, 3))
    targets = random.choice([0, 1, 2, IGNORE_INDEX], (3, 7))
    options = TrainingSettings(label_smoothing=label_smoothing, focal_gamma=focal_gamma, temporal_smoothing=smoothing)
    loss, weight = chunk_loss(
        torch.tensor(logits, dtype=torch.float32), torch.tensor(targets), torch.tensor(WEIGHTS), options
    )
    assert (float(loss), float(weight)) == pytest.approx(slow_loss(logits, targets, options), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("option", [{}, {"label_smoothing": 0.1}, {"focal_gamma": 0.5}, {"temporal_smoothing": 0.15}])
def test_unlabeled_steps_cost_nothing_and_pull_at_nothing(option):
    logits = torch.randn(2, 2, 6, 3, requires_grad=True)
    targets = torch.full((2, 6), IGNORE_INDEX)
    loss, weight = chunk_loss(logits, targets, torch.tensor(WEIGHTS), TrainingSettings(**option))
    assert (loss.item(), weight.item()) == (0.0, 0.0)
    targets[0, 2:4] = 1
    chunk_loss(logits, targets, torch.tensor(WEIGHTS), TrainingSettings(**option))[0].backward()
    assert torch.isfinite(logits.grad).all()
    pulled = (logits.grad != 0).any(dim=3)[0]
    assert pulled.nonzero().tolist() == [[0, 2], [0, 3]]


TWO_WEIGHTS = ((0.5, 2.0), (1.0, 1.0), (0.0, 3.0))


def slow_multilabel_loss(logits: np.ndarray, targets: np.ndarray, options: TrainingSettings) -> tuple[float, float]:
    branches, videos, steps, classes = logits.shape
    total = weight = jumps = pairs = 0.0
    sigmoid = 1 / (1 + np.exp(-logits))
    logs = np.stack((np.log(1 - sigmoid), np.log(sigmoid)), axis=-1)
    for video in range(videos):
        for step in range(steps):
            if targets[video, step, 0] == IGNORE_INDEX:
                continue
            is_pair = step > 0 and targets[video, step - 1, 0] != IGNORE_INDEX
            pairs += is_pair
            for k in range(classes):
                truth = targets[video, step, k]
                weight += TWO_WEIGHTS[k][truth]
                for branch in range(branches):
                    row, half = logs[branch, video, step, k], options.label_smoothing / 2
                    shares = [half, half]
                    shares[truth] += 1 - options.label_smoothing
                    one = -sum(shares[a] * TWO_WEIGHTS[k][a] * row[a] for a in (0, 1))
                    total += one * (1 - math.exp(row[truth])) ** options.focal_gamma / branches
                    if is_pair:
                        jump = np.minimum((row - logs[branch, video, step - 1, k]) ** 2, 16.0)
                        jumps += jump.mean() / branches / classes
    return total + options.temporal_smoothing * weight * jumps / max(pairs, 1), weight


@settings(max_examples=30)
@given(st.integers(0, 1 << 16), st.sampled_from([0.0, 0.1]), st.sampled_from([0.0, 2.0]), st.sampled_from([0.0, 0.15]))
def test_the_multilabel_loss_is_its_formula(seed, label_smoothing, focal_gamma, smoothing):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (2, 2, 5, 3))
    targets = random.integers(0, 2, (2, 5, 3))
    targets[random.random((2, 5)) < 0.3] = IGNORE_INDEX
    options = TrainingSettings(label_smoothing=label_smoothing, focal_gamma=focal_gamma, temporal_smoothing=smoothing)
    loss, weight = multilabel_chunk_loss(
        torch.tensor(logits, dtype=torch.float32), torch.tensor(targets), torch.tensor(TWO_WEIGHTS), options
    )
    assert (float(loss), float(weight)) == pytest.approx(
        slow_multilabel_loss(logits, targets, options), rel=1e-4, abs=1e-5
    )


def test_unweighted_it_is_torchs_binary_cross_entropy():
    logits, targets = torch.randn(1, 2, 6, 3), torch.randint(0, 2, (2, 6, 3))
    loss, weight = multilabel_chunk_loss(logits, targets, torch.ones(3, 2), TrainingSettings())
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[0], targets.float())
    torch.testing.assert_close(loss / weight, expected)


@pytest.mark.parametrize("option", [{}, {"label_smoothing": 0.1}, {"focal_gamma": 0.5}, {"temporal_smoothing": 0.15}])
def test_unlabeled_steps_of_several_classes_cost_nothing_and_pull_at_nothing(option):
    logits = torch.randn(2, 2, 6, 3, requires_grad=True)
    targets = torch.full((2, 6, 3), IGNORE_INDEX)
    loss, weight = multilabel_chunk_loss(logits, targets, torch.ones(3, 2), TrainingSettings(**option))
    assert (loss.item(), weight.item()) == (0.0, 0.0)
    targets[0, 2:4] = 1
    multilabel_chunk_loss(logits, targets, torch.ones(3, 2), TrainingSettings(**option))[0].backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad != 0).any(dim=3)[0].nonzero().tolist() == [[0, 2], [0, 3]]


@settings(max_examples=200)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=8).filter(any))
def test_weights_have_mean_1_over_the_frames_and_fall_with_the_root_of_the_frequency(counts):
    frames = np.array(counts, dtype=np.int64)
    weights = sqrt_inverse_weights(frames)
    assert np.sum(weights * frames) / frames.sum() == pytest.approx(1.0)
    assert weights[frames == 0].tolist() == [0.0] * counts.count(0)
    there = frames > 0
    ratios = weights[there] * np.sqrt(frames[there])
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-9)


def test_weights_by_hand():
    assert sqrt_inverse_weights(np.array([1, 4, 0])).tolist() == pytest.approx([5 / 3, 5 / 6, 0.0])
    assert sqrt_inverse_weights(np.array([9, 9])).tolist() == pytest.approx([1.0, 1.0])

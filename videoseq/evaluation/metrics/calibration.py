"""Whether a probability of 0.8 is right in four of five frames: counts that add up over videos."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from pydantic import BaseModel, ConfigDict

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.evaluation.metrics.ratios import known, ratio

NUM_BINS = 15
"""Equal in width, as in Guo et al. 2017."""

_MIN_PROBABILITY = float(np.finfo(np.float32).tiny)  # float32 rounds less to 0, whose logarithm is no number


class CalibrationCounts(NamedTuple):
    """Sums over the labeled frames of a video.

    Attributes:
        bins: For each bin of the label's probability: frames, frames that are right, sum of the probability.
        losses: Frames, sum of the negative log-likelihood in nats, sum of the Brier score.
    """

    bins: Float[np.ndarray, "15 3"]
    losses: Float[np.ndarray, " 3"]


class ReliabilityBin(BaseModel):
    """One point of the reliability curve: frames whose label has a probability above ``low`` and up to ``high``."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float
    num_frames: int
    confidence: float | None
    accuracy: float | None


def calibration_counts(
    targets: Int[np.ndarray, " frames"], probabilities: Float[np.ndarray, "frames classes"]
) -> CalibrationCounts:
    """What calibration is computed from; unlabeled frames are left out."""
    is_labeled = targets != IGNORE_INDEX
    target, probability = targets[is_labeled], probabilities[is_labeled].astype(np.float64)
    bins = _binned(probability.max(axis=1), probability.argmax(axis=1) == target)
    of_target = probability[np.arange(len(target)), target]
    likelihood = -np.log(np.maximum(of_target, _MIN_PROBABILITY)).sum()
    brier = np.sum(probability**2) - 2 * of_target.sum() + len(target)  # Σ (p − y)² with y one-hot
    losses = np.array([len(target), likelihood, brier], np.float64)
    return CalibrationCounts(bins, losses)


def multilabel_calibration_counts(
    targets: Int[np.ndarray, "frames classes"], probabilities: Float[np.ndarray, "frames classes"]
) -> CalibrationCounts:
    """The same for classes that overlap; each frame counts once for each class."""
    is_labeled = targets != IGNORE_INDEX
    target, probability = targets[is_labeled], probabilities[is_labeled].astype(np.float64)
    of_target = np.where(target == 1, probability, 1 - probability)
    likelihood = -np.log(np.maximum(of_target, _MIN_PROBABILITY)).sum()
    losses = np.array([len(target), likelihood, np.square(1 - of_target).sum()], np.float64)
    return CalibrationCounts(_binned(probability, target == 1), losses)


def _binned(confidence: Float[np.ndarray, " answers"], is_right: Bool[np.ndarray, " answers"]) -> np.ndarray:
    row = np.clip(np.ceil(confidence * NUM_BINS).astype(np.int64) - 1, 0, NUM_BINS - 1)
    columns = [np.bincount(row, weights, NUM_BINS) for weights in (None, is_right, confidence)]
    return np.stack(columns, axis=1).astype(np.float64)


def expected_calibration_error(bins: Num[np.ndarray, "sets 15 3"]) -> Float[np.ndarray, " sets"]:
    """Mean over frames of |accuracy − confidence| of the frame's bin (Guo et al. 2017, equation 3), from 0 to 1."""
    return ratio(np.abs(bins[..., 1] - bins[..., 2]).sum(axis=1), bins[..., 0].sum(axis=1))


def reliability_curve(bins: Num[np.ndarray, "15 3"]) -> list[ReliabilityBin]:
    """The curve of Guo et al. 2017, figure 1: accuracy against confidence, a point for each bin."""
    edges = np.linspace(0, 1, NUM_BINS + 1).tolist()
    return [
        ReliabilityBin(
            low=low,
            high=high,
            num_frames=int(frames),
            confidence=known(ratio(confidence, frames)),
            accuracy=known(ratio(right, frames)),
        )
        for low, high, (frames, right, confidence) in zip(edges[:-1], edges[1:], bins, strict=True)
    ]

"""Does a probability of 0.8 mean right four times in five? Counts that add up over videos, and one temperature."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num
from pydantic import BaseModel, ConfigDict

from videoseq.annotations import IGNORE_INDEX
from videoseq.metrics.ratios import known, ratio

NUM_BINS = 15
"""Equal in width, as in Guo et al. 2017."""

_MIN_PROBABILITY = float(np.finfo(np.float32).tiny)  # float32 rounds less to 0, whose logarithm is no number
_TEMPERATURES = (0.01, 100.0)


class CalibrationCounts(NamedTuple):
    """Sums over the labelled frames of a video.

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
    """What calibration is computed from; unlabelled frames are left out."""
    is_labelled = targets != IGNORE_INDEX
    target, probability = targets[is_labelled], probabilities[is_labelled].astype(np.float64)
    confidence, is_right = probability.max(axis=1), probability.argmax(axis=1) == target
    row = np.clip(np.ceil(confidence * NUM_BINS).astype(np.int64) - 1, 0, NUM_BINS - 1)
    columns = [np.bincount(row, weights, NUM_BINS) for weights in (None, is_right, confidence)]
    of_target = probability[np.arange(len(target)), target]
    likelihood = -np.log(np.maximum(of_target, _MIN_PROBABILITY)).sum()
    brier = np.sum(probability**2) - 2 * of_target.sum() + len(target)  # Σ (p − y)² with y one-hot
    losses = np.array([len(target), likelihood, brier], np.float64)
    return CalibrationCounts(np.stack(columns, axis=1).astype(np.float64), losses)


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


def fit_temperature(logits: Float[np.ndarray, "frames classes"], targets: Int[np.ndarray, " frames"]) -> float | None:
    """The T for which softmax(logits / T) has the least negative log-likelihood (Guo et al. 2017, section 4.2).

    The loss is convex in 1 / T; Newton's steps, halved into a bracket where they would leave it, find its only minimum.

    Args:
        logits: Of clips that were kept out of the training.
        targets: Their classes; unlabelled frames are left out.

    Returns:
        T within 0.01 to 100, the nearer end where the minimum lies outside (logits that are always right, or that know
        less than nothing); None without a labelled frame.
    """
    is_labelled = targets != IGNORE_INDEX
    if not is_labelled.any():
        return None
    z, target = logits[is_labelled].astype(np.float64), targets[is_labelled]
    z -= z.max(axis=1, keepdims=True)
    mean_right = float(z[np.arange(len(target)), target].mean())
    low, high = 1 / _TEMPERATURES[1], 1 / _TEMPERATURES[0]
    if _slope(z, mean_right, high)[0] < 0:
        return _TEMPERATURES[0]
    if _slope(z, mean_right, low)[0] > 0:
        return _TEMPERATURES[1]
    inverse = 1.0
    for _ in range(100):
        slope, curvature = _slope(z, mean_right, inverse)
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        newton = inverse - slope / curvature if curvature > 0 else inverse
        following = newton if low <= newton <= high else float(np.sqrt(low * high))
        if abs(following - inverse) <= 1e-10 * inverse:
            break
        inverse = following
    return 1 / inverse


def _slope(z: Float[np.ndarray, "frames classes"], mean_right: float, inverse: float) -> tuple[float, float]:
    """First and second derivative of the mean loss by 1 / T."""
    p = np.exp(inverse * z)
    p /= p.sum(axis=1, keepdims=True)
    mean = np.einsum("nc,nc->n", p, z)
    square = np.einsum("nc,nc,nc->n", p, z, z)
    return float(mean.mean()) - mean_right, float((square - mean**2).mean())

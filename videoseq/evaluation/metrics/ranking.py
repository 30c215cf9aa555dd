"""How well a class's probability ranks its frames above all others: average precision, plain and calibrated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from videoseq.annotations.types import IGNORE_INDEX

MAX_THRESHOLDS = 500
"""Of the curves that intervals are drawn from; with no more positive frames than that, the curve is exact."""


def average_precision(
    is_positive: Bool[np.ndarray, " frames"], scores: Float[np.ndarray, " frames"], *, calibrated: bool = False
) -> float:
    """Σ (R[n] − R[n−1]) · P[n] over falling thresholds, frames of equal score taken together, as in scikit-learn.

    ``calibrated`` weighs negatives as if there were as many as positives, so that classes of unlike frequency can be
    compared: P = w·TP / (w·TP + FP), w = negatives / positives (De Geest et al. 2016, the measure of TVSeries).

    Returns:
        The score from 0 to 1; NaN without a positive frame, and, if calibrated, without a negative one.
    """
    if not len(scores):
        return float("nan")
    true_positives, false_positives = _counts_above(is_positive, scores)
    return float(_area(true_positives[None], false_positives[None], calibrated=calibrated)[0])


def precision_recall(
    is_positive: Bool[np.ndarray, " frames"], scores: Float[np.ndarray, " frames"]
) -> tuple[Float[np.ndarray, " thresholds"], Float[np.ndarray, " thresholds"]]:
    """Precision and recall over falling thresholds, the scores that occur; there must be a positive frame."""
    true_positives, false_positives = _counts_above(is_positive, scores)
    return true_positives / (true_positives + false_positives), true_positives / true_positives[-1]


def ranking_counts(
    targets: Sequence[Int[np.ndarray, " _frames"]],
    probabilities: Sequence[Float[np.ndarray, "_frames classes"]],
    ranked: Sequence[int] | None = None,
    max_thresholds: int = MAX_THRESHOLDS,
) -> Float[np.ndarray, "videos ranked 2 bins"]:
    """Each video's positive and negative frames between thresholds that all videos share; these counts add up.

    A class's thresholds are the probabilities of its positive frames, or so many spread evenly over those, which makes
    areas under curves too low by 1 / ``max_thresholds`` at the very most. Bin 0 lies below the least of them. The
    counts are float32: they are whole numbers, exact up to 16 million frames a bin.

    Args:
        targets: Of each video.
        probabilities: Of each video, a row a frame.
        ranked: The classes that are counted; all by default.
        max_thresholds: How many thresholds a class may have.
    """
    ranked = range(probabilities[0].shape[1]) if ranked is None else ranked
    counts = np.zeros((len(targets), len(ranked), 2, max_thresholds + 1), np.float32)
    for row, c in enumerate(ranked):
        parts = [p[t == c, c] for t, p in zip(targets, probabilities, strict=True)]
        thresholds = _spread(np.concatenate(parts), max_thresholds)
        for v, (target, probability) in enumerate(zip(targets, probabilities, strict=True)):
            bins = np.searchsorted(thresholds, probability[:, c], side="right")
            for side, frames in enumerate((target == c, (target != c) & (target != IGNORE_INDEX))):
                counts[v, row, side] = np.bincount(bins[frames], minlength=max_thresholds + 1)
    return counts


def average_precisions(
    counts: Float[np.ndarray, "sets classes 2 bins"], *, calibrated: bool = False
) -> Float[np.ndarray, "sets classes"]:
    """:func:`average_precision` of summed :func:`ranking_counts`."""
    above = np.cumsum(counts[..., ::-1], axis=-1, dtype=np.float64)
    return _area(above[:, :, 0], above[:, :, 1], calibrated=calibrated)


def _counts_above(
    is_positive: Bool[np.ndarray, " frames"], scores: Float[np.ndarray, " frames"]
) -> tuple[Int[np.ndarray, " thresholds"], Int[np.ndarray, " thresholds"]]:
    """Positive and negative frames at or above each score that occurs, from the highest down."""
    order = np.argsort(scores)[::-1]
    last_of_equal = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    true_positives = np.cumsum(is_positive[order])[last_of_equal]
    return true_positives, last_of_equal + 1 - true_positives


def _spread(positives: Float[np.ndarray, " positives"], max_thresholds: int) -> Float[np.ndarray, " thresholds"]:
    values = np.sort(positives)
    if len(values) > max_thresholds:
        values = values[np.linspace(0, len(values) - 1, max_thresholds).astype(np.int64)]
    return np.unique(values)


def _area(
    true_positives: Num[np.ndarray, "*sets thresholds"],
    false_positives: Num[np.ndarray, "*sets thresholds"],
    *,
    calibrated: bool,
) -> Float[np.ndarray, "*sets"]:
    """The area from counts above falling thresholds, the last of which lets everything through."""
    num_positive, num_negative = true_positives[..., -1:], false_positives[..., -1:]
    weight = num_negative / np.maximum(num_positive, 1) if calibrated else np.ones_like(num_positive)
    found = weight * true_positives
    whole = found + false_positives
    precision = np.divide(found, whole, out=np.zeros(whole.shape), where=whole > 0)
    step = np.diff(true_positives, axis=-1, prepend=0)
    known = (num_positive > 0) & ((num_negative > 0) | (not calibrated))
    areas = np.sum(precision * step, axis=-1, keepdims=True) / np.maximum(num_positive, 1)
    return np.where(known, areas, np.nan)[..., 0]

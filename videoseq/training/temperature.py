"""One number that makes a head's probabilities mean what they say: what its logits are divided by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.evaluation.metrics.headline import LabelledVideo

_TEMPERATURES = (0.01, 100.0)
_CAUTION = 4.0
_MIN_PROBABILITY = float(np.finfo(np.float32).tiny)


def best_temperature(videos: Sequence[LabelledVideo]) -> float | None:
    """The temperature for what a head, its own being 1, said of videos that it had not learnt from.

    Returns:
        As :func:`fit_temperature`, but from 1/4 to 4: where a head is right on every one of a few clips, the best would
        have it claim certainty ever after.
    """
    known = [(video.probabilities, video.targets) for video in videos if video.probabilities is not None]
    if not known:
        return None
    probabilities, targets = (np.concatenate(column) for column in zip(*known, strict=True))
    best = fit_temperature(_logits(probabilities), targets)
    return None if best is None else cautious(best)


def cautious(temperature: float) -> float:
    """The temperature, or the nearest that few clips justify: from 1/4 to 4."""
    return min(max(temperature, 1 / _CAUTION), _CAUTION)


def tempered(video: LabelledVideo, temperature: float) -> LabelledVideo:
    """The same labels with the probabilities of a head whose logits are divided by the temperature."""
    if video.probabilities is None:
        return video
    logits = _logits(video.probabilities) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    return replace(video, probabilities=probabilities.astype(np.float32))


def _logits(probabilities: Float[np.ndarray, "frames classes"]) -> Float[np.ndarray, "frames classes"]:
    """Up to a constant of each frame."""
    logits: np.ndarray = np.log(np.maximum(probabilities.astype(np.float64), _MIN_PROBABILITY))
    return logits


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

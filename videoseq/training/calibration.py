"""What is fitted after a head's weights so that its probabilities mean what they say: temperature and thresholds.

Logits are divided by the temperature. In multilabel, a frame has a class from that class's threshold on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.evaluation.metrics.headline import LabeledVideo
from videoseq.evaluation.metrics.multilabel import class_confusions, class_f1
from videoseq.evaluation.metrics.ratios import known, known_mean, ratio
from videoseq.models.head import Head

_TEMPERATURES = (0.01, 100.0)
_CAUTION = 4.0
_MIN_PROBABILITY = float(np.finfo(np.float32).tiny)
_MAX_PROBABILITY = 1 - 2.0**-24  # the greatest float32 below 1, whose logit is a number
_THRESHOLDS = np.arange(1, 100) / 100
_USUAL = 0.5


def best_temperature(videos: Sequence[LabeledVideo]) -> float | None:
    """The temperature for videos as a head with a temperature of 1 labels them that had not learned from them.

    Returns:
        As :func:`fit_temperature`, but from 1/4 to 4: where a head is right on every frame of a few clips, the best
        temperature would make it claim certainty everywhere.
    """
    known = [(video.probabilities, video.targets) for video in videos if video.probabilities is not None]
    if not known:
        return None
    probabilities, targets = (np.concatenate(column) for column in zip(*known, strict=True))
    best = fit_temperature(_logits(probabilities), targets)
    return None if best is None else _cautious(best)


def _cautious(temperature: float) -> float:
    """The temperature, or the nearest that few clips justify: from 1/4 to 4."""
    return min(max(temperature, 1 / _CAUTION), _CAUTION)


def tempered_by_others(folds: Sequence[Sequence[LabeledVideo]]) -> list[LabeledVideo]:
    """The videos of each fold with the temperature of all other folds; of a single fold with its own.

    So no probability that is measured has a temperature that was fitted on its own group.
    """
    found = []
    for number, fold in enumerate(folds):
        others = [video for place, one in enumerate(folds) if place != number or len(folds) == 1 for video in one]
        found += [tempered(video, best_temperature(others) or 1.0) for video in fold]
    return found


def tempered(video: LabeledVideo, temperature: float) -> LabeledVideo:
    """The same labels with the probabilities of a head whose logits are divided by the temperature."""
    if video.probabilities is None:
        return video
    logits = _logits(video.probabilities) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    return replace(video, probabilities=probabilities.astype(np.float32))


def fit_temperature(logits: Float[np.ndarray, "frames classes"], targets: Int[np.ndarray, " frames"]) -> float | None:
    """The T for which softmax(logits / T) has the least negative log-likelihood (Guo et al. 2017, section 4.2).

    The loss is convex in 1 / T; Newton's steps, halved into a bracket where they would leave it, find its only minimum.

    Args:
        logits: Of clips that were kept out of the training.
        targets: Their classes; unlabeled frames are left out.

    Returns:
        T within 0.01 to 100, the nearer end where the minimum lies outside (logits that are always right, or always
        wrong); None without a labeled frame.
    """
    is_labeled = targets != IGNORE_INDEX
    if not is_labeled.any():
        return None
    z, target = logits[is_labeled].astype(np.float64), targets[is_labeled]
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


def multilabel_temperature(videos: Sequence[LabeledVideo]) -> float | None:
    """The temperature for videos as a head with a temperature of 1 labels them that had not learned from them.

    Returns:
        As :func:`best_temperature`, with binary cross-entropy over frames and classes.
    """
    known = [(video.probabilities, video.targets) for video in videos if video.probabilities is not None]
    if not known:
        return None
    probabilities, targets = (np.concatenate(column).ravel() for column in zip(*known, strict=True))
    logits = _binary_logits(probabilities)  # the logit of absence is 0
    best = fit_temperature(np.stack((np.zeros_like(logits), logits), axis=1), targets)
    return None if best is None else _cautious(best)


def best_thresholds(videos: Sequence[LabeledVideo], num_classes: int) -> Float[np.ndarray, " classes"]:
    """For each class the threshold with the best F1 on these videos, in hundredths; of equals that nearest to 0.5.

    It is 0.5 for a class that is in none of the labeled frames, or in all of them.

    Args:
        videos: As a head labels them that has its temperature and had not learned from them; there may be none.
        num_classes: How many thresholds are wanted.
    """
    thresholds = np.full(num_classes, _USUAL)
    known = [(video.probabilities, video.targets) for video in videos if video.probabilities is not None]
    if known:
        probabilities, targets = (np.concatenate(column) for column in zip(*known, strict=True))
        is_labeled = targets[:, 0] != IGNORE_INDEX
        for index in range(num_classes):
            is_there = targets[is_labeled, index] == 1
            thresholds[index] = _best_threshold(probabilities[is_labeled, index], is_there)
    return thresholds


def with_thresholds(video: LabeledVideo, temperature: float, thresholds: Float[np.ndarray, " classes"]) -> LabeledVideo:
    """What a head would have said whose logits are divided by the temperature, and which has these thresholds."""
    if video.probabilities is None:
        return video
    probabilities = 1 / (1 + np.exp(-_binary_logits(video.probabilities) / temperature))
    labels = (probabilities >= thresholds).astype(np.int64)
    return replace(video, labels=labels, probabilities=probabilities.astype(np.float32))


def best_macro_f1(videos: Sequence[LabeledVideo], num_classes: int) -> float:
    """The macro F1 of a head on these videos, with the thresholds that are best on them."""
    thresholds = best_thresholds(videos, num_classes)
    confusions = sum(class_confusions(with_thresholds(video, 1.0, thresholds)) for video in videos)
    return known(known_mean(class_f1(np.asarray(confusions)))) or 0.0


def fit_thresholds(
    heads: Mapping[str, Head], labeled: Mapping[str, Sequence[LabeledVideo]]
) -> dict[str, list[LabeledVideo]]:
    """Fits temperature and thresholds of multilabel heads, and sets them.

    Args:
        heads: By name; their temperature is still 1.
        labeled: By the same names, videos as such heads label them that had not learned from them; there may be none.

    Returns:
        The videos as the heads label them with these.
    """
    results = {}
    for name, head in heads.items():
        temperature = multilabel_temperature(labeled[name])
        head.temperature.fill_(1.0 if temperature is None else temperature)
        usual = head.thresholds
        assert usual is not None
        tempered = [with_thresholds(video, float(head.temperature), usual.double().numpy()) for video in labeled[name]]
        thresholds = best_thresholds(tempered, head.num_classes)
        usual.copy_(torch.from_numpy(thresholds))
        results[name] = [with_thresholds(video, float(head.temperature), thresholds) for video in labeled[name]]
    return results


def _logits(probabilities: Float[np.ndarray, "frames classes"]) -> Float[np.ndarray, "frames classes"]:
    """Up to a constant of each frame."""
    logits: np.ndarray = np.log(np.maximum(probabilities.astype(np.float64), _MIN_PROBABILITY))
    return logits


def _slope(z: Float[np.ndarray, "frames classes"], mean_right: float, inverse: float) -> tuple[float, float]:
    """First and second derivative of the mean loss by 1 / T."""
    p = np.exp(inverse * z)
    p /= p.sum(axis=1, keepdims=True)
    mean = np.einsum("nc,nc->n", p, z)
    square = np.einsum("nc,nc,nc->n", p, z, z)
    return float(mean.mean()) - mean_right, float((square - mean**2).mean())


def _best_threshold(probabilities: Float[np.ndarray, " frames"], is_there: Bool[np.ndarray, " frames"]) -> float:
    if is_there.all() or not is_there.any():
        return _USUAL
    found, said = (
        len(part) - np.searchsorted(part, _THRESHOLDS, side="left")
        for part in (np.sort(probabilities[is_there]), np.sort(probabilities))
    )
    f1 = ratio(2 * found, said + is_there.sum())
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(_THRESHOLDS[best[np.argmin(np.abs(_THRESHOLDS[best] - _USUAL))]])


def _binary_logits(probabilities: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    p = np.clip(probabilities.astype(np.float64), _MIN_PROBABILITY, _MAX_PROBABILITY)
    logits: np.ndarray = np.log(p) - np.log1p(-p)
    return logits

"""What is fitted after the weights of a multilabel head: one temperature, and each class's threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.evaluation.metrics.headline import LabelledVideo
from videoseq.evaluation.metrics.multilabel import class_confusions, class_f1
from videoseq.evaluation.metrics.ratios import known, known_mean, ratio
from videoseq.training.temperature import cautious, fit_temperature

_THRESHOLDS = np.arange(1, 100) / 100
_USUAL = 0.5
_ALMOST_SURE = 1 - 2.0**-24  # the greatest float32 below 1, whose logit is a number


def multilabel_temperature(videos: Sequence[LabelledVideo]) -> float | None:
    """The temperature for what a head, its own being 1, said of videos that it had not learnt from.

    Returns:
        As :func:`videoseq.training.temperature.best_temperature`, with binary cross-entropy over frames and classes.
    """
    known = [(video.probabilities, video.targets) for video in videos if video.probabilities is not None]
    if not known:
        return None
    probabilities, targets = (np.concatenate(column).ravel() for column in zip(*known, strict=True))
    logits = _logits(probabilities)  # beside 0 for a class not being there
    best = fit_temperature(np.stack((np.zeros_like(logits), logits), axis=1), targets)
    return None if best is None else cautious(best)


def best_thresholds(videos: Sequence[LabelledVideo], num_classes: int) -> Float[np.ndarray, " classes"]:
    """For each class the threshold with the best F1 on these videos, in hundredths; of equals that nearest to 0.5.

    It is 0.5 for a class that is there in none of the labelled frames, or in all of them.

    Args:
        videos: As a head labels them that has its temperature and had not learnt from them; there may be none.
        num_classes: How many thresholds are wanted.
    """
    thresholds = np.full(num_classes, _USUAL)
    known = [(video.probabilities, video.targets) for video in videos if video.probabilities is not None]
    if known:
        probabilities, targets = (np.concatenate(column) for column in zip(*known, strict=True))
        is_labelled = targets[:, 0] != IGNORE_INDEX
        for index in range(num_classes):
            is_there = targets[is_labelled, index] == 1
            thresholds[index] = _best_threshold(probabilities[is_labelled, index], is_there)
    return thresholds


def settled(video: LabelledVideo, temperature: float, thresholds: Float[np.ndarray, " classes"]) -> LabelledVideo:
    """What a head would have said whose logits are divided by the temperature, and which has these thresholds."""
    if video.probabilities is None:
        return video
    probabilities = 1 / (1 + np.exp(-_logits(video.probabilities) / temperature))
    labels = (probabilities >= thresholds).astype(np.int64)
    return replace(video, labels=labels, probabilities=probabilities.astype(np.float32))


def best_macro_f1(videos: Sequence[LabelledVideo], num_classes: int) -> float:
    """The macro F1 that a head comes to on these videos with the thresholds that are best on them."""
    thresholds = best_thresholds(videos, num_classes)
    confusions = sum(class_confusions(settled(video, 1.0, thresholds)) for video in videos)
    return known(known_mean(class_f1(np.asarray(confusions)))) or 0.0


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


def _logits(probabilities: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    p = np.clip(probabilities.astype(np.float64), np.finfo(np.float32).tiny, _ALMOST_SURE)
    logits: np.ndarray = np.log(p) - np.log1p(-p)
    return logits

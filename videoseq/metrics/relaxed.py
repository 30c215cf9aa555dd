"""The relaxed measure of the surgical phase literature, with its quirks; for comparison with printed tables only.

Many tables on Cholec80 come from ``Evaluate.m`` and ``Main.m`` of https://github.com/YuemingJin/TMRNet and copies of
them. :func:`tmrnet_compat` computes what those files compute:

1. Labels that are one phase off within 10 s of a transition are forgiven, and within the same seconds some that are two
   off: late ones (−1, −2) at a phase's start, early ones (1, 2) at its end; which phases may be two off is fixed.
2. The mask for a phase's end is made from its last 10 s but, being a logical index shorter than what it indexes,
   applied to its first 10 s. Early labels are so kept as errors, and frames at the start are forgiven for what happens
   at the end. The second mask also sees what the first has forgiven.
3. Forgiven frames count as hits of the true phase and of the labelled one, so that precision and recall can exceed
   100 %; they are cut off there, in ``Main.m``. A phase that was never labelled but forgiven has a precision of 100 %.
4. Phases absent from a video are left out of the means over videos, then means and deviations are taken over phases;
   those of accuracy over videos. (A phase that no video has is left out too; ``Main.m`` would say NaN.)

None of this makes a labeller better: compare models of your own by :mod:`videoseq.metrics.frames`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict

from videoseq.metrics.ratios import known, known_mean

NUM_PHASES = 7
RELAXED_SECONDS = 10

# By phase, counted from 0: what is forgiven of label − target at its start and at its end.
_FORGIVEN_AT_START = ((-1,), (-1,), (-1,), (-1,), (-1,), (-1, -2), (-1, -2))
_FORGIVEN_AT_END = ((1,), (1,), (1,), (1, 2), (1, 2), (1, 2), (1, 2))


class RelaxedVideo(NamedTuple):
    """What ``Evaluate.m`` says of one video, in percent, before anything is cut off; NaN for phases that are absent."""

    jaccard: Float[np.ndarray, " phases"]
    precision: Float[np.ndarray, " phases"]
    recall: Float[np.ndarray, " phases"]
    accuracy: float


class MeanAndDeviation(BaseModel):
    """In percent; the deviation is that of a sample, None of fewer than two values."""

    model_config = ConfigDict(frozen=True)

    mean: float | None
    deviation: float | None


class RelaxedMetrics(BaseModel):
    """What ``Main.m`` prints: accuracy over videos, the others over phases."""

    model_config = ConfigDict(frozen=True)

    accuracy: MeanAndDeviation
    precision: MeanAndDeviation
    recall: MeanAndDeviation
    jaccard: MeanAndDeviation


def tmrnet_compat(videos: Sequence[RelaxedVideo]) -> RelaxedMetrics:
    """The table row of a data set from its videos (``Main.m``)."""

    def over_phases(name: str) -> MeanAndDeviation:
        by_phase = np.stack([np.minimum(getattr(video, name), 100.0) for video in videos], axis=1)
        return _mean_and_deviation(known_mean(by_phase))

    return RelaxedMetrics(
        accuracy=_mean_and_deviation(np.array([video.accuracy for video in videos])),
        precision=over_phases("precision"),
        recall=over_phases("recall"),
        jaccard=over_phases("jaccard"),
    )


def tmrnet_compat_video(
    targets: Int[np.ndarray, " frames"], labels: Int[np.ndarray, " frames"], frames_per_second: int = 1
) -> RelaxedVideo:
    """One video of Cholec80 (``Evaluate.m``).

    Args:
        targets: Phases 0 to 6, in the order of the operation; every frame has one.
        labels: The same of the labeller.
        frames_per_second: Of the two; papers take 1.

    Raises:
        ValueError: A phase is none of 0 to 6, or there is no frame.
    """
    if not len(targets) or min(targets.min(), labels.min()) < 0 or max(targets.max(), labels.max()) >= NUM_PHASES:
        raise ValueError(f"expected phases 0 to {NUM_PHASES - 1} at every frame; leave unlabelled frames out")
    is_right = _forgive(targets, labels, RELAXED_SECONDS * frames_per_second)
    jaccard, precision, recall = (np.full(NUM_PHASES, np.nan) for _ in range(3))
    for phase in np.unique(targets):
        is_true, is_labelled = targets == phase, labels == phase
        union = is_true | is_labelled
        hits = int(is_right[union].sum())
        jaccard[phase] = 100 * hits / union.sum()
        recall[phase] = 100 * hits / is_true.sum()
        if is_labelled.any() or hits:
            precision[phase] = 100 * hits / is_labelled.sum() if is_labelled.any() else np.inf
    return RelaxedVideo(jaccard, precision, recall, float(100 * is_right.mean()))


def _forgive(
    targets: Int[np.ndarray, " frames"], labels: Int[np.ndarray, " frames"], num_relaxed: int
) -> Bool[np.ndarray, " frames"]:
    """Which frames count as right."""
    difference = labels - targets
    bounds = np.flatnonzero(np.diff(targets, prepend=-1, append=-1))
    for start, stop in pairwise(bounds.tolist()):
        phase, length = targets[start], min(num_relaxed, stop - start)
        first, last = difference[start : start + length], difference[stop - length : stop]
        first[np.isin(first, _FORGIVEN_AT_START[phase])] = 0
        first[np.isin(last, _FORGIVEN_AT_END[phase])] = 0  # not `last`: that is the second quirk
    is_right: np.ndarray = difference == 0
    return is_right


def _mean_and_deviation(values: Float[np.ndarray, " values"]) -> MeanAndDeviation:
    values = values[~np.isnan(values)]
    deviation = float(values.std(ddof=1)) if len(values) > 1 else None
    return MeanAndDeviation(mean=known(known_mean(values)), deviation=deviation)

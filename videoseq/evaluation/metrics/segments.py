"""Labels against targets, segment by segment: edit score and F1@k as MS-TCN's eval.py defines them.

A segment is a run of frames of one class. A frame that is unlabeled on either side is left out on both: it ends the
segments before it, and those after it are new ones, of the targets and of the labels alike. A class named as background
has no segments. (Farha & Gall 2019, https://github.com/yabufarha/ms-tcn; F1@k is from Lea et al. 2017.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from pydantic import BaseModel, ConfigDict

from videoseq.annotations.segments import Runs, find_runs
from videoseq.annotations.types import IGNORE_INDEX
from videoseq.evaluation.metrics.ratios import known, ratio

OVERLAPS = (0.10, 0.25, 0.50)
"""The k of F1@k: how much of their union two segments must share."""


class SegmentMetrics(BaseModel):
    """The segments of one class over all videos, as MS-TCN counts them."""

    model_config = ConfigDict(frozen=True)

    f1_at_10: float | None
    f1_at_25: float | None
    f1_at_50: float | None
    num_segments: int
    num_labeled_segments: int


class SegmentedVideo(NamedTuple):
    """A video's segments, and where those of equal class meet.

    Attributes:
        is_compared: Which frames are labeled on both sides.
        targets: Of the truth, by frames of the video; the values are class indices.
        labels: Of the labels.
        label: Row of ``labels``, of each pair that has a frame in common; pairs are in order of time.
        target: Row of ``targets`` of the pair.
        start: First frame that the pair shares.
        iou: Frames that it shares, of those that either covers.
    """

    is_compared: Bool[np.ndarray, " frames"]
    targets: Runs
    labels: Runs
    label: Int[np.ndarray, " pairs"]
    target: Int[np.ndarray, " pairs"]
    start: Int[np.ndarray, " pairs"]
    iou: Float[np.ndarray, " pairs"]


def segment_video(
    targets: Int[np.ndarray, " frames"], labels: Int[np.ndarray, " frames"], background: int | None = None
) -> SegmentedVideo:
    """The segments of one video; either side may hold ``IGNORE_INDEX``."""
    is_compared = (targets != IGNORE_INDEX) & (labels != IGNORE_INDEX)
    frames = np.flatnonzero(is_compared)
    target, label = targets[frames], labels[frames]
    of_targets, of_labels = find_runs(target, frames), find_runs(label, frames)
    both = find_runs(np.stack((target, label), axis=1), frames)
    hidden = IGNORE_INDEX if background is None else background
    shared = both.where((both.value[:, 0] == both.value[:, 1]) & (both.value[:, 0] != hidden))
    row_target, row_label = (np.searchsorted(s.start, shared.start, side="right") - 1 for s in (of_targets, of_labels))
    sizes, length = [s.stop - s.start for s in (of_targets, of_labels)], shared.stop - shared.start
    iou = length / (sizes[0][row_target] + sizes[1][row_label] - length)
    kept_targets, row_target = _without(of_targets, hidden, row_target)
    kept_labels, row_label = _without(of_labels, hidden, row_label)
    return SegmentedVideo(is_compared, kept_targets, kept_labels, row_label, row_target, shared.start, iou)


def segment_counts(
    video: SegmentedVideo, num_classes: int, overlaps: tuple[float, ...] = OVERLAPS
) -> Int[np.ndarray, "overlaps classes 3"]:
    """True positives, false positives and false negatives of each class; summed over videos they give F1@k.

    Each labeled segment, in order, takes the true segment of its class that it overlaps most (by intersection over
    union). It is a true positive if they overlap by k or more and none before it had that one; else a false positive.
    True segments that were not hit are false negatives.
    """
    best = np.lexsort((video.target, -video.iou, video.label))
    first = np.flatnonzero(np.diff(video.label[best], prepend=-1))
    target, iou = video.target[best][first], video.iou[best][first]
    num_labeled, num_true = (np.bincount(s.value, minlength=num_classes) for s in (video.labels, video.targets))
    counts = np.zeros((len(overlaps), num_classes, 3), np.int64)
    for i, overlap in enumerate(overlaps):
        hits = np.unique(target[iou >= overlap])
        num_hit = np.bincount(video.targets.value[hits], minlength=num_classes)
        counts[i] = np.stack((num_hit, num_labeled - num_hit, num_true - num_hit), axis=1)
    return counts


def segment_f1(counts: Num[np.ndarray, "*sets 3"]) -> Float[np.ndarray, "*sets"]:
    """F1 of true positives, false positives and false negatives; NaN where there is no segment on either side."""
    hits = 2 * counts[..., 0]
    return ratio(hits, hits + counts[..., 1] + counts[..., 2])


def edit_score(video: SegmentedVideo) -> float:
    """1 − Levenshtein distance of the sequences of segments / length of the longer one; NaN if there are no segments.

    From 0 to 1; papers give 100 times the mean over videos.
    """
    one, other = video.labels.value, video.targets.value
    longer = max(len(one), len(other))
    return 1.0 - levenshtein(one, other) / longer if longer else float("nan")


def levenshtein(one: Int[np.ndarray, " _one"], other: Int[np.ndarray, " _other"]) -> int:
    """Least number of insertions, deletions and substitutions that make two sequences equal."""
    columns = np.arange(len(other) + 1)
    row = columns
    for number, item in enumerate(one, start=1):
        changed = np.minimum(row[1:] + 1, row[:-1] + (other != item))
        # deletions along the row: row[j] = min over i ≤ j of changed[i] + j − i
        row = np.minimum.accumulate(np.append(number, changed) - columns) + columns
    return int(row[-1])


def _without(segments: Runs, hidden: int, rows: Int[np.ndarray, " pairs"]) -> tuple[Runs, Int[np.ndarray, " pairs"]]:
    """The segments without those of one class, and the new numbers of the rows that pairs name."""
    is_kept = segments.value != hidden
    return segments.where(is_kept), (np.cumsum(is_kept) - 1)[rows]


def segment_metrics(
    counts: Num[np.ndarray, "overlaps classes 3"], classes: Mapping[str, int]
) -> dict[str, SegmentMetrics]:
    """The numbers of counts, by class name; ``classes`` gives the row of each class."""
    f1 = segment_f1(counts)
    return {
        name: SegmentMetrics(
            f1_at_10=known(f1[0, i]),
            f1_at_25=known(f1[1, i]),
            f1_at_50=known(f1[2, i]),
            num_segments=int(counts[0, i, 0] + counts[0, i, 2]),
            num_labeled_segments=int(counts[0, i, 0] + counts[0, i, 1]),
        )
        for name, i in classes.items()
    }

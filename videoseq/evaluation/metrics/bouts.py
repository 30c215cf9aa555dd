"""Labels against targets in seconds: onsets and ends of bouts, detection delays, false alarms.

A bout is a segment (:mod:`videoseq.evaluation.metrics.segments`) with the times of the video's frames: it lasts from
its first frame to the frame after its last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict

from videoseq.annotations.segments import Runs
from videoseq.evaluation.metrics.ratios import known, ratio
from videoseq.evaluation.metrics.segments import SegmentedVideo

MIN_MATCH_IOU = 0.1
"""How much of their union a true and a labeled bout must share for their ends to be compared."""


class ClassSeconds(NamedTuple):
    """Any number of durations, each with the class that it belongs to."""

    class_index: Int[np.ndarray, " values"]
    seconds: Float[np.ndarray, " values"]

    def of(self, class_index: int) -> Float[np.ndarray, " values"]:
        """Those of one class."""
        of_class: np.ndarray = self.seconds[self.class_index == class_index]
        return of_class


class BoutTimes(NamedTuple):
    """The bouts of one video, or of several joined by :func:`join_bout_times`.

    Attributes:
        onset: Labeled minus true begin of matched bouts: positive is late.
        offset: The same of their ends.
        delay: From each true bout's onset to the first of its frames that was labeled so; infinite if none was.
        true: Durations of true bouts.
        labeled: Durations of labeled bouts.
        false_alarm: Durations of labeled bouts none of whose frames is of their class.
        compared_seconds: Duration of the frames that are labeled on both sides.
    """

    onset: ClassSeconds
    offset: ClassSeconds
    delay: ClassSeconds
    true: ClassSeconds
    labeled: ClassSeconds
    false_alarm: ClassSeconds
    compared_seconds: float


class BoutMetrics(BaseModel):
    """The bouts of one class over all videos; *labeled* are the model's, the others the truth's.

    Attributes:
        num_bouts: True bouts.
        num_labeled_bouts: Labeled bouts.
        total_seconds: Duration of all true bouts.
        total_labeled_seconds: Of all labeled bouts.
        mean_bout_seconds: Of a true bout.
        mean_labeled_bout_seconds: Of a labeled bout.
        num_onsets: Onsets of matched bouts that were compared.
        onset_bias_seconds: Mean of labeled minus true onset: positive is late.
        onset_error_seconds: Mean of its size.
        onset_error_median_seconds: Median of its size.
        num_offsets: Ends of matched bouts that were compared.
        offset_bias_seconds: As of onsets.
        offset_error_seconds: As of onsets.
        offset_error_median_seconds: As of onsets.
        num_detected: True bouts of which at least one frame was labeled so.
        detection_delay_seconds: Mean time from the onset of a detected bout to its first frame that was labeled so.
        detection_delay_median_seconds: Median of the same.
        num_false_alarms: Labeled bouts none of whose frames is of the class.
        false_alarms_per_hour: Of labeled video.
    """

    model_config = ConfigDict(frozen=True)

    num_bouts: int
    num_labeled_bouts: int
    total_seconds: float
    total_labeled_seconds: float
    mean_bout_seconds: float | None
    mean_labeled_bout_seconds: float | None
    num_onsets: int
    onset_bias_seconds: float | None
    onset_error_seconds: float | None
    onset_error_median_seconds: float | None
    num_offsets: int
    offset_bias_seconds: float | None
    offset_error_seconds: float | None
    offset_error_median_seconds: float | None
    num_detected: int
    detection_delay_seconds: float | None
    detection_delay_median_seconds: float | None
    num_false_alarms: int
    false_alarms_per_hour: float | None


def bout_times(video: SegmentedVideo, seconds: Float[np.ndarray, " frames"], duration_seconds: float) -> BoutTimes:
    """Compares the bouts of one video.

    A true and a labeled bout match if each overlaps no other of its class more, and their intersection over union is
    :data:`MIN_MATCH_IOU` or more. An onset is compared where the truth shows it: not at the video's first frame and not
    after an unlabeled frame, where the bout may have begun earlier. Ends likewise.

    Args:
        video: Its segments.
        seconds: The time of every frame.
        duration_seconds: The time of the end of the last frame.
    """
    edges = np.append(seconds, duration_seconds)
    true, labeled = video.targets, video.labels
    pair = _mutually_best(video)
    target, label, classes = video.target[pair], video.label[pair], true.value[video.target[pair]]
    is_compared = np.concatenate(([False], video.is_compared, [False]))
    sees_onset, sees_offset = is_compared[true.start[target]], is_compared[true.stop[target] + 1]
    onset = edges[labeled.start[label]] - edges[true.start[target]]
    offset = edges[labeled.stop[label]] - edges[true.stop[target]]
    delay = np.full(len(true.start), np.inf)
    found, first = np.unique(video.target, return_index=True)  # pairs are in order of time
    delay[found] = edges[video.start[first]] - edges[true.start[found]]
    is_alarm = ~np.isin(np.arange(len(labeled.start)), video.label)
    labeled_seconds = _durations(labeled, edges)
    return BoutTimes(
        onset=ClassSeconds(classes[sees_onset], onset[sees_onset]),
        offset=ClassSeconds(classes[sees_offset], offset[sees_offset]),
        delay=ClassSeconds(true.value, delay),
        true=_durations(true, edges),
        labeled=labeled_seconds,
        false_alarm=ClassSeconds(*(column[is_alarm] for column in labeled_seconds)),
        compared_seconds=float(np.diff(edges)[video.is_compared].sum()),
    )


def join_bout_times(videos: Sequence[BoutTimes]) -> BoutTimes:
    """The bouts of several videos as those of one."""

    def join(name: str) -> ClassSeconds:
        parts = [getattr(video, name) for video in videos]
        return ClassSeconds(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    return BoutTimes(
        onset=join("onset"),
        offset=join("offset"),
        delay=join("delay"),
        true=join("true"),
        labeled=join("labeled"),
        false_alarm=join("false_alarm"),
        compared_seconds=sum(video.compared_seconds for video in videos),
    )


def bout_metrics(times: BoutTimes, class_index: int) -> BoutMetrics:
    """The numbers of the bouts of one class."""
    true, labeled, delay = (part.of(class_index) for part in (times.true, times.labeled, times.delay))
    delay = delay[np.isfinite(delay)]
    num_false_alarms = len(times.false_alarm.of(class_index))
    onset, offset = times.onset.of(class_index), times.offset.of(class_index)
    return BoutMetrics(
        num_bouts=len(true),
        num_labeled_bouts=len(labeled),
        total_seconds=float(true.sum()),
        total_labeled_seconds=float(labeled.sum()),
        mean_bout_seconds=_mean(true),
        mean_labeled_bout_seconds=_mean(labeled),
        num_onsets=len(onset),
        onset_bias_seconds=_mean(onset),
        onset_error_seconds=_mean(np.abs(onset)),
        onset_error_median_seconds=_median(np.abs(onset)),
        num_offsets=len(offset),
        offset_bias_seconds=_mean(offset),
        offset_error_seconds=_mean(np.abs(offset)),
        offset_error_median_seconds=_median(np.abs(offset)),
        num_detected=len(delay),
        detection_delay_seconds=_mean(delay),
        detection_delay_median_seconds=_median(delay),
        num_false_alarms=num_false_alarms,
        false_alarms_per_hour=known(ratio(3600.0 * num_false_alarms, times.compared_seconds)),
    )


def _mutually_best(video: SegmentedVideo) -> Int[np.ndarray, " matches"]:
    """The pairs in which each bout is the one that the other overlaps most, the earlier of equal ones."""
    both = np.intersect1d(_best_of(video.label, video), _best_of(video.target, video))
    matches: np.ndarray = both[video.iou[both] >= MIN_MATCH_IOU]
    return matches


def _best_of(row: Int[np.ndarray, " pairs"], video: SegmentedVideo) -> Int[np.ndarray, " rows"]:
    order = np.lexsort((video.start, -video.iou, row))
    return order[np.flatnonzero(np.diff(row[order], prepend=-1))]


def _durations(segments: Runs, edges: Float[np.ndarray, " edges"]) -> ClassSeconds:
    return ClassSeconds(segments.value, edges[segments.stop] - edges[segments.start])


def _mean(values: Float[np.ndarray, " values"]) -> float | None:
    return float(values.mean()) if len(values) else None


def _median(values: Float[np.ndarray, " values"]) -> float | None:
    return float(np.median(values)) if len(values) else None

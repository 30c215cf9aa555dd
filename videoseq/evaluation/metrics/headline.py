"""The headline numbers, and the sums over videos that they and their intervals are computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int64, Num

from videoseq.evaluation.metrics import frames, ranking
from videoseq.evaluation.metrics.bouts import BoutTimes, bout_times
from videoseq.evaluation.metrics.calibration import calibration_counts, expected_calibration_error
from videoseq.evaluation.metrics.ratios import known_mean, ratio
from videoseq.evaluation.metrics.segments import SegmentedVideo, edit_score, segment_counts, segment_f1, segment_video
from videoseq.evaluation.metrics.uncertainty import Statistics


class Headline(NamedTuple):
    """How a number is shown: its title, its unit (a share is shown in percent), and whether more is better."""

    title: str
    unit: Literal["share", "seconds", "per hour", "score"]
    more_is_better: bool = True


HEADLINES: Final[dict[str, Headline]] = {
    "accuracy": Headline("accuracy", "share"),
    "video_accuracy": Headline("accuracy, mean of videos", "share"),
    "balanced_accuracy": Headline("balanced accuracy", "share"),
    "macro_f1": Headline("macro F1", "share"),
    "kappa": Headline("Cohen's kappa", "score"),
    "mean_average_precision": Headline("mean average precision", "share"),
    "mean_calibrated_average_precision": Headline("mean calibrated average precision", "share"),
    "edit": Headline("edit score", "share"),
    "f1_at_10": Headline("segment F1@10", "share"),
    "f1_at_25": Headline("segment F1@25", "share"),
    "f1_at_50": Headline("segment F1@50", "share"),
    "onset_error_seconds": Headline("onset error", "seconds", more_is_better=False),
    "offset_error_seconds": Headline("offset error", "seconds", more_is_better=False),
    "detected": Headline("bouts detected", "share"),
    "detection_delay_seconds": Headline("detection delay", "seconds", more_is_better=False),
    "false_alarms_per_hour": Headline("false alarms", "per hour", more_is_better=False),
    "expected_calibration_error": Headline("calibration error", "share", more_is_better=False),
    "negative_log_likelihood": Headline("negative log-likelihood", "score", more_is_better=False),
    "brier_score": Headline("Brier score", "score", more_is_better=False),
}
"""By their names in metrics.json, in the order in which they are shown; docs/metrics.md defines each."""


@dataclass(frozen=True, eq=False)
class LabeledVideo:
    """One video's targets and one labeler's labels, frame by frame.

    Attributes:
        name: The video file's.
        group: What is resampled for intervals: a subject, a room; by default each video is its own.
        seconds: The time of every frame.
        duration_seconds: The time of the end of the last frame.
        targets: Indices into the classes, ``IGNORE_INDEX`` where unlabeled; in multilabel a 0 or 1 for each class.
        labels: Likewise; a second annotator's may be ``IGNORE_INDEX`` too.
        probabilities: Of every class, float32; None for a labeler that has none.
        path: The video file, to show its frames.
    """

    name: str
    group: str
    seconds: Float[np.ndarray, " frames"]
    duration_seconds: float
    targets: Int64[np.ndarray, "frames ..."]
    labels: Int64[np.ndarray, "frames ..."]
    probabilities: Float[np.ndarray, "frames classes"] | None = None
    path: Path | None = field(default=None, kw_only=True)

    @property
    def is_multilabel(self) -> bool:
        """Whether a frame may have several classes, or none."""
        return self.targets.ndim == 2

    def segments(self, background: int | None) -> SegmentedVideo:
        """Its segments, none of which is of the background."""
        return segment_video(self.targets, self.labels, background)


@dataclass(frozen=True, eq=False)
class VideoParts:
    """What was counted in one video."""

    confusion: frames.Confusion
    segments: Int[np.ndarray, "overlaps classes 3"]
    edit: float
    bouts: BoutTimes


def count_video(video: LabeledVideo, num_classes: int, background: int | None) -> VideoParts:
    """Counts what one video adds to the sums."""
    segmented = video.segments(background)
    return VideoParts(
        frames.confusion_matrix(video.targets, video.labels, num_classes),
        segment_counts(segmented, num_classes),
        edit_score(segmented),
        bout_times(segmented, video.seconds, video.duration_seconds),
    )


def video_statistics(
    videos: Sequence[LabeledVideo], parts: Sequence[VideoParts], background: int | None
) -> dict[str, Num[np.ndarray, "videos ..."]]:
    """What each video adds to the sums, by name, for :func:`headline_numbers`."""
    confusion = np.stack([part.confusion for part in parts])
    statistics: dict[str, np.ndarray] = {
        "confusion": confusion,
        "segments": np.stack([part.segments.sum(axis=1) for part in parts]),
        "video_accuracy": _value_and_count(frames.accuracy(confusion)),
        "edit": _value_and_count(np.array([part.edit for part in parts])),
        "bouts": np.stack([bout_sums(part.bouts) for part in parts]),
    }
    probabilities = [video.probabilities for video in videos if video.probabilities is not None]
    if len(probabilities) == len(videos):
        targets = [video.targets for video in videos]
        counts = [calibration_counts(*one) for one in zip(targets, probabilities, strict=True)]
        foreground = [c for c in range(probabilities[0].shape[1]) if c != background]
        statistics["bins"] = np.stack([one.bins for one in counts])
        statistics["losses"] = np.stack([one.losses for one in counts])
        statistics["ranking"] = ranking.ranking_counts(targets, probabilities, foreground)
    return statistics


def headline_numbers(totals: Statistics) -> dict[str, Float[np.ndarray, " sets"]]:
    """The headline numbers of sums over videos; NaN where there is no denominator."""
    confusion = totals["confusion"]
    numbers = {
        "accuracy": frames.accuracy(confusion),
        "video_accuracy": ratio(totals["video_accuracy"][:, 0], totals["video_accuracy"][:, 1]),
        "balanced_accuracy": frames.balanced_accuracy(confusion),
        "macro_f1": frames.macro_f1(confusion),
        "kappa": frames.cohen_kappa(confusion),
        "edit": ratio(totals["edit"][:, 0], totals["edit"][:, 1]),
    }
    return numbers | segment_numbers(totals) | probability_numbers(totals)


def segment_numbers(totals: Statistics) -> dict[str, Float[np.ndarray, " sets"]]:
    """Those of segments and bouts."""
    f1, bouts = segment_f1(totals["segments"]), totals["bouts"]
    return {
        "f1_at_10": f1[:, 0],
        "f1_at_25": f1[:, 1],
        "f1_at_50": f1[:, 2],
        "onset_error_seconds": ratio(bouts[:, 0], bouts[:, 1]),
        "offset_error_seconds": ratio(bouts[:, 2], bouts[:, 3]),
        "detected": ratio(bouts[:, 5], bouts[:, 6]),
        "detection_delay_seconds": ratio(bouts[:, 4], bouts[:, 5]),
        "false_alarms_per_hour": ratio(3600 * bouts[:, 7], bouts[:, 8]),
    }


def probability_numbers(totals: Statistics) -> dict[str, Float[np.ndarray, " sets"]]:
    """Those of probabilities, as far as there are any."""
    numbers = {}
    if "losses" in totals:
        losses = totals["losses"]
        numbers["expected_calibration_error"] = expected_calibration_error(totals["bins"])
        numbers["negative_log_likelihood"] = ratio(losses[:, 1], losses[:, 0])
        numbers["brier_score"] = ratio(losses[:, 2], losses[:, 0])
    if "ranking" in totals:
        for name, calibrated in (
            ("mean_average_precision", False),
            ("mean_calibrated_average_precision", True),
        ):
            numbers[name] = known_mean(ranking.average_precisions(totals["ranking"], calibrated=calibrated))
    return numbers


def _value_and_count(values: Float[np.ndarray, " videos"]) -> Float[np.ndarray, "videos 2"]:
    """What a mean over the videos that have a number is summed from."""
    return np.stack((np.nan_to_num(values), ~np.isnan(values)), axis=1)


def bout_sums(times: BoutTimes) -> Float[np.ndarray, " 9"]:
    """What a video's bouts add to the sums of :func:`segment_numbers`."""
    delay = times.delay.seconds[np.isfinite(times.delay.seconds)]
    sums = [
        np.abs(times.onset.seconds).sum(),
        len(times.onset.seconds),
        np.abs(times.offset.seconds).sum(),
        len(times.offset.seconds),
        delay.sum(),
        len(delay),
        len(times.true.seconds),
        len(times.false_alarm.seconds),
        times.compared_seconds,
    ]
    return np.array(sums, np.float64)

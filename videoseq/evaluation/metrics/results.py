"""What is said of one labeller, as it stands in metrics.json (docs/metrics.md)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from videoseq.evaluation.metrics.bouts import BoutMetrics
from videoseq.evaluation.metrics.calibration import ReliabilityBin
from videoseq.evaluation.metrics.frames import ClassMetrics
from videoseq.evaluation.metrics.segments import SegmentMetrics
from videoseq.evaluation.metrics.since_start import SinceStart

METRICS_SCHEMA_VERSION = 2
"""Of ``metrics.json``: it rises when a field changes its meaning or goes."""


class Estimate(BaseModel):
    """A number with its 95 % interval; None where it has no denominator, or where there is one video only."""

    model_config = ConfigDict(frozen=True)

    value: float | None
    low: float | None = None
    high: float | None = None


class Difference(Estimate):
    """One labeller's number minus another's on the same videos, with the p-value of no difference at all."""

    p_value: float | None = None


class VideoMetrics(BaseModel):
    """One video by itself."""

    model_config = ConfigDict(frozen=True)

    num_frames: int
    accuracy: float | None
    macro_f1: float | None
    edit: float | None
    f1_at_10: float | None
    f1_at_25: float | None
    f1_at_50: float | None


class Metrics(BaseModel):
    """Labels of any number of videos against their targets.

    Attributes:
        num_videos: Videos with a labelled frame.
        num_frames: Labelled frames that were compared.
        labelled_seconds: Their duration.
        resampled: What intervals are drawn over: groups where the videos have two or more, else videos.
        num_resampled: How many of those there are.
        headline: By the names of :data:`videoseq.evaluation.metrics.headline.HEADLINES`.
        per_class: Frame by frame, by class name.
        segments: Segment by segment, by class name; without the background.
        bouts: In seconds, by class name; without the background.
        confusion: Frames; rows are targets, columns are labels, in the order of ``per_class``.
        reliability: Accuracy against confidence; None without probabilities.
        since_start: Accuracy by the time since a video's first frame.
    """

    model_config = ConfigDict(frozen=True)

    num_videos: int
    num_frames: int
    labelled_seconds: float
    resampled: Literal["videos", "groups"]
    num_resampled: int
    headline: dict[str, Estimate]
    per_class: dict[str, ClassMetrics]
    segments: dict[str, SegmentMetrics]
    bouts: dict[str, BoutMetrics]
    confusion: list[list[int]]
    reliability: list[ReliabilityBin] | None
    since_start: list[SinceStart]

    @property
    def accuracy(self) -> float | None:
        """Share of frames that are right."""
        return self.headline["accuracy"].value

    @property
    def macro_f1(self) -> float | None:
        """Mean F1 of the classes that occur in targets or labels."""
        return self.headline["macro_f1"].value


class MultilabelVideoMetrics(BaseModel):
    """One video by itself."""

    model_config = ConfigDict(frozen=True)

    num_frames: int
    exact_match: float | None
    macro_f1: float | None
    micro_f1: float | None
    f1_at_10: float | None
    f1_at_25: float | None
    f1_at_50: float | None


class MultilabelMetrics(BaseModel):
    """Labels of any number of videos against their targets.

    Attributes:
        num_videos: Videos with a labelled frame.
        num_frames: Labelled frames that were compared.
        labelled_seconds: Their duration.
        resampled: What intervals are drawn over: groups where the videos have two or more, else videos.
        num_resampled: How many of those there are.
        headline: By the names of :data:`videoseq.evaluation.metrics.multilabel.MULTILABEL_HEADLINES`.
        per_class: Frame by frame, by class name.
        segments: Runs of the class, by class name.
        bouts: In seconds, by class name.
        reliability: How often classes are there against their probability; None without probabilities.
    """

    model_config = ConfigDict(frozen=True)

    num_videos: int
    num_frames: int
    labelled_seconds: float
    resampled: Literal["videos", "groups"]
    num_resampled: int
    headline: dict[str, Estimate]
    per_class: dict[str, ClassMetrics]
    segments: dict[str, SegmentMetrics]
    bouts: dict[str, BoutMetrics]
    reliability: list[ReliabilityBin] | None

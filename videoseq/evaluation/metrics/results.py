"""The numbers of one labeler, as metrics.json has them (docs/metrics.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_serializer

from videoseq.evaluation.metrics.bouts import BoutMetrics
from videoseq.evaluation.metrics.calibration import ReliabilityBin
from videoseq.evaluation.metrics.frames import ClassMetrics
from videoseq.evaluation.metrics.segments import SegmentMetrics
from videoseq.evaluation.metrics.since_start import SinceStart

METRICS_SCHEMA_VERSION = 3
"""Of ``metrics.json``: it rises when a field changes its meaning or goes."""


MIN_UNITS_FOR_P = 6
"""With fewer videos or groups no p-value is shown: with five, a permutation test cannot give less than 2 / 2⁵."""

MIN_SECONDS_FOR_RATES = 600.0
"""With less labeled video no rate per hour is shown: one false alarm in ten seconds would be 360 per hour."""


class Estimate(BaseModel):
    """A number with its 95 % interval; None where it has no denominator, or where there is one video only."""

    model_config = ConfigDict(frozen=True)

    value: float | None
    low: float | None = None
    high: float | None = None


class Difference(Estimate):
    """One labeler's number minus another's on the same videos, with the p-value of no difference at all."""

    p_value: float | None = None


class _MeasuredOnly(BaseModel):
    """Numbers of which some have no meaning for one task: those are never set, and are not in ``metrics.json``."""

    model_config = ConfigDict(frozen=True)

    @model_serializer(mode="wrap")
    def _serialize(self, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if name in self.model_fields_set}


class VideoMetrics(_MeasuredOnly):
    """One video by itself.

    Attributes:
        num_frames: Labeled frames that were compared.
        accuracy: Share of them that are right; multiclass only.
        exact_match: Share of them that are right in every class; multilabel only.
        macro_f1: Mean F1 of the classes.
        micro_f1: F1 over all classes together; multilabel only.
        edit: Edit score; multiclass only.
        f1_at_10: Segment F1 at an overlap of 10 %.
        f1_at_25: The same of 25 %.
        f1_at_50: The same of 50 %.
    """

    num_frames: int
    accuracy: float | None = None
    exact_match: float | None = None
    macro_f1: float | None
    micro_f1: float | None = None
    edit: float | None = None
    f1_at_10: float | None
    f1_at_25: float | None
    f1_at_50: float | None

    @property
    def video_accuracy(self) -> float | None:
        """The share of frames that are right, in multilabel in every class."""
        return self.exact_match if self.accuracy is None else self.accuracy


class Metrics(_MeasuredOnly):
    """Labels of any number of videos against their targets.

    Attributes:
        num_videos: Videos with a labeled frame.
        num_frames: Labeled frames that were compared.
        labeled_seconds: Their duration.
        resampled: What intervals are drawn over: groups where the videos have two or more, else videos.
        num_resampled: How many of those there are.
        headline: By the names of :data:`videoseq.evaluation.metrics.headline.HEADLINES`, or of
            :data:`videoseq.evaluation.metrics.multilabel.MULTILABEL_HEADLINES`.
        per_class: Frame by frame, by class name.
        segments: Segment by segment, by class name; without the background.
        bouts: In seconds, by class name; without the background.
        confusion: Frames; rows are targets, columns are labels, in the order of ``per_class``; multiclass only.
        reliability: Accuracy against confidence, or in multilabel how often classes are present against their
            probability; None without probabilities.
        since_start: Accuracy by the time since a video's first frame; multiclass only.
    """

    num_videos: int
    num_frames: int
    labeled_seconds: float
    resampled: Literal["videos", "groups"]
    num_resampled: int
    headline: dict[str, Estimate]
    per_class: dict[str, ClassMetrics]
    segments: dict[str, SegmentMetrics]
    bouts: dict[str, BoutMetrics]
    confusion: list[list[int]] = []
    reliability: list[ReliabilityBin] | None
    since_start: list[SinceStart] = []

    @property
    def supports_p_values(self) -> bool:
        """Whether there are enough videos or groups for a p-value to mean something."""
        return self.num_resampled >= MIN_UNITS_FOR_P

    @property
    def supports_rates(self) -> bool:
        """Whether there is enough labeled video for a rate per hour to mean something."""
        return self.labeled_seconds >= MIN_SECONDS_FOR_RATES

    @property
    def accuracy(self) -> float | None:
        """Share of frames that are right; multiclass only."""
        return self.headline["accuracy"].value

    @property
    def macro_f1(self) -> float | None:
        """Mean F1 of the classes that occur in targets or labels."""
        return self.headline["macro_f1"].value

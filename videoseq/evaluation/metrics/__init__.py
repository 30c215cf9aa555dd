"""Labels against targets: frame by frame, segment by segment, in time, and how sure one may be of all that.

Unlabelled frames (``IGNORE_INDEX``) count nowhere. A number that has no denominator is None, never 0; inside arrays it
is NaN. docs/metrics.md says what each number means.
"""

from __future__ import annotations

from videoseq.evaluation.metrics.frames import confusion_matrix, frame_metrics, majority_class
from videoseq.evaluation.metrics.headline import HEADLINES, Headline, LabelledVideo
from videoseq.evaluation.metrics.multilabel import (
    MULTILABEL_HEADLINES,
    MultilabelMeasurement,
    compare_multilabel,
    measure_multilabel,
)
from videoseq.evaluation.metrics.results import (
    METRICS_SCHEMA_VERSION,
    Difference,
    Estimate,
    Metrics,
    MultilabelMetrics,
    MultilabelVideoMetrics,
    VideoMetrics,
)
from videoseq.evaluation.metrics.summary import Measurement, compare, measure

__all__ = [
    "HEADLINES",
    "METRICS_SCHEMA_VERSION",
    "MULTILABEL_HEADLINES",
    "Difference",
    "Estimate",
    "Headline",
    "LabelledVideo",
    "Measurement",
    "Metrics",
    "MultilabelMeasurement",
    "MultilabelMetrics",
    "MultilabelVideoMetrics",
    "VideoMetrics",
    "compare",
    "compare_multilabel",
    "confusion_matrix",
    "frame_metrics",
    "majority_class",
    "measure",
    "measure_multilabel",
]

"""Labels against targets: frame by frame, segment by segment, in time, and how certain all that is.

Unlabeled frames (``IGNORE_INDEX``) count nowhere. A number that has no denominator is None, never 0; inside arrays it
is NaN. docs/metrics.md says what each number means.
"""

from __future__ import annotations

from videoseq.evaluation.metrics.comparison import Measurement, compare
from videoseq.evaluation.metrics.frames import confusion_matrix, frame_metrics
from videoseq.evaluation.metrics.headline import HEADLINES, Headline, LabeledVideo
from videoseq.evaluation.metrics.multilabel import MULTILABEL_HEADLINES
from videoseq.evaluation.metrics.results import METRICS_SCHEMA_VERSION, Difference, Estimate, Metrics, VideoMetrics
from videoseq.evaluation.metrics.summary import measure

__all__ = [
    "HEADLINES",
    "METRICS_SCHEMA_VERSION",
    "MULTILABEL_HEADLINES",
    "Difference",
    "Estimate",
    "Headline",
    "LabeledVideo",
    "Measurement",
    "Metrics",
    "VideoMetrics",
    "compare",
    "confusion_matrix",
    "frame_metrics",
    "measure",
]

"""Labels against targets: frame by frame, segment by segment, in time, and how sure one may be of all that.

Unlabelled frames (``IGNORE_INDEX``) count nowhere. A number that has no denominator is None, never 0; inside arrays it
is NaN. docs/metrics.md says what each number means.
"""

from __future__ import annotations

from videoseq.metrics.frames import confusion_matrix, frame_metrics, majority_class, sqrt_inverse_weights
from videoseq.metrics.headline import HEADLINES, LabelledVideo
from videoseq.metrics.results import METRICS_SCHEMA_VERSION, Difference, Estimate, Metrics, VideoMetrics
from videoseq.metrics.summary import Measurement, compare, measure
from videoseq.metrics.temperature import best_temperature, tempered

__all__ = [
    "HEADLINES",
    "METRICS_SCHEMA_VERSION",
    "Difference",
    "Estimate",
    "LabelledVideo",
    "Measurement",
    "Metrics",
    "VideoMetrics",
    "best_temperature",
    "compare",
    "confusion_matrix",
    "frame_metrics",
    "majority_class",
    "measure",
    "sqrt_inverse_weights",
    "tempered",
]

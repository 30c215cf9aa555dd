"""Labels against targets: frame by frame, segment by segment, in time, and how sure one may be of all that.

Unlabelled frames (``IGNORE_INDEX``) count nowhere. A number that has no denominator is None, never 0; inside arrays it
is NaN. docs/metrics.md says what each number means.
"""

from __future__ import annotations

from videoseq.metrics.frames import (
    ClassMetrics,
    FrameMetrics,
    confusion_matrix,
    frame_metrics,
    majority_class,
    majority_confusion,
    sqrt_inverse_weights,
)

__all__ = [
    "ClassMetrics",
    "FrameMetrics",
    "confusion_matrix",
    "frame_metrics",
    "majority_class",
    "majority_confusion",
    "sqrt_inverse_weights",
]

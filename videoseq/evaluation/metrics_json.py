"""What ``metrics.json`` holds of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from videoseq.errors import Notice
from videoseq.evaluation.metrics import METRICS_SCHEMA_VERSION, Metrics
from videoseq.evaluation.results import MODEL, Evaluation


@dataclass(frozen=True)
class FoldResult:
    """One fold of a cross-validation.

    Attributes:
        groups: Those left out of the training.
        headline: The headline numbers on these, by labeler (:func:`headline_values`).
    """

    groups: tuple[str, ...]
    headline: dict[str, dict[str, Any]]


def metrics_json(
    evaluation: Evaluation, measured_on: str, notices: Sequence[Notice], folds: Sequence[FoldResult] = ()
) -> dict[str, Any]:
    """What ``metrics.json`` holds; docs/metrics.md says what each field means."""
    minus_previous = {name: one.model_dump() for name, one in evaluation.minus_previous.items()}
    return {
        "schema_version": METRICS_SCHEMA_VERSION,
        "measured_on": measured_on,
        **_of_task(evaluation),
        "labelers": {name: metrics.model_dump() for name, metrics in evaluation.metrics.items()},
        "model_minus_no_context": {name: one.model_dump() for name, one in evaluation.differences.items()},
        **({"model_minus_previous": minus_previous} if minus_previous else {}),
        "videos": [
            {
                "video": clip.name,
                "group": clip.group,
                "labelers": {name: videos[row].model_dump() for name, videos in evaluation.videos.items()},
            }
            for row, clip in enumerate(evaluation.clips)
        ],
        "groups": [
            {"group": group, "macro_f1": {name: evaluation.groups[name][group] for name in evaluation.groups}}
            for group in evaluation.groups.get(MODEL, {})
        ],
        "folds": [asdict(fold) for fold in folds],
        "notices": [notice.as_dict() for notice in notices],
    }


def headline_values(metrics: Metrics) -> dict[str, Any]:
    """The headline numbers without intervals, and how much they are of."""
    return {
        "num_videos": metrics.num_videos,
        "num_frames": metrics.num_frames,
        **{name: estimate.value for name, estimate in metrics.headline.items()},
    }


def _of_task(evaluation: Evaluation) -> dict[str, Any]:
    """The task, and the fields that only this task has."""
    if evaluation.thresholds is None:
        return {"task": "multiclass", "background": evaluation.background}
    return {"task": "multilabel", "thresholds": dict(evaluation.thresholds)}

"""Labels against targets, frame by frame: confusion, accuracy, precision, recall, F1.

Unlabelled frames (``IGNORE_INDEX``) count nowhere. A number that has no denominator is None, never 0.
"""

from __future__ import annotations

from typing import SupportsInt

import numpy as np
import torch
from jaxtyping import Float, Int64
from pydantic import BaseModel, ConfigDict
from torchmetrics.functional.classification import multiclass_confusion_matrix

from videoseq.annotations import IGNORE_INDEX, ClassNames

Labels = Int64[np.ndarray, " frames"]
Confusion = Int64[np.ndarray, "target_classes label_classes"]


class ClassMetrics(BaseModel):
    """One class. ``support`` counts its frames in the targets, ``num_labelled`` those given to it."""

    model_config = ConfigDict(frozen=True)

    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    num_labelled: int


class FrameMetrics(BaseModel):
    """Labels of any number of videos against their targets, all frames together.

    Attributes:
        num_frames: Labelled frames that were compared.
        accuracy: Share of them that are right.
        macro_f1: Mean F1 of the classes that occur in targets or labels.
        per_class: By class name.
        confusion: Rows are targets, columns are labels, in the order of ``per_class``.
    """

    model_config = ConfigDict(frozen=True)

    num_frames: int
    accuracy: float | None
    macro_f1: float | None
    per_class: dict[str, ClassMetrics]
    confusion: list[list[int]]


def confusion_matrix(targets: Labels, labels: Labels, num_classes: int) -> Confusion:
    """How many frames of each target class got each label; unlabelled frames are left out."""
    counts = multiclass_confusion_matrix(
        torch.from_numpy(labels), torch.from_numpy(targets), num_classes, ignore_index=IGNORE_INDEX
    )
    return counts.numpy().astype(np.int64)


def frame_metrics(confusion: Confusion, classes: ClassNames) -> FrameMetrics:
    """The numbers that a confusion matrix holds (Sokolova & Lapalme 2009; as scikit-learn computes them)."""
    right, support, labelled = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    per_class = {
        name: ClassMetrics(
            precision=_ratio(right[i], labelled[i]),
            recall=_ratio(right[i], support[i]),
            f1=_ratio(2 * right[i], support[i] + labelled[i]),
            support=int(support[i]),
            num_labelled=int(labelled[i]),
        )
        for i, name in enumerate(classes)
    }
    scores = [metrics.f1 for metrics in per_class.values() if metrics.f1 is not None]
    return FrameMetrics(
        num_frames=int(confusion.sum()),
        accuracy=_ratio(right.sum(), confusion.sum()),
        macro_f1=float(np.mean(scores)) if scores else None,
        per_class=per_class,
        confusion=confusion.tolist(),
    )


def majority_class(target_counts: Int64[np.ndarray, " classes"]) -> int:
    """The class of most frames in training: what labelling without looking would always say."""
    return int(np.argmax(target_counts))


def majority_confusion(confusion: Confusion, majority: int) -> Confusion:
    """The confusion matrix of a labeller that always answers ``majority``, on the same targets."""
    always = np.zeros_like(confusion)
    always[:, majority] = confusion.sum(axis=1)
    return always


def sqrt_inverse_weights(target_counts: Int64[np.ndarray, " classes"]) -> Float[np.ndarray, " classes"]:
    """Loss weights 1 / sqrt(frequency), scaled so that their mean over the frames is 1; absent classes get 0."""
    counts = target_counts.astype(np.float64)
    weights = np.where(counts > 0, 1.0 / np.sqrt(np.maximum(counts, 1.0)), 0.0)
    scale: float = counts.sum() / np.sum(weights * counts)
    return weights * scale


def _ratio(part: SupportsInt, whole: SupportsInt) -> float | None:
    return int(part) / int(whole) if int(whole) else None

"""Labels against targets, frame by frame: what a confusion matrix holds.

Unlabeled frames (``IGNORE_INDEX``) count nowhere. The functions from accuracy to kappa take any number of confusion
matrices at once, one for each of ``sets`` of videos, because intervals need thousands of them.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int64, Num
from pydantic import BaseModel, ConfigDict

from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.evaluation.metrics.ratios import known, known_mean, ratio

Labels = Int64[np.ndarray, " frames"]
Confusion = Int64[np.ndarray, "target_classes label_classes"]
Confusions = Num[np.ndarray, "sets target_classes label_classes"]
PerSet = Float[np.ndarray, " sets"]


class ClassMetrics(BaseModel):
    """One class, frame by frame.

    Attributes:
        precision: Share of the frames given to it that are right.
        recall: Share of its frames that were found.
        f1: Harmonic mean of the two.
        f1_low: Where its 95 % interval begins; None where it has none.
        f1_high: Where that ends.
        average_precision: Of its probability against all others; None without probabilities.
        calibrated_average_precision: The same as if it had as many frames as all others together.
        support: Its frames in the targets.
        num_labeled: The frames given to it.
    """

    model_config = ConfigDict(frozen=True)

    precision: float | None
    recall: float | None
    f1: float | None
    f1_low: float | None = None
    f1_high: float | None = None
    average_precision: float | None = None
    calibrated_average_precision: float | None = None
    support: int
    num_labeled: int


class FrameMetrics(BaseModel):
    """Labels of any number of videos against their targets, all frames together.

    Attributes:
        num_frames: Labeled frames that were compared.
        accuracy: Share of them that are right.
        balanced_accuracy: Mean recall of the classes that occur in the targets.
        macro_f1: Mean F1 of the classes that occur in targets or labels.
        kappa: Cohen's kappa: agreement beyond what the class frequencies give by chance.
        per_class: By class name.
        confusion: Rows are targets, columns are labels, in the order of ``per_class``.
    """

    model_config = ConfigDict(frozen=True)

    num_frames: int
    accuracy: float | None
    balanced_accuracy: float | None
    macro_f1: float | None
    kappa: float | None
    per_class: dict[str, ClassMetrics]
    confusion: list[list[int]]


def confusion_matrix(targets: Labels, labels: Labels, num_classes: int) -> Confusion:
    """How many frames of each target class got each label; frames unlabeled on either side are left out."""
    kept = (targets != IGNORE_INDEX) & (labels != IGNORE_INDEX)
    cells = np.bincount(targets[kept] * num_classes + labels[kept], minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)  # torchmetrics refuses a single class, which annotators may share


def accuracy(confusions: Confusions) -> PerSet:
    """Share of frames that are right."""
    return ratio(_right(confusions).sum(axis=1), confusions.sum(axis=(1, 2)))


def recalls(confusions: Confusions) -> Float[np.ndarray, "sets classes"]:
    """Share of each class's frames that were found; NaN for a class without frames."""
    return ratio(_right(confusions), confusions.sum(axis=2))


def precisions(confusions: Confusions) -> Float[np.ndarray, "sets classes"]:
    """Share of the frames given to each class that are right; NaN for a class that was given to none."""
    return ratio(_right(confusions), confusions.sum(axis=1))


def f1_scores(confusions: Confusions) -> Float[np.ndarray, "sets classes"]:
    """Each class's F1; NaN for a class that occurs neither in targets nor in labels."""
    return ratio(2 * _right(confusions), confusions.sum(axis=1) + confusions.sum(axis=2))


def balanced_accuracy(confusions: Confusions) -> PerSet:
    """Mean recall of the classes that occur in the targets (Brodersen et al. 2010; as scikit-learn computes it)."""
    return known_mean(recalls(confusions))


def macro_f1(confusions: Confusions) -> PerSet:
    """Mean F1 of the classes that occur in targets or labels."""
    return known_mean(f1_scores(confusions))


def cohen_kappa(confusions: Confusions) -> PerSet:
    """Agreement beyond chance (Cohen 1960); NaN if both sides have only the same one class."""
    num_frames = confusions.sum(axis=(1, 2)).astype(np.float64)
    by_chance = (confusions.sum(axis=1).astype(np.float64) * confusions.sum(axis=2)).sum(axis=1)
    return ratio(num_frames * _right(confusions).sum(axis=1) - by_chance, num_frames**2 - by_chance)


def frame_metrics(confusion: Confusion, classes: ClassNames) -> FrameMetrics:
    """The numbers that a confusion matrix holds (Sokolova & Lapalme 2009; as scikit-learn computes them)."""
    one = confusion[None]
    precision, recall, f1 = precisions(one)[0], recalls(one)[0], f1_scores(one)[0]
    support, labeled = confusion.sum(axis=1), confusion.sum(axis=0)
    return FrameMetrics(
        num_frames=int(confusion.sum()),
        accuracy=known(accuracy(one)[0]),
        balanced_accuracy=known(balanced_accuracy(one)[0]),
        macro_f1=known(macro_f1(one)[0]),
        kappa=known(cohen_kappa(one)[0]),
        per_class={
            name: ClassMetrics(
                precision=known(precision[i]),
                recall=known(recall[i]),
                f1=known(f1[i]),
                support=int(support[i]),
                num_labeled=int(labeled[i]),
            )
            for i, name in enumerate(classes)
        },
        confusion=confusion.tolist(),
    )


def _right(confusions: Confusions) -> Num[np.ndarray, "sets classes"]:
    return np.diagonal(confusions, axis1=1, axis2=2)

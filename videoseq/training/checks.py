"""What can be wrong with a training and shows in annotations and settings alone: found before features are computed."""

from __future__ import annotations

from collections.abc import Sequence

from videoseq.config.schema import TrainSettings
from videoseq.data.dataset import Dataset
from videoseq.data.manifest import ClipEntry
from videoseq.data.splits import check_folds
from videoseq.errors import AnnotationError
from videoseq.training.sweep import import_optuna


def check_training(dataset: Dataset, settings: TrainSettings, num_trials: int = 0) -> None:
    """Raises an error if a training must fail; takes no longer than reading the annotations.

    Args:
        dataset: The annotated videos.
        settings: All of them.
        num_trials: Those of a sweep before the training; 0 for none.

    Raises:
        AnnotationError: Training clips show one class only, or there are no clips to measure on where some are needed.
        ConfigError: Something that is not installed is needed.
    """
    _check_classes(dataset)
    is_auto = settings.data.cross_validation in (None, "auto")
    if not is_auto:
        check_folds(dataset.entries)
    if num_trials:
        import_optuna()
        if is_auto:
            _check_validation_clips(dataset.entries, settings.data.validation_fraction)


def _check_classes(dataset: Dataset) -> None:
    names = set() if dataset.background is None else {dataset.background}
    for entry, annotation in zip(dataset.entries, dataset.annotations, strict=True):
        if entry.split in (None, "train"):
            names |= {interval.label for interval in annotation.intervals}
    wanted, least = "labeled frames of two classes or more", 2
    if dataset.task == "multilabel":
        wanted, least = "frames that have a class and frames that have not", 1
    if len(names) < least:
        got = ", ".join(map(repr, names)) if names else "no label"
        raise AnnotationError(f"training clips: expected {wanted}, got {got}; annotate more clips")


def _check_validation_clips(entries: Sequence[ClipEntry], fraction: float) -> None:
    groups = {entry.group for entry in entries if entry.split in (None, "train")}
    if not any(entry.split == "val" for entry in entries) and (len(groups) < 2 or fraction == 0.0):
        raise AnnotationError("sweep: expected validation clips, got none; annotate clips of a second group")

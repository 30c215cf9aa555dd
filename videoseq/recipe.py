"""Annotated clips → a measured model: split, fit the head and its baseline, evaluate both, put all into a bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from videoseq.annotations import ClassNames
from videoseq.backbones import Backbone
from videoseq.bundle import Bundle, ModelDescription, library_versions
from videoseq.clips import Clip, choose_validation_groups
from videoseq.config import HeadSettings, TrainSettings
from videoseq.errors import AnnotationError, Notice
from videoseq.evaluation import MODEL, Evaluation, evaluate_heads
from videoseq.metrics import METRICS_SCHEMA_VERSION, Metrics, majority_class
from videoseq.training import EpochRecord, FitResult, fit


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model and how it came about.

    Attributes:
        bundle: To be saved.
        fit: Of the head that was measured.
        evaluation: On the clips of ``measured_on``.
        measured_on: ``test``, ``val``, or ``train`` where there was nothing else.
        notices: What the user should know.
    """

    bundle: Bundle
    fit: FitResult
    evaluation: Evaluation
    measured_on: str
    notices: tuple[Notice, ...]


def train_model(
    clips: Sequence[Clip],
    classes: ClassNames,
    settings: TrainSettings,
    backbone: Backbone,
    *,
    device: torch.device | None = None,
    on_epoch: Callable[[str, EpochRecord], None] | None = None,
) -> TrainedModel:
    """Fits and measures a model.

    Args:
        clips: With features of ``backbone`` and targets among ``classes``.
        classes: In the order of the logits.
        settings: All of them; the model records them.
        backbone: What made the features.
        device: Where the heads are fitted; the CPU by default.
        on_epoch: Called with the head's name and each epoch's record.

    Raises:
        AnnotationError: There is nothing to learn: no labelled clip for training, or one class only.
    """
    splits = split_clips(clips, classes, settings)
    counts = {name: _count(part, classes) for name, part in splits.items()}
    if np.count_nonzero(counts["train"]) < 2:
        raise AnnotationError("training clips: expected labelled frames of two classes or more; annotate more clips")

    def fit_both(train: Sequence[Clip], val: Sequence[Clip], note: str = "") -> tuple[FitResult, FitResult]:
        return _fit_both(train, val, len(classes), settings, device, on_epoch, note)

    kept = measured = fit_both(splits["train"], splits["val"])
    measured_on = next(name for name in ("test", "val", "train") if splits[name])
    notices = _split_notices(counts, measured_on, classes, chooses=settings.training.patience is not None)
    if settings.data.refit and splits["val"] and not any(clip.entry.split == "val" for clip in clips):
        kept = fit_both([*splits["train"], *splits["val"]], [], ", on all clips")
        if measured_on == "test":
            measured = kept
        else:
            text = "the numbers are of a model fitted without the validation clips; the one kept was then fitted on all"
            notices.append(Notice("refitted_on_all_clips", text))
    majority = majority_class(counts["train"])
    head, no_context = (fitted.head for fitted in measured)
    evaluation = evaluate_heads(head, no_context, majority, splits[measured_on], classes, settings.data.background)
    description = ModelDescription(
        classes=tuple(classes),
        backbone=backbone.identity,
        sample_hz=settings.sample_hz,
        head=settings.head,
        no_context_head=_without_context(settings.head),
        majority_class=classes[majority],
        settings=settings,
        metrics={measured_on: _headline(evaluation.metrics[MODEL])},
        versions=library_versions(),
    )
    bundle = Bundle(description, classes, kept[0].head, kept[1].head, backbone)
    return TrainedModel(bundle, measured[0], evaluation, measured_on, tuple(notices))


def _without_context(head: HeadSettings) -> HeadSettings:
    """The same network as the baseline has it: one frame alone."""
    return head.model_copy(update={"cell": "none", "inputs": "features"})


def _fit_both(
    train: Sequence[Clip],
    val: Sequence[Clip],
    num_classes: int,
    settings: TrainSettings,
    device: torch.device | None,
    on_epoch: Callable[[str, EpochRecord], None] | None,
    note: str,
) -> tuple[FitResult, FitResult]:
    """The head and its baseline on the same clips; ``note`` is added to their names as ``on_epoch`` hears them."""

    def fit_head(name: str, head: HeadSettings) -> FitResult:
        def show(record: EpochRecord) -> None:
            if on_epoch is not None:
                on_epoch(name + note, record)

        return fit(train, val, num_classes, head, settings.training, device=device, on_epoch=show)

    return fit_head("head", settings.head), fit_head("baseline without context", _without_context(settings.head))


def split_clips(clips: Sequence[Clip], classes: ClassNames, settings: TrainSettings) -> dict[str, list[Clip]]:
    """The clips of ``train``, ``val`` and ``test``; validation is drawn from training where the dataset has none."""
    splits: dict[str, list[Clip]] = {"train": [], "val": [], "test": []}
    for clip in clips:
        splits[clip.entry.split or "train"].append(clip)
    if not splits["val"]:
        groups = choose_validation_groups(
            splits["train"], len(classes), settings.data.validation_fraction, settings.training.seed
        )
        splits["val"] = [clip for clip in splits["train"] if clip.entry.group in groups]
        splits["train"] = [clip for clip in splits["train"] if clip.entry.group not in groups]
    return splits


def metrics_json(evaluation: Evaluation, measured_on: str, notices: Sequence[Notice]) -> dict[str, Any]:
    """What ``metrics.json`` holds; docs/metrics.md says what each field means."""
    minus_previous = {name: one.model_dump() for name, one in evaluation.minus_previous.items()}
    return {
        "schema_version": METRICS_SCHEMA_VERSION,
        "measured_on": measured_on,
        "background": evaluation.background,
        "labellers": {name: metrics.model_dump() for name, metrics in evaluation.metrics.items()},
        "model_minus_no_context": {name: one.model_dump() for name, one in evaluation.differences.items()},
        **({"model_minus_previous": minus_previous} if minus_previous else {}),
        "videos": [
            {
                "video": clip.name,
                "group": clip.group,
                "labellers": {name: videos[row].model_dump() for name, videos in evaluation.videos.items()},
            }
            for row, clip in enumerate(evaluation.clips)
        ],
        "notices": [notice.as_dict() for notice in notices],
    }


def _headline(metrics: Metrics) -> dict[str, Any]:
    """What ``model.json`` says of how good a model is: the headline numbers, without intervals."""
    return {
        "num_videos": metrics.num_videos,
        "num_frames": metrics.num_frames,
        **{name: estimate.value for name, estimate in metrics.headline.items()},
    }


def _count(clips: Sequence[Clip], classes: ClassNames) -> np.ndarray:
    counts = np.zeros(len(classes), dtype=np.int64)
    for clip in clips:
        counts += clip.class_counts(len(classes))
    return counts


def _split_notices(
    counts: Mapping[str, np.ndarray], measured_on: str, classes: ClassNames, *, chooses: bool
) -> list[Notice]:
    notices = []
    if not counts["val"].any():
        text = "one group only, or none kept: nothing was validated; annotate clips of a second group"
        notices.append(Notice("no_validation_split", text))
    if measured_on == "val" and chooses:
        text = (
            "the numbers are of the clips that chose the epoch, so a little too good; mark clips as test to know better"
        )
        notices.append(Notice("measured_on_validation", text))
    if measured_on == "train":
        text = "the numbers are of the training clips themselves and say nothing about new videos"
        notices.append(Notice("measured_on_training", text))
    for split in ("train", "val"):
        missing = [name for name, count in zip(classes, counts[split], strict=True) if count == 0]
        if missing and counts[split].any():
            notices.append(
                Notice(f"class_missing_in_{split}", f"no frame of {', '.join(missing)} in the {split} split")
            )
    return notices

"""Annotated clips → a measured model: split, fit the head and its baseline, evaluate both, put all into a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from videoseq.annotations.multilabel import joined
from videoseq.annotations.types import ClassNames
from videoseq.config.schema import TrainSettings
from videoseq.data.dataset import Clip
from videoseq.evaluation.metrics_json import headline_values
from videoseq.evaluation.results import MODEL
from videoseq.features.backbones import Backbone
from videoseq.models.model_folder import ModelConfig, ModelFolder
from videoseq.system.hardware import library_versions
from videoseq.training.baseline import Fitter, without_context
from videoseq.training.finetuning import Finetuner
from videoseq.training.fit import HERE, FitPlace
from videoseq.training.loop import EpochRecord
from videoseq.training.validation import Measured, measure_in_folds, measure_on_split


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model, to be saved, and how good it is."""

    contents: ModelFolder
    measured: Measured


def train_model(
    clips: Sequence[Clip],
    classes: ClassNames,
    settings: TrainSettings,
    backbone: Backbone,
    *,
    place: FitPlace = HERE,
    on_epoch: Callable[[str, EpochRecord], None] | None = None,
    finetuner: Finetuner | None = None,
) -> TrainedModel:
    """Fits and measures a model.

    Args:
        clips: With features of ``backbone`` and targets among ``classes``.
        classes: In the order of the logits.
        settings: All of them; the model records them.
        backbone: What made the features.
        place: Where networks are fitted, and where that is kept.
        on_epoch: Called with the head's name and each epoch's record.
        finetuner: What fine-tunes ``backbone`` with each head; ``backbone.trainable`` needs one.

    Raises:
        AnnotationError: There is nothing to learn: no labelled clip for training, or one class only.
    """
    if (settings.backbone.trainable != 0) != (finetuner is not None):
        raise ValueError("expected a finetuner where backbone.trainable is not 0, and only there")
    fit_pair = Fitter(len(classes), settings, place, on_epoch, finetuner)
    measure = measure_on_split if settings.data.cross_validation is None else measure_in_folds
    measured = measure(clips, classes, settings, fit_pair)
    kept = measured.kept
    backbone = backbone if kept.tuned is None else kept.tuned.backbone
    config = ModelConfig(
        classes=tuple(classes),
        backbone=backbone.identity,
        sample_hz=settings.sample_hz,
        head=settings.head,
        num_members=settings.training.ensemble,
        no_context_head=without_context(settings.head),
        majority_class=joined(classes[index] for index in measured.majority),
        settings=settings,
        metrics={measured.measured_on: headline_values(measured.evaluation.metrics[MODEL])},
        versions=library_versions(),
    )
    return TrainedModel(ModelFolder(config, classes, kept.head.head, kept.no_context.head, backbone), measured)

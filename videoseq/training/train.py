"""Annotated clips → a measured model: split, fit the head and its baseline, evaluate both, put all into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from videoseq.annotations.multilabel import joined
from videoseq.annotations.types import ClassNames
from videoseq.config.schema import HeadSettings, TrainSettings
from videoseq.data.dataset import Clip
from videoseq.data.statistics import ClassOverview
from videoseq.errors import Notice
from videoseq.evaluation.evaluate import label_clips
from videoseq.evaluation.metrics_json import headline_values
from videoseq.evaluation.results import MODEL
from videoseq.features.backbones import Backbone
from videoseq.models.model_config import ModelConfig
from videoseq.models.model_folder import ModelFolder
from videoseq.system.hardware import library_versions
from videoseq.training.baseline import BaselineFitter, without_context
from videoseq.training.cross_validation import folds_for, measure_in_folds
from videoseq.training.finetuning import Finetuner
from videoseq.training.fit import FitEnvironment, FitResult, fit
from videoseq.training.group_means import learn_known_groups
from videoseq.training.self_training import pseudo_labeled, unlabeled_notice
from videoseq.training.validation import ValidationResult, measure_on_split


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model, to be saved, and how good it is.

    Attributes:
        contents: What is saved.
        validation: What the model was measured at, and its networks.
        overview: How much of each class was annotated; only from :func:`~videoseq.training.run.train_dataset`.
        notices: All that the user should know; only from there.
    """

    contents: ModelFolder
    validation: ValidationResult
    overview: tuple[ClassOverview, ...] = ()
    notices: tuple[Notice, ...] = ()


def train_model(
    clips: Sequence[Clip],
    classes: ClassNames,
    settings: TrainSettings,
    backbone: Backbone,
    *,
    environment: FitEnvironment | None = None,
    finetuner: Finetuner | None = None,
    unlabeled: Sequence[Clip] = (),
) -> TrainedModel:
    """Fits and measures a model.

    Args:
        clips: With features of ``backbone`` and targets among ``classes``.
        classes: In the order of the logits.
        settings: All of them; the model records them.
        backbone: What made the features.
        environment: Where networks are fitted; by default this process, on the CPU.
        finetuner: What fine-tunes ``backbone`` with each head; ``backbone.trainable`` needs one.
        unlabeled: More clips, without targets; they teach the head that is kept (:mod:`.self_training`).

    Raises:
        AnnotationError: There is nothing to learn: no labeled clip for training, or one class only.
    """
    if (settings.backbone.trainable != 0) != (finetuner is not None):
        raise ValueError("expected a finetuner where backbone.trainable is not 0, and only there")
    fit_both = BaselineFitter(len(classes), settings, environment, finetuner)
    folds = folds_for(clips, len(classes), settings)
    if folds:
        result = measure_in_folds(clips, classes, settings, fit_both, folds)
    else:
        result = measure_on_split(clips, classes, settings, fit_both)
    kept = result.kept
    if unlabeled:
        kept = replace(kept, head=_taught_on(unlabeled, kept.head, clips, classes, result.head, settings, environment))
        result = replace(result, kept=kept, notices=(*result.notices, unlabeled_notice(len(unlabeled))))
    backbone = backbone if kept.tuned is None else kept.tuned.backbone
    config = ModelConfig(
        classes=tuple(classes),
        backbone=backbone.identity,
        sample_hz=settings.sample_hz,
        head=result.head,
        num_members=settings.training.ensemble,
        no_context_head=without_context(result.head),
        majority_class=joined(classes[index] for index in result.majority),
        settings=settings,
        metrics={result.measured_on: headline_values(result.evaluation.metrics[MODEL])},
        versions=library_versions(),
    )
    known_groups = learn_known_groups(kept.with_own_features(clips))
    contents = ModelFolder(config, classes, kept.head.head, kept.no_context.head, backbone, known_groups=known_groups)
    return TrainedModel(contents, result)


def _taught_on(
    unlabeled: Sequence[Clip],
    teacher: FitResult,
    clips: Sequence[Clip],
    classes: ClassNames,
    head: HeadSettings,
    settings: TrainSettings,
    environment: FitEnvironment | None,
) -> FitResult:
    """A head fitted on the clips and on what another one is sure of in unlabeled ones, with the other's calibration."""
    learned_from = [clip for clip in clips if clip.entry.split in (None, "train")]
    learned_from += pseudo_labeled(unlabeled, label_clips(teacher.head, unlabeled, classes))
    name = "head, with unlabeled videos"
    taught = fit(learned_from, [], len(classes), head, settings.training, environment=environment, name=name)
    taught.head.copy_calibration(teacher.head)
    taught.head.decoding = teacher.head.decoding
    return taught

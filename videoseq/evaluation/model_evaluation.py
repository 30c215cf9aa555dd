"""A saved model on annotated videos: features, labels, numbers, next to baselines and a previous model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoseq.data.dataset import Clip, Dataset
from videoseq.data.statistics import ClassOverview, describe_clips
from videoseq.errors import AnnotationError, ConfigError, Notice
from videoseq.evaluation.comparison import Previous
from videoseq.evaluation.evaluate import evaluate_heads
from videoseq.evaluation.metrics import LabeledVideo
from videoseq.evaluation.metrics_json import metrics_json
from videoseq.evaluation.results import Evaluation
from videoseq.inference.model import Model
from videoseq.jobs.feature_provider import FeatureProvider, Resources
from videoseq.system.processes import check_not_forked


@dataclass(frozen=True, eq=False)
class ModelEvaluation:
    """A model measured on a dataset.

    Attributes:
        model: The model.
        folder: Its folder.
        dataset: What it was measured on.
        evaluation: The numbers.
        overview: How much of each class was annotated.
        notices: What the user should know.
        previous: The model that it was compared with, if there is one.
    """

    model: Model
    folder: Path
    dataset: Dataset
    evaluation: Evaluation
    overview: tuple[ClassOverview, ...]
    notices: tuple[Notice, ...]
    previous: Previous | None = None

    def as_dict(self) -> dict[str, Any]:
        """What ``metrics.json`` holds."""
        metrics = metrics_json(self.evaluation, self.dataset.split or "all", self.notices)
        return metrics if self.previous is None else {**metrics, "previous_model": self.previous.as_dict()}


def evaluate_model(
    model: Model, folder: Path, dataset: Dataset, resources: Resources | None = None, previous: Previous | None = None
) -> ModelEvaluation:
    """Measures a model on annotated videos.

    Args:
        model: The model.
        folder: Its folder, from which worker processes load it too.
        dataset: With the model's classes and task.
        resources: What features are computed with, and who hears how far that is.
        previous: Another model with the same classes, to be measured and compared.

    Raises:
        AnnotationError: No frame is labeled, or an annotation does not fit its video.
        ConfigError: The dataset has another task or other classes than the model, or lacks its background.
        VideoError: Videos cannot be read.
        ModelError: The previous model's cached features are of other frames.
        OutputError: The cache cannot be written.
    """
    check_not_forked()  # nothing below asks where all features are in the cache
    _check_goes_with(model, dataset)
    resources = resources or Resources()
    provider = FeatureProvider(model.runtime, model.sample_hz, folder, resources)
    clips, notices = provider.load_clips(dataset)
    if not clips:
        raise AnnotationError(f"{dataset.source or 'dataset'}: expected at least one labeled frame, got none")
    labeled = () if previous is None else _labels_of(previous, clips, dataset, resources)
    contents, classes = model.contents, model.classes
    majority = tuple(classes.index(name) for name in contents.config.majority_names)
    evaluation = evaluate_heads(
        contents.head, contents.no_context, majority, clips, classes, dataset.background, labeled
    )
    overview = describe_clips(clips, classes)
    return ModelEvaluation(model, folder, dataset, evaluation, tuple(overview), tuple(notices), previous)


def _check_goes_with(model: Model, dataset: Dataset) -> None:
    """Holds a dataset to what numbers and probabilities of the model are computed with."""
    settings = model.contents.config.settings.data
    background = None if settings.task == "multilabel" else dataset.background or settings.background
    expected = {"task": settings.task, "classes": model.classes, "background": background}
    for name, value in expected.items():
        got = getattr(dataset, name)
        if got != value:
            text = f"dataset: expected {name}={value!r}, as the model has, got {got!r}"
            raise ConfigError(f"{text}; read it again with the {name} of the model")


def _labels_of(previous: Previous, clips: Sequence[Clip], dataset: Dataset, resources: Resources) -> list[LabeledVideo]:
    provider = FeatureProvider(previous.model.runtime, previous.model.sample_hz, previous.folder, resources)
    with provider.open([clip.entry.video for clip in clips], "features of the previous model") as features_of:
        return previous.label(clips, dataset.classes, features_of)

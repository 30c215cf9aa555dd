"""One class a frame, or any number of them: both measured through one door; the shape of targets tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from videoseq.annotations.multilabel import joined
from videoseq.annotations.types import ClassNames
from videoseq.data.dataset import Clip
from videoseq.data.splits import count_classes
from videoseq.errors import AnnotationError
from videoseq.evaluation.evaluate import MAJORITY, Evaluation, label_clips
from videoseq.evaluation.evaluate import evaluate_labels as evaluate_multiclass
from videoseq.evaluation.metrics import (
    LabelledVideo,
    Metrics,
    MultilabelMetrics,
    MultilabelVideoMetrics,
    VideoMetrics,
    majority_class,
    measure,
    measure_multilabel,
)
from videoseq.evaluation.multilabel_evaluation import (
    MAJORITY_SET,
    ClassSet,
    MultilabelEvaluation,
    evaluate_label_sets,
    most_frequent_set,
)
from videoseq.models.head import Head

AnyEvaluation: TypeAlias = Evaluation | MultilabelEvaluation
AnyMetrics: TypeAlias = Metrics | MultilabelMetrics
Majority: TypeAlias = int | ClassSet
"""What the baseline that looks at nothing always says: a class index, or the indices of a set of classes."""


def check_learnable(clips: Sequence[Clip], num_classes: int, note: str = "") -> None:
    """Holds training clips to showing something that can be told apart; ``note`` says in the message which they are.

    Raises:
        AnnotationError: They have labelled frames of one class only, or in multilabel no class has some of them.
    """
    counts = count_classes(clips, num_classes)
    wanted, is_there = "labelled frames of two classes or more", np.count_nonzero(counts) > 1
    if clips and clips[0].is_multilabel:
        num_labelled = sum(int(clip.is_labelled.sum()) for clip in clips)
        wanted, is_there = "frames that have a class and frames that have not", counts[counts < num_labelled].any()
    if not is_there:
        raise AnnotationError(f"training clips{note}: expected {wanted}; annotate more clips")


def majority_of(clips: Sequence[Clip], num_classes: int) -> Majority:
    """What most labelled frames have."""
    if clips[0].is_multilabel:
        return most_frequent_set(clips)
    return majority_class(count_classes(clips, num_classes))


def majority_name(majority: Majority, classes: ClassNames) -> str:
    """The same as a label."""
    return classes[majority] if isinstance(majority, int) else joined(classes[index] for index in majority)


def majority_from(names: Sequence[str], classes: ClassNames, *, is_multilabel: bool) -> Majority:
    """The same from the names that a model's description has."""
    indices = tuple(classes.index(name) for name in names)
    return indices if is_multilabel else indices[0]


def background_of(evaluation: AnyEvaluation) -> str | None:
    """The class that has no segments, if there is one."""
    return evaluation.background if isinstance(evaluation, Evaluation) else None


def looks_at_nothing(evaluation: AnyEvaluation) -> str:
    """The name of the labeller that always says the same."""
    return MAJORITY if isinstance(evaluation, Evaluation) else MAJORITY_SET


def share_right(video: VideoMetrics | MultilabelVideoMetrics) -> float | None:
    """The share of a video's frames that are right, in multilabel in every class."""
    return video.accuracy if isinstance(video, VideoMetrics) else video.exact_match


def measured_metrics(videos: Sequence[LabelledVideo], classes: ClassNames, background: str | None) -> AnyMetrics:
    """The metrics of one labeller on one video or more."""
    if videos[0].is_multilabel:
        return measure_multilabel(videos, classes).metrics
    return measure(videos, classes, background).metrics


def evaluate_heads(
    head: Head,
    no_context: Head,
    majority: Majority,
    clips: Sequence[Clip],
    classes: ClassNames,
    background: str | None = None,
    previous: Sequence[LabelledVideo] = (),
) -> AnyEvaluation:
    """The head on every native frame of the clips, as :func:`videoseq.evaluation.evaluate.evaluate_heads`."""
    labelled, blind = label_clips(head, clips, classes), label_clips(no_context, clips, classes)
    return evaluate_labels(head, labelled, blind, majority, classes, background, previous)


def evaluate_labels(
    head: Head,
    labelled: Sequence[LabelledVideo],
    no_context: Sequence[LabelledVideo],
    majority: Majority,
    classes: ClassNames,
    background: str | None = None,
    previous: Sequence[LabelledVideo] = (),
) -> AnyEvaluation:
    """Labels that are there already, as :func:`~videoseq.evaluation.evaluate.evaluate_labels` measures them."""
    thresholds = head.thresholds
    if isinstance(majority, int):
        return evaluate_multiclass(labelled, no_context, majority, classes, background, previous=previous)
    assert thresholds is not None
    by_class = {name: round(float(value), 6) for name, value in zip(classes, thresholds, strict=True)}
    return evaluate_label_sets(labelled, no_context, majority, classes, by_class, previous)

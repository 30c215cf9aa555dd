"""A head of several classes a frame against annotated clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from videoseq.annotations.types import ClassNames
from videoseq.data.dataset import Clip
from videoseq.evaluation.evaluate import MODEL, NO_CONTEXT, PREVIOUS
from videoseq.evaluation.metrics import (
    Difference,
    LabelledVideo,
    MultilabelMetrics,
    MultilabelVideoMetrics,
    compare_multilabel,
    measure_multilabel,
)

MAJORITY_SET = "most frequent set"
"""The labeller that says of every frame what most training frames have, which may be nothing."""

ClassSet = tuple[int, ...]
"""The classes of a frame, as indices in their order."""


@dataclass(frozen=True, eq=False)
class MultilabelEvaluation:
    """A model beside its baselines, as :class:`videoseq.evaluation.evaluate.Evaluation`, without a background.

    Attributes:
        metrics: By labeller (``model``, ``previous model``, ``no context``, :data:`MAJORITY_SET`).
        clips: The model's labels.
        videos: What each labeller comes to on each of the clips.
        differences: The model's headline numbers minus those of the baseline without context.
        thresholds: From which probability on the model says that a class is there, by class.
        minus_previous: The model's headline numbers minus those of the previous model; empty without one.
    """

    metrics: Mapping[str, MultilabelMetrics]
    clips: tuple[LabelledVideo, ...]
    videos: Mapping[str, tuple[MultilabelVideoMetrics, ...]]
    differences: Mapping[str, Difference]
    thresholds: Mapping[str, float]
    minus_previous: Mapping[str, Difference] = field(default_factory=dict)


def evaluate_label_sets(
    labelled: Sequence[LabelledVideo],
    no_context: Sequence[LabelledVideo],
    majority: ClassSet,
    classes: ClassNames,
    thresholds: Mapping[str, float],
    previous: Sequence[LabelledVideo] = (),
) -> MultilabelEvaluation:
    """What was labelled already; the arguments are those of :func:`videoseq.evaluation.evaluate.evaluate_labels`."""
    labellers = {MODEL: labelled, **({PREVIOUS: previous} if previous else {}), NO_CONTEXT: no_context}
    labellers[MAJORITY_SET] = [_always(majority, video) for video in labelled]
    found = {name: measure_multilabel(videos, classes) for name, videos in labellers.items()}
    return MultilabelEvaluation(
        metrics={name: one.metrics for name, one in found.items()},
        clips=tuple(labelled),
        videos={name: one.videos for name, one in found.items()},
        differences=compare_multilabel(found[MODEL], found[NO_CONTEXT]),
        thresholds=thresholds,
        minus_previous=compare_multilabel(found[MODEL], found[PREVIOUS]) if previous else {},
    )


def most_frequent_set(clips: Sequence[Clip]) -> ClassSet:
    """The classes that most labelled frames have, taken together: what labelling without looking would always say."""
    sets, counts = np.unique(np.concatenate([c.targets[c.is_labelled] for c in clips]), axis=0, return_counts=True)
    return tuple(np.flatnonzero(sets[counts.argmax()]).tolist())


def _always(answer: ClassSet, video: LabelledVideo) -> LabelledVideo:
    labels = np.zeros_like(video.labels)
    labels[:, list(answer)] = 1
    return replace(video, labels=labels, probabilities=None)

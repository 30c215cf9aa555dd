"""A head against annotated clips: the labels that a user would get, compared with the annotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from videoseq.annotations.types import ClassNames
from videoseq.data.dataset import Clip
from videoseq.data.splits import count_classes
from videoseq.evaluation.groups import macro_f1_by_group
from videoseq.evaluation.metrics import LabeledVideo, compare, measure
from videoseq.evaluation.results import MAJORITY, MAJORITY_SET, MODEL, NO_CONTEXT, PREVIOUS, Evaluation
from videoseq.features.store import VideoFeatures
from videoseq.inference.labels import LabeledFrames
from videoseq.inference.whole_video import label_chunks
from videoseq.models.head import Head

ClassSet = tuple[int, ...]
"""The classes of a frame as indices in ascending order: one in multiclass, any number in multilabel."""


def label_features(head: Head, features: VideoFeatures, classes: ClassNames) -> Iterator[LabeledFrames]:
    """The labels of stored features, chunk by chunk; the same as of the video itself."""
    return label_chunks(head, features.chunks(), classes)


def evaluate_heads(
    head: Head,
    no_context: Head,
    majority: ClassSet,
    clips: Sequence[Clip],
    classes: ClassNames,
    background: str | None = None,
    previous: Sequence[LabeledVideo] = (),
) -> Evaluation:
    """The head on every native frame of the clips, next to the baseline without context and the constant baseline.

    The probabilities of two labelers are held in memory, or of three: 4 bytes each per frame and class.

    Args:
        head: The model's.
        no_context: The baseline's.
        majority: What the constant baseline gives every frame (:func:`majority_baseline`).
        clips: With features and targets.
        classes: In the order of the logits.
        background: A class that has no segments, no bouts and no part in the mean average precision.
        previous: The same clips as a previous model labels them, to compare with.
    """
    labeled, blind = label_clips(head, clips, classes), label_clips(no_context, clips, classes)
    thresholds = thresholds_by_class(head, classes)
    return evaluate_labels(labeled, blind, majority, classes, background, thresholds=thresholds, previous=previous)


def evaluate_labels(
    labeled: Sequence[LabeledVideo],
    no_context: Sequence[LabeledVideo],
    majority: ClassSet,
    classes: ClassNames,
    background: str | None = None,
    *,
    thresholds: Mapping[str, float] | None = None,
    previous: Sequence[LabeledVideo] = (),
) -> Evaluation:
    """Clips that are labeled already: by one head or, in cross-validation, each by a head that was not fitted on it."""
    labelers = {MODEL: labeled, **({PREVIOUS: previous} if previous else {}), NO_CONTEXT: no_context}
    constant = MAJORITY if thresholds is None else MAJORITY_SET
    labelers[constant] = [_always(majority, video) for video in labeled]
    found = {name: measure(videos, classes, background) for name, videos in labelers.items()}
    return Evaluation(
        metrics={name: one.metrics for name, one in found.items()},
        clips=tuple(labeled),
        videos={name: one.videos for name, one in found.items()},
        differences=compare(found[MODEL], found[NO_CONTEXT]),
        groups={name: macro_f1_by_group(videos, len(classes)) for name, videos in labelers.items()},
        background=background,
        thresholds=thresholds,
        minus_previous=compare(found[MODEL], found[PREVIOUS]) if previous else {},
    )


def thresholds_by_class(head: Head, classes: ClassNames) -> dict[str, float] | None:
    """By class, the probability from which on a multilabel head gives it to a frame; None for other heads."""
    if head.thresholds is None:
        return None
    return {name: round(float(value), 6) for name, value in zip(classes, head.thresholds, strict=True)}


def majority_baseline(clips: Sequence[Clip], num_classes: int) -> ClassSet:
    """What most labeled frames have: a class, or in multilabel a set of classes, which may be empty."""
    if not clips[0].is_multilabel:
        return (int(count_classes(clips, num_classes).argmax()),)
    sets, counts = np.unique(np.concatenate([c.targets[c.is_labeled] for c in clips]), axis=0, return_counts=True)
    return tuple(np.flatnonzero(sets[counts.argmax()]).tolist())


def label_clips(head: Head, clips: Sequence[Clip], classes: ClassNames) -> list[LabeledVideo]:
    """The clips as a head labels them; ``classes`` are in the order of its logits and of the clips' targets."""
    return [_label_clip(head, clip, classes) for clip in clips]


def _label_clip(head: Head, clip: Clip, classes: ClassNames) -> LabeledVideo:
    parts = list(label_features(head, clip.features, classes))
    return LabeledVideo(
        name=clip.entry.video.name,
        group=clip.entry.group,
        seconds=clip.features.seconds,
        duration_seconds=clip.features.duration_seconds,
        targets=clip.targets,
        labels=np.concatenate([part.answers for part in parts]),
        probabilities=np.concatenate([part.probabilities.astype(np.float32) for part in parts]),
        path=clip.entry.video,
    )


def _always(majority: ClassSet, video: LabeledVideo) -> LabeledVideo:
    """The video with the same label on every frame."""
    labels = np.zeros_like(video.labels)
    if video.is_multilabel:
        labels[:, list(majority)] = 1
    else:
        (labels[:],) = majority
    return replace(video, labels=labels, probabilities=None)

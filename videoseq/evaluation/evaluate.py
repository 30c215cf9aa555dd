"""A head against annotated clips: the same labels that a user would get, compared with what people wrote down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int64

from videoseq.annotations.types import ClassNames
from videoseq.data.dataset import Clip
from videoseq.errors import ModelError
from videoseq.evaluation.metrics import Difference, LabelledVideo, Measurement, Metrics, VideoMetrics, compare, measure
from videoseq.features.store import VideoFeatures
from videoseq.inference.labels import LabeledFrames, num_equal_answers
from videoseq.inference.whole_video import label_chunks
from videoseq.models.head import Head

MODEL, PREVIOUS, NO_CONTEXT, MAJORITY = "model", "previous model", "no context", "majority class"
"""The names of the labellers that stand side by side in every result; the previous model where there is one."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model measured, beside its baselines.

    Attributes:
        metrics: By labeller (:data:`MODEL`, :data:`PREVIOUS`, :data:`NO_CONTEXT`, :data:`MAJORITY`).
        clips: The model's labels.
        videos: What each labeller comes to on each of the clips.
        differences: The model's headline numbers minus those of the baseline without context.
        background: The class that has no segments, if there is one.
        minus_previous: The model's headline numbers minus those of the previous model; empty without one.
    """

    metrics: Mapping[str, Metrics]
    clips: tuple[LabelledVideo, ...]
    videos: Mapping[str, tuple[VideoMetrics, ...]]
    differences: Mapping[str, Difference]
    background: str | None = None
    minus_previous: Mapping[str, Difference] = field(default_factory=dict)


def label_features(head: Head, features: VideoFeatures, classes: ClassNames) -> Iterator[LabeledFrames]:
    """The labels of stored features, chunk by chunk; the same as of the video itself."""
    return label_chunks(head, features.chunks(), classes)


def evaluate_heads(
    head: Head,
    no_context: Head,
    majority: int,
    clips: Sequence[Clip],
    classes: ClassNames,
    background: str | None = None,
    previous: Sequence[LabelledVideo] = (),
) -> Evaluation:
    """The head on every native frame of the clips, beside the baseline without context and the majority class.

    The probabilities of two labellers are held in memory, or of three: 4 bytes each per frame and class.

    Args:
        head: The model's.
        no_context: The baseline's.
        majority: The class that the other baseline always says.
        clips: With features and targets.
        classes: In the order of the logits.
        background: A class that has no segments, no bouts and no part in the mean average precision.
        previous: The same clips as a previous model labels them (:func:`label_clips`), to stand beside.
    """
    return evaluate_labels(
        label_clips(head, clips, classes),
        label_clips(no_context, clips, classes),
        majority,
        classes,
        background,
        previous=previous,
    )


def evaluate_labels(
    labelled: Sequence[LabelledVideo],
    no_context: Sequence[LabelledVideo],
    majority: int,
    classes: ClassNames,
    background: str | None = None,
    *,
    previous: Sequence[LabelledVideo] = (),
) -> Evaluation:
    """What was labelled already, by one head or, in cross-validation, each clip by the one that had not seen it."""
    measurements: dict[str, Measurement] = {MODEL: measure(labelled, classes, background)}
    if previous:
        measurements[PREVIOUS] = measure(previous, classes, background)
    measurements[NO_CONTEXT] = measure(no_context, classes, background)
    measurements[MAJORITY] = measure([_always(majority, video) for video in labelled], classes, background)
    return Evaluation(
        metrics={name: measurement.metrics for name, measurement in measurements.items()},
        clips=tuple(labelled),
        videos={name: measurement.videos for name, measurement in measurements.items()},
        differences=compare(measurements[MODEL], measurements[NO_CONTEXT]),
        background=background,
        minus_previous=compare(measurements[MODEL], measurements[PREVIOUS]) if previous else {},
    )


def label_clips(head: Head, clips: Sequence[Clip], classes: ClassNames) -> list[LabelledVideo]:
    """The clips as a head labels them; ``classes`` are in the order of its logits and of the clips' targets."""
    return [_label_clip(head, clip, classes) for clip in clips]


def label_clips_as(
    head: Head, clips: Sequence[Clip], head_classes: ClassNames, classes: ClassNames
) -> list[LabelledVideo]:
    """The clips as a head labels them whose logits have the same classes in another order.

    Args:
        head: Of another model.
        clips: With that model's features, and targets in the order of ``classes``.
        head_classes: In the order of the head's logits.
        classes: In the order that the result has.

    Raises:
        ModelError: The classes are not the same.
    """
    check_same_classes(head_classes, classes)
    place = np.array([classes.index(name) for name in head_classes])
    order = np.argsort(place)
    return [
        replace(
            video,
            labels=video.labels[:, order] if video.is_multilabel else place[video.labels],
            probabilities=_columns(video, order),
        )
        for video in label_clips(head, clips, head_classes)
    ]


def check_same_classes(got: ClassNames, expected: ClassNames) -> None:
    """Holds two models to the same classes, in whatever order.

    Raises:
        ModelError: The message names those that are missing and those that are too many.
    """
    missing, extra = (
        ", ".join(map(repr, names))
        for names in ([name for name in expected if name not in got], [name for name in got if name not in expected])
    )
    if missing or extra:
        what = " and ".join([*([f"lacks {missing}"] if missing else []), *([f"also has {extra}"] if extra else [])])
        raise ModelError(f"expected the classes {', '.join(expected)} in any order, got a model that {what}")


def spread_clips(clips: Sequence[Clip], num_frames: int = 50_000) -> list[Clip]:
    """Clips from all over a dataset with about so many frames: enough to tell an agreement of 99.5 % from 99 %."""
    chosen: list[Clip] = []
    for clip in sorted(clips, key=lambda clip: clip.features.video_sha256):
        if num_frames > 0:
            chosen.append(clip)
            num_frames -= len(clip.features.seconds)
    return chosen


def label_agreement(head: Head, pairs: Iterable[tuple[VideoFeatures, VideoFeatures]], classes: ClassNames) -> float:
    """The share of frames to which a head gives one label, whichever of two features of a video it sees."""
    num_equal = num_frames = 0
    for pair in pairs:
        one, other = (_labels_of(head, features, classes) for features in pair)
        num_equal += num_equal_answers(one, other)
        num_frames += len(one)
    return num_equal / num_frames


def _labels_of(head: Head, features: VideoFeatures, classes: ClassNames) -> Int64[np.ndarray, "frames ..."]:
    return np.concatenate([labels.answers for labels in label_features(head, features, classes)])


def _label_clip(head: Head, clip: Clip, classes: ClassNames) -> LabelledVideo:
    parts = list(label_features(head, clip.features, classes))
    return LabelledVideo(
        name=clip.entry.video.name,
        group=clip.entry.group,
        seconds=clip.features.seconds,
        duration_seconds=clip.features.duration_seconds,
        targets=clip.targets,
        labels=np.concatenate([part.answers for part in parts]),
        probabilities=np.concatenate([part.probabilities.astype(np.float32) for part in parts]),
        path=clip.entry.video,
    )


def _columns(video: LabelledVideo, order: Int64[np.ndarray, " classes"]) -> Float[np.ndarray, "frames classes"] | None:
    return None if video.probabilities is None else video.probabilities[:, order]


def _always(label: int, video: LabelledVideo) -> LabelledVideo:
    return replace(video, labels=np.full_like(video.labels, label), probabilities=None)

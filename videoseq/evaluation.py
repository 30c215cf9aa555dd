"""A head against annotated clips: the same labels that a user would get, compared with what people wrote down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int64

from videoseq.annotations import IGNORE_INDEX, Annotation, ClassNames, find_classes, make_targets
from videoseq.clips import Clip
from videoseq.ensemble import Head
from videoseq.feature_store import ClipFeatures
from videoseq.labeling import SequenceLabeler
from videoseq.labels import FrameLabels
from videoseq.metrics import Difference, LabelledVideo, Measurement, Metrics, VideoMetrics, compare, measure

MODEL, NO_CONTEXT, MAJORITY = "model", "no context", "majority class"
"""The names of the labellers that stand side by side in every result."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model measured, beside its baselines.

    Attributes:
        metrics: By labeller (:data:`MODEL`, :data:`NO_CONTEXT`, :data:`MAJORITY`).
        clips: The model's labels.
        videos: What each labeller comes to on each of the clips.
        differences: The model's headline numbers minus those of the baseline without context.
        background: The class that has no segments, if there is one.
    """

    metrics: Mapping[str, Metrics]
    clips: tuple[LabelledVideo, ...]
    videos: Mapping[str, tuple[VideoMetrics, ...]]
    differences: Mapping[str, Difference]
    background: str | None = None


@dataclass(frozen=True, eq=False)
class AnnotatedTwice:
    """A video that two people annotated.

    Attributes:
        name: The video's.
        seconds: The time of every frame.
        duration_seconds: The time of the end of the last frame.
        one: What the first wrote down; where the two are not alike to a metric, it stands for the truth.
        other: What the second wrote down.
    """

    name: str
    seconds: Float[np.ndarray, " frames"]
    duration_seconds: float
    one: Annotation
    other: Annotation


@dataclass(frozen=True)
class Agreement:
    """How far two annotators agree; ``metrics.headline`` has Cohen's kappa.

    Attributes:
        metrics: Over the frames that both labelled.
        num_only_one: Frames that only the first labelled.
        num_only_other: Frames that only the second labelled.
    """

    metrics: Metrics
    num_only_one: int
    num_only_other: int


def label_features(head: Head, features: ClipFeatures, classes: ClassNames) -> Iterator[FrameLabels]:
    """The labels of stored features, chunk by chunk; the same as of the video itself."""
    sequence = SequenceLabeler(head)
    for chunk in features.chunks():
        yield sequence.label(chunk, classes)


def evaluate_heads(
    head: Head,
    no_context: Head,
    majority: int,
    clips: Sequence[Clip],
    classes: ClassNames,
    background: str | None = None,
) -> Evaluation:
    """The head on every native frame of the clips, beside the baseline without context and the majority class.

    The probabilities of two labellers are held in memory: 8 bytes per frame and class.

    Args:
        head: The model's.
        no_context: The baseline's.
        majority: The class that the other baseline always says.
        clips: With features and targets.
        classes: In the order of the logits.
        background: A class that has no segments, no bouts and no part in the mean average precision.
    """
    return evaluate_labels(
        label_clips(head, clips, classes), label_clips(no_context, clips, classes), majority, classes, background
    )


def evaluate_labels(
    labelled: Sequence[LabelledVideo],
    no_context: Sequence[LabelledVideo],
    majority: int,
    classes: ClassNames,
    background: str | None = None,
) -> Evaluation:
    """What was labelled already, by one head or, in cross-validation, each clip by the one that had not seen it."""
    measurements: dict[str, Measurement] = {
        MODEL: measure(labelled, classes, background),
        NO_CONTEXT: measure(no_context, classes, background),
        MAJORITY: measure([_always(majority, video) for video in labelled], classes, background),
    }
    return Evaluation(
        metrics={name: measurement.metrics for name, measurement in measurements.items()},
        clips=tuple(labelled),
        videos={name: measurement.videos for name, measurement in measurements.items()},
        differences=compare(measurements[MODEL], measurements[NO_CONTEXT]),
        background=background,
    )


def annotator_agreement(videos: Sequence[AnnotatedTwice], background: str | None = None) -> Agreement:
    """Compares two annotators frame by frame, segment by segment and in time: what a model can be expected to reach.

    Args:
        videos: One or more.
        background: The class of frames that no interval covers, which has no segments; without it they are unlabelled.

    Raises:
        AnnotationError: An annotation does not fit its video, or two classes differ by case and blanks alone.
    """
    classes = find_classes([annotation for video in videos for annotation in (video.one, video.other)], background)
    labelled = []
    for video in videos:
        one, other = (
            make_targets(annotation, video.seconds, video.duration_seconds, classes, background)[0]
            for annotation in (video.one, video.other)
        )
        labelled.append(LabelledVideo(video.name, video.name, video.seconds, video.duration_seconds, one, other))
    has_one, has_other = (
        np.concatenate([side != IGNORE_INDEX for side in sides])
        for sides in ([video.targets for video in labelled], [video.labels for video in labelled])
    )
    metrics = measure(labelled, classes, background).metrics
    return Agreement(metrics, int((has_one & ~has_other).sum()), int((has_other & ~has_one).sum()))


def spread_clips(clips: Sequence[Clip], num_frames: int = 50_000) -> list[Clip]:
    """Clips from all over a dataset with about so many frames: enough to tell an agreement of 99.5 % from 99 %."""
    chosen: list[Clip] = []
    for clip in sorted(clips, key=lambda clip: clip.features.video_sha256):
        if num_frames > 0:
            chosen.append(clip)
            num_frames -= len(clip.features.seconds)
    return chosen


def label_agreement(head: Head, pairs: Iterable[tuple[ClipFeatures, ClipFeatures]], classes: ClassNames) -> float:
    """The share of frames to which a head gives one label, whichever of two features of a video it sees."""
    num_equal = num_frames = 0
    for pair in pairs:
        one, other = (_labels_of(head, features, classes) for features in pair)
        num_equal += int((one == other).sum())
        num_frames += len(one)
    return num_equal / num_frames


def _labels_of(head: Head, features: ClipFeatures, classes: ClassNames) -> Int64[np.ndarray, " frames"]:
    return np.concatenate([labels.class_index for labels in label_features(head, features, classes)])


def label_clips(head: Head, clips: Sequence[Clip], classes: ClassNames) -> list[LabelledVideo]:
    """What a head says of clips, beside their targets."""
    return [_label_clip(head, clip, classes) for clip in clips]


def _label_clip(head: Head, clip: Clip, classes: ClassNames) -> LabelledVideo:
    parts = list(label_features(head, clip.features, classes))
    return LabelledVideo(
        name=clip.entry.video.name,
        group=clip.entry.group,
        seconds=clip.features.seconds,
        duration_seconds=clip.features.duration_seconds,
        targets=clip.targets,
        labels=np.concatenate([part.class_index for part in parts]),
        probabilities=np.concatenate([part.probabilities.astype(np.float32) for part in parts]),
    )


def _always(label: int, video: LabelledVideo) -> LabelledVideo:
    return replace(video, labels=np.full_like(video.labels, label), probabilities=None)

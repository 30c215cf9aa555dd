"""A head against annotated clips: the same labels that a user would get, compared with what people wrote down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from videoseq.annotations import ClassNames
from videoseq.clips import Clip
from videoseq.feature_store import ClipFeatures
from videoseq.labeling import SequenceLabeler
from videoseq.labels import FrameLabels, decode
from videoseq.metrics import FrameMetrics, confusion_matrix, frame_metrics, majority_confusion
from videoseq.model import CausalRNN

MODEL, NO_CONTEXT, MAJORITY = "model", "no context", "majority class"
"""The names of the labellers that stand side by side in every result."""


@dataclass(frozen=True, eq=False)
class ClipResult:
    """One clip's targets and the model's labels, frame by frame, as indices into the classes."""

    name: str
    seconds: Float[np.ndarray, " frames"]
    duration_seconds: float
    targets: Int64[np.ndarray, " frames"]
    labels: Int64[np.ndarray, " frames"]
    metrics: FrameMetrics


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics by labeller (:data:`MODEL`, :data:`NO_CONTEXT`, :data:`MAJORITY`), and the model's labels by clip."""

    metrics: Mapping[str, FrameMetrics]
    clips: tuple[ClipResult, ...]


def label_features(head: CausalRNN, features: ClipFeatures, classes: ClassNames) -> Iterator[FrameLabels]:
    """The labels of stored features, chunk by chunk; the same as of the video itself."""
    sequence = SequenceLabeler(head)
    for chunk in features.chunks():
        yield decode(classes, chunk.index, chunk.seconds, chunk.flags, sequence.push(chunk))


def evaluate_heads(
    head: CausalRNN, no_context: CausalRNN, majority: int, clips: Sequence[Clip], classes: ClassNames
) -> Evaluation:
    """The head on every native frame of the clips, beside the baseline without context and the majority class."""
    results: list[ClipResult] = []
    total = np.zeros((len(classes), len(classes)), dtype=np.int64)
    total_no_context = np.zeros_like(total)
    for clip in clips:
        labels = _labels_of(head, clip.features, classes)
        confusion = confusion_matrix(clip.targets, labels, len(classes))
        total += confusion
        total_no_context += confusion_matrix(clip.targets, _labels_of(no_context, clip.features, classes), len(classes))
        features, metrics = clip.features, frame_metrics(confusion, classes)
        name = clip.entry.video.name
        results.append(ClipResult(name, features.seconds, features.duration_seconds, clip.targets, labels, metrics))
    return Evaluation(
        {
            MODEL: frame_metrics(total, classes),
            NO_CONTEXT: frame_metrics(total_no_context, classes),
            MAJORITY: frame_metrics(majority_confusion(total, majority), classes),
        },
        tuple(results),
    )


def spread_clips(clips: Sequence[Clip], num_frames: int = 50_000) -> list[Clip]:
    """Clips from all over a dataset with about so many frames: enough to tell an agreement of 99.5 % from 99 %."""
    chosen: list[Clip] = []
    for clip in sorted(clips, key=lambda clip: clip.features.video_sha256):
        if num_frames > 0:
            chosen.append(clip)
            num_frames -= len(clip.features.seconds)
    return chosen


def label_agreement(head: CausalRNN, pairs: Iterable[tuple[ClipFeatures, ClipFeatures]], classes: ClassNames) -> float:
    """The share of frames to which a head gives one label, whichever of two features of a video it sees."""
    num_equal = num_frames = 0
    for pair in pairs:
        one, other = (_labels_of(head, features, classes) for features in pair)
        num_equal += int((one == other).sum())
        num_frames += len(one)
    return num_equal / num_frames


def _labels_of(head: CausalRNN, features: ClipFeatures, classes: ClassNames) -> Int64[np.ndarray, " frames"]:
    return np.concatenate([labels.class_index for labels in label_features(head, features, classes)])

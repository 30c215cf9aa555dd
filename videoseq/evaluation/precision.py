"""Does a model give the same labels when its features are computed in another precision: bfloat16, 8-bit integers?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int64

from videoseq.annotations.types import ClassNames
from videoseq.data.dataset import Clip
from videoseq.evaluation.evaluate import label_features
from videoseq.features.store import VideoFeatures
from videoseq.inference.labels import num_equal_answers
from videoseq.models.head import Head


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

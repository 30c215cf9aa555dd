"""Accuracy by the time since the first frame of a video.

A recurrent network starts without memory; one that was trained on short windows only also gets worse after them
(Rivoir et al. 2024, arXiv:2203.07976).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.evaluation.metrics.headline import LabeledVideo
from videoseq.evaluation.metrics.ratios import known, ratio

EDGES_SECONDS = (0.0, 1.0, 5.0, 20.0, 60.0, 300.0, 1800.0)
"""Where one span of time ends and the next begins; the last has no end."""


class SinceStart(BaseModel):
    """The labeled frames between two times since the first frame of their video."""

    model_config = ConfigDict(frozen=True)

    from_seconds: float
    to_seconds: float | None
    num_frames: int
    accuracy: float | None


def accuracy_since_start(videos: Sequence[LabeledVideo]) -> list[SinceStart]:
    """Accuracy by time since the start, up to the longest video's; spans without a labeled frame have none."""
    frames, right = np.zeros(len(EDGES_SECONDS), np.int64), np.zeros(len(EDGES_SECONDS), np.int64)
    for video in videos:
        is_labeled = video.targets != IGNORE_INDEX
        since = (video.seconds - video.seconds[:1])[is_labeled]
        span = np.searchsorted(EDGES_SECONDS, since, side="right") - 1
        is_right = (video.targets == video.labels)[is_labeled]
        frames += np.bincount(span, minlength=len(frames))
        right += np.bincount(span[is_right], minlength=len(right))
    num_spans = int(frames.nonzero()[0].max(initial=-1)) + 1
    ends = [*EDGES_SECONDS[1:], None]
    return [
        SinceStart(
            from_seconds=EDGES_SECONDS[i],
            to_seconds=ends[i],
            num_frames=int(frames[i]),
            accuracy=known(ratio(right[i], frames[i])),
        )
        for i in range(num_spans)
    ]

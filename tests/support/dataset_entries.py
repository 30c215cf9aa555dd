"""Entries of a dataset, and features as they are stored for a video."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from videoseq.data.manifest import ClipEntry
from videoseq.errors import Notice
from videoseq.features.store import VideoFeatures


def features(num_frames: int = 10, content: str = "", notices: tuple[Notice, ...] = ()) -> VideoFeatures:
    """A video at 10 fps with a step at every second frame."""
    steps = np.arange(num_frames) % 2 == 0
    return VideoFeatures(
        video_sha256=content,
        seconds=np.arange(num_frames) / 10,
        flags=np.zeros(num_frames, np.int64),
        steps=steps.astype(np.int64),
        features=np.zeros((int(steps.sum()), 3), dtype=np.float32),
        duration_seconds=num_frames / 10,
        notices=notices,
    )


def entry(stem: str, group: str | None = None, split: str | None = None) -> ClipEntry:
    return ClipEntry(Path(f"{stem}.mp4"), Path(f"{stem}.csv"), split, group or stem)

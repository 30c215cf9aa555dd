"""Clips whose features say which clip and which frame they belong to."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.data.dataset import Clip
from videoseq.data.manifest import ClipEntry
from videoseq.data.sequences import SequenceBatches
from videoseq.features.store import VideoFeatures

NUM_CLASSES = 3


def make_clip(number: int, steps: list[int], width: int = 2) -> Clip:
    """A clip whose features say which clip and which sampled frame they are of, and are never 0 as padding is."""
    num_sampled = np.count_nonzero(steps)
    rows = np.stack([np.full(num_sampled, number + 1), np.arange(num_sampled) + 1], axis=1)
    noise = np.random.default_rng(number).normal(size=(num_sampled, width - 2))
    features = VideoFeatures(
        video_sha256=str(number),
        seconds=np.arange(len(steps)) / 10,
        flags=np.zeros(len(steps), np.int64),
        steps=np.array(steps, dtype=np.int64),
        features=np.concatenate([rows, noise], axis=1).astype(np.float32),
        duration_seconds=len(steps) / 10,
        notices=(),
    )
    targets = np.arange(len(steps)) % (NUM_CLASSES + 1)
    targets[targets == NUM_CLASSES] = IGNORE_INDEX
    name = f"{number}.mp4"
    return Clip(ClipEntry(Path(name), Path(f"{name}.csv"), None, name), features, targets.astype(np.int64))


def bytes_of(batches: SequenceBatches) -> list[bytes]:
    """One pass."""
    return [tensor.numpy().tobytes() for batch in batches for tensor in batch]

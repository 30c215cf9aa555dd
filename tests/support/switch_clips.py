"""Clips of features that need memory, and small settings to train on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from videoseq.config.schema import HeadSettings, TrainingSettings
from videoseq.data.dataset import Clip
from videoseq.data.manifest import ClipEntry
from videoseq.features.motion import MOTION_SIZE
from videoseq.features.store import VideoFeatures

APPEARANCE = 8
SIZE = APPEARANCE + MOTION_SIZE
HEAD = HeadSettings(hidden_size=16, projection_size=16, dropout=0.0, components=0, inputs="features")
SETTINGS = TrainingSettings(max_epochs=25, learning_rate=1e-2, tbptt_steps=16, batch_size=4, patience=25)


def make_clip(seed: int, num_frames: int = 70, split: str | None = None, group: str | None = None) -> Clip:
    """A switch flips now and then; the features show the moment of it and nothing else, so the state is memory."""
    random = np.random.default_rng(seed)
    features = random.normal(0.0, 0.05, (num_frames, SIZE)).astype(np.float32)
    targets = np.zeros(num_frames, dtype=np.int64)
    for at in np.cumsum(random.integers(8, 20, size=num_frames // 8)):
        if at < num_frames:
            targets[at:] = 1 - targets[at - 1]
            features[at, targets[at]] += 1.0
    name = f"clip{seed}.mp4"
    seconds = np.arange(num_frames) / 10
    flags = np.zeros(num_frames, np.int64)
    stored = VideoFeatures(f"{seed:064x}", seconds, flags, np.ones(num_frames, np.int64), features, num_frames / 10, ())
    return Clip(ClipEntry(Path(name), Path("x.csv"), split, group or name), stored, targets)


def weights_of(result) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in result.head.state_dict().values()])

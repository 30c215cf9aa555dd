"""Clips of a room where a light goes on."""

from __future__ import annotations

import numpy as np


def light_frames(num_frames: int, switch: int, seed: int) -> list[np.ndarray]:
    """A room that is dark until frame ``switch`` and bright from then on, with noise."""
    random = np.random.default_rng(seed)
    levels = [60 if index < switch else 190 for index in range(num_frames)]
    return [np.clip(random.normal(level, 8.0, (72, 96, 3)), 0, 255).astype(np.uint8) for level in levels]

"""Labeled videos in which classes overlap."""

from __future__ import annotations

import numpy as np

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.evaluation.metrics import LabeledVideo


def video(targets, labels, probabilities=None, *, name="a", fps=10.0) -> LabeledVideo:
    targets, labels = np.array(targets, np.int64), np.array(labels, np.int64)
    given = None if probabilities is None else np.array(probabilities, np.float32)
    seconds = np.arange(len(targets)) / fps
    return LabeledVideo(name, name, seconds, len(targets) / fps, targets, labels, given)


def random_videos(seed: int, num_videos: int = 3, *, num_frames: int = 40) -> list[LabeledVideo]:
    """Some unlabeled frames, and probabilities that know something."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(num_videos):
        targets = (random.random((num_frames, 3)) < (0.2, 0.5, 0.7)).astype(np.int64)
        probabilities = np.clip(0.5 * targets + random.random((num_frames, 3)) * 0.6, 0.01, 0.985).round(2) + 0.003
        targets[random.random(num_frames) < 0.1] = IGNORE_INDEX
        found.append(video(targets, probabilities >= 0.5, probabilities, name=f"v{number}"))
    return found


def joined(videos: list[LabeledVideo]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    targets, labels, scores = (
        np.concatenate([getattr(one, name) for one in videos]) for name in ("targets", "labels", "probabilities")
    )
    kept = targets[:, 0] != IGNORE_INDEX
    return targets[kept], labels[kept], scores[kept]

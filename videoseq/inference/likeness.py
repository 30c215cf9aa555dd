"""How far a video is from what its model learned from, measured while it is labeled."""

from __future__ import annotations

import torch

from videoseq.errors import Notice
from videoseq.features.extraction import FeatureChunk
from videoseq.features.motion import MOTION_SIZE
from videoseq.models.known_groups import KnownGroups, TrainingDistance

_FAR = 1.5  # a new group may be a little farther than all known ones; videos of other data sets were at 1.6 and more


class LikenessMeter:
    """Takes a video's features chunk by chunk.

    Args:
        known: What the model learned from; None where it learned from fewer than two groups, and nothing can be said.
    """

    def __init__(self, known: KnownGroups | None) -> None:
        self._known = known
        self._total: torch.Tensor | None = None
        self._num_steps = 0

    def add(self, chunk: FeatureChunk) -> None:
        """Takes the next frames."""
        if self._known is None or not len(chunk.features):
            return
        total = chunk.features[:, :-MOTION_SIZE].double().sum(dim=0)
        self._total = total if self._total is None else self._total + total
        self._num_steps += len(chunk.features)

    def finish(self) -> TrainingDistance | None:
        """The distance of all that was taken, to a thousandth; None where it is not known."""
        if self._known is None or self._total is None:
            return None
        value, nearest = self._known.distance(self._total / self._num_steps)
        return TrainingDistance(round(value, 3), nearest)


def likeness_notices(video: object, distance: TrainingDistance | None) -> list[Notice]:
    """What to tell about a video that is unlike all that its model learned from."""
    if distance is None or distance.value <= _FAR:
        return []
    text = (
        f"{video}: does not look like the training clips ({distance.value:.1f} times as far from them as their groups "
        f"are from each other at most; the nearest is {distance.nearest_group!r}); check its labels before you use them"
    )
    return [Notice("unlike_training", text)]

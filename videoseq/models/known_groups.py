"""What the groups of a training look like: how far a new video is from them, and so whether to trust its labels.

The distance is Mahalanobis's with a diagonal covariance, between mean features: who and what is seen, and in which
light. Its unit is learned by leaving groups out: at 1 a video is as far from the nearest group as the farthest clip of
the training is from the nearest group other than its own, unless groups are alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from videoseq.errors import ModelError


class TrainingDistance(NamedTuple):
    """How far a video is from what a model learned from, and which group of that is nearest."""

    value: float
    nearest_group: str


@dataclass(frozen=True, eq=False)
class KnownGroups:
    """The groups that a model learned from.

    Attributes:
        names: Of the groups, two or more.
        means: Of each group's CNN features.
        deviation: Of the features within a clip.
        reach: The distance that counts as 1.
    """

    names: tuple[str, ...]
    means: Float[Tensor, "groups features"]
    deviation: Float[Tensor, " features"]
    reach: float

    def distance(self, mean: Float[Tensor, " features"]) -> TrainingDistance:
        """Of a video with this mean of its CNN features."""
        distances = group_distances(mean, self.means, self.deviation)
        nearest = int(distances.argmin())
        return TrainingDistance(float(distances[nearest]) / self.reach, self.names[nearest])

    def tensors(self) -> dict[str, Tensor]:
        """What is saved next to the names and the reach."""
        return {"means": self.means, "deviation": self.deviation}

    @classmethod
    def load(
        cls, names: tuple[str, ...], reach: float, tensors: Mapping[str, Tensor], feature_size: int
    ) -> KnownGroups | None:
        """From what was saved; None where a model has no groups.

        Raises:
            ModelError: The tensors are not those of so many groups and features.
        """
        if not names:
            return None
        expected = {"means": (len(names), feature_size), "deviation": (feature_size,)}
        for name, shape in expected.items():
            tensor = tensors.get(name)
            if tensor is None or tensor.shape != shape or tensor.dtype != torch.float32 or not tensor.isfinite().all():
                raise ModelError(f"known groups: expected {name} of {shape} float32 numbers")
        if reach <= 0 or (tensors["deviation"] <= 0).any():
            raise ModelError("known groups: expected deviations and a reach above 0")
        return cls(names, tensors["means"], tensors["deviation"], reach)


def group_distances(
    mean: Float[Tensor, " features"], means: Float[Tensor, "groups features"], deviation: Float[Tensor, " features"]
) -> Float[Tensor, " groups"]:
    """The root of the mean squared difference in units of the deviation, to each group."""
    return ((mean.double() - means.double()) / deviation.double()).square().mean(dim=1).sqrt()

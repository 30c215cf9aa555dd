"""Features → what the network sees of them: principal components, and motion on one scale; learned once, then fixed."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from videoseq.features.motion import MOTION_SIZE
from videoseq.models.pca import PCA

_MIN_DEVIATION = 1e-3  # of motion: where nothing ever moves, noise is not made large


class Reduction(nn.Module):
    """Feature vectors → components of the CNN's features, then motion where the network sees it.

    Attributes:
        num_appearance: How many of the values come from the CNN's features.
        num_components: How many values there are.
    """

    motion_mean: Float[Tensor, " motion"]
    motion_deviation: Float[Tensor, " motion"]

    def __init__(self, vector_size: int, components: int, *, sees_motion: bool) -> None:
        super().__init__()
        num_features = vector_size - MOTION_SIZE
        if num_features < 1:
            raise ValueError(f"expected feature vectors of more than {MOTION_SIZE} numbers, got {vector_size}")
        self.num_appearance = min(components, num_features) or num_features
        self.num_components = self.num_appearance + (MOTION_SIZE if sees_motion else 0)
        self.sees_motion = sees_motion
        self.pca = PCA(num_features, self.num_appearance) if components else nn.Identity()
        if sees_motion:
            self.register_buffer("motion_mean", torch.zeros(MOTION_SIZE))
            self.register_buffer("motion_deviation", torch.ones(MOTION_SIZE))

    def forward(self, features: Float[Tensor, "batch time features"]) -> Float[Tensor, "batch time components"]:
        """What the network sees of feature vectors."""
        appearance: Tensor = self.pca(features[..., :-MOTION_SIZE])
        if not self.sees_motion:
            return appearance
        motion = (features[..., -MOTION_SIZE:] - self.motion_mean) / self.motion_deviation
        return torch.cat((appearance, motion), dim=-1)

    def take(self, other: Reduction) -> None:
        """Takes what another one learned from the same rows, which sees motion if this one does."""
        self.pca.load_state_dict(other.pca.state_dict())
        if self.sees_motion:
            self.motion_mean.copy_(other.motion_mean)
            self.motion_deviation.copy_(other.motion_deviation)

    def learn(self, parts: Iterable[Float[Tensor, "_rows features"]]) -> None:
        """Takes components, and mean and deviation of motion, from rows of feature vectors, which come in parts."""
        given = list(parts)
        if isinstance(self.pca, PCA):
            self.pca.learn(part[:, :-MOTION_SIZE] for part in given)
        if self.sees_motion:
            motion = torch.cat([part[:, -MOTION_SIZE:] for part in given]).double()
            self.motion_mean.copy_(motion.mean(dim=0))
            self.motion_deviation.copy_(motion.std(dim=0, correction=0).clamp_min(_MIN_DEVIATION))

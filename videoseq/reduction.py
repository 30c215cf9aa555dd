"""Features → their principal components, learnt once, before anything else is fitted."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Reduction(nn.Module):
    """Features → their first principal components, all on one scale; learnt once, then fixed (Pearson 1901)."""

    mean: Float[Tensor, " features"]
    basis: Float[Tensor, "features components"]

    def __init__(self, feature_size: int, num_components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_size))
        # Uniform: on the meta device, where models are loaded, normal draws import a second's worth of torch._dynamo.
        bound = (3 / feature_size) ** 0.5
        self.register_buffer("basis", torch.empty(feature_size, num_components).uniform_(-bound, bound))

    def forward(self, features: Float[Tensor, "batch time features"]) -> Float[Tensor, "batch time components"]:
        """Centred, turned, and scaled so that the components' mean variance is 1."""
        return (features - self.mean) @ self.basis

    def learn(self, parts: Iterable[Float[Tensor, "_rows features"]]) -> None:
        """Takes mean and components from rows of features, which come in parts; directions they lack stay zero."""
        origin, num_rows = None, 0
        total, products = self.mean.double() * 0.0, self.basis.new_zeros(2 * (len(self.mean),), dtype=torch.float64)
        for part in parts:
            origin = part[0].double() if origin is None else origin  # near the mean: sums of squares lose no digits
            rows = part.double() - origin
            total += rows.sum(dim=0)
            products += rows.T @ rows
            num_rows += len(rows)
        if origin is None:
            raise ValueError("expected rows of features, got none")
        mean = total / num_rows
        variances, directions = torch.linalg.eigh(products / num_rows - torch.outer(mean, mean))
        num_components = self.basis.shape[1]
        variances, directions = variances.flip(0)[:num_components], directions.flip(1)[:, :num_components]
        is_spanned = variances > 1e-9 * variances[0]
        scale = variances.mean().clamp_min(torch.finfo(torch.float32).tiny).sqrt()
        self.mean.copy_(origin + mean)
        self.basis.copy_(directions * is_spanned / scale)

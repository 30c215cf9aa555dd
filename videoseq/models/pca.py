"""Features → their principal components, learned once, before anything else is fitted."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn.functional import pad


class PCA(nn.Module):
    """Features → their first principal components, all on one scale; learned once, then fixed (Pearson 1901)."""

    mean: Float[Tensor, " features"]
    basis: Float[Tensor, "features components"]

    def __init__(self, feature_size: int, num_components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_size))
        # Uniform: on the meta device, where models are loaded, normal draws import a second's worth of torch._dynamo.
        bound = (3 / feature_size) ** 0.5
        self.register_buffer("basis", torch.empty(feature_size, num_components).uniform_(-bound, bound))

    def forward(self, features: Float[Tensor, "batch time features"]) -> Float[Tensor, "batch time components"]:
        """Centered, turned, and scaled so that the components' mean variance is 1."""
        return (features - self.mean) @ self.basis

    def learn(self, parts: Iterable[Float[Tensor, "_rows features"]]) -> None:
        """Takes mean and components from rows of features, which come in parts; directions they lack stay zero."""
        given = [part.double() for part in parts]
        if not given:
            raise ValueError("expected rows of features, got none")
        rows = torch.cat(given)
        mean = rows.mean(dim=0)
        variances, directions = _principal(rows - mean)
        num_missing = max(0, self.basis.shape[1] - len(variances))
        variances = pad(variances, (0, num_missing))[: self.basis.shape[1]]
        directions = pad(directions, (0, num_missing))[:, : self.basis.shape[1]]
        is_spanned = variances > 1e-9 * variances[0]
        scale = variances.mean().clamp_min(torch.finfo(torch.float32).tiny).sqrt()
        self.mean.copy_(mean)
        self.basis.copy_(directions * is_spanned / scale)


def _principal(
    centered: Float64[Tensor, "rows features"],
) -> tuple[Float64[Tensor, " directions"], Float64[Tensor, "features directions"]]:
    """Variances in falling order and their directions, by the smaller of the two matrices that have them."""
    num_rows, num_features = centered.shape
    if num_features <= num_rows:
        variances, directions = torch.linalg.eigh(centered.T @ centered / num_rows)
    else:
        variances, of_rows = torch.linalg.eigh(centered @ centered.T / num_rows)
        directions = nn.functional.normalize(centered.T @ of_rows, dim=0)
    return variances.flip(0), directions.flip(1)

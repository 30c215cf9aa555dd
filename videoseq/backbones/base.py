"""What every backbone is: preprocessing, a pretrained CNN in eval mode, and an identity that a model can record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn


class Preprocessing(BaseModel):
    """How a frame becomes the CNN's input: the whole picture resized with antialiasing, then (x − mean) / std.

    Nothing is cropped: what a behaviour looks like at the edge of the picture counts as much as in its middle.

    Attributes:
        height: Input rows.
        width: Input columns.
        interpolation: Kernel of the antialiased resize.
        mean: Per RGB channel, on the scale 0–255.
        std: Per RGB channel, on the scale 0–255.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    height: int
    width: int
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def resize(self, image: UInt8[np.ndarray, "height width 3"]) -> UInt8[Tensor, "3 input_height input_width"]:
        """An RGB image at the CNN's input size, still as bytes; ``Backbone`` normalises."""
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None]  # channels last in memory: the fast path for bytes
        resized = nn.functional.interpolate(
            pixels,
            size=(self.height, self.width),
            mode=self.interpolation,
            antialias=True,
            align_corners=False,
        )
        return resized[0]


class BackboneIdentity(BaseModel):
    """Which backbone made a feature vector: two equal identities make equal features.

    Attributes:
        name: As in the settings.
        weights_sha256: Of the package's weight file for the lite backbones, of the tensors for ``timm:`` ones.
        feature_size: Length of a feature vector.
        preprocessing: What happens to a frame before the CNN.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    weights_sha256: str
    feature_size: Annotated[int, Field(ge=1, le=65536)]
    preprocessing: Preprocessing

    @property
    def sha256(self) -> str:
        """A digest of the whole identity, for cache keys."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class Backbone(nn.Module):
    """A frozen CNN with its preprocessing: uint8 images → feature vectors.

    BatchNorm stays in eval mode whatever ``train()`` says: batch statistics would mix the frames of a batch, future
    ones among them.

    Attributes:
        identity: Name, weights' hash, preprocessing, feature size.
        weights_are_packaged: Whether the weights come with an installed package; if not, a model carries them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, identity: BackboneIdentity, *, weights_are_packaged: bool) -> None:
        super().__init__()
        self.identity = identity
        self.weights_are_packaged = weights_are_packaged
        self.network = network.requires_grad_(requires_grad=False)
        self.register_buffer("mean", torch.tensor(identity.preprocessing.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(identity.preprocessing.std).view(3, 1, 1), persistent=False)
        self.train(mode=False)

    def train(self, mode: bool = True) -> Backbone:  # noqa: FBT001, FBT002 (torch's signature)
        """Stays in eval mode; ``mode`` is torch's and has no effect."""
        del mode
        return super().train(mode=False)

    def forward(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features"]:
        """Feature vectors of images that ``identity.preprocessing.resize`` made."""
        features: Tensor = self.network(self.normalise(images))
        return features

    def normalise(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        """What the network itself is given."""
        normalised: Tensor = (images.to(self.mean.dtype) - self.mean) / self.std
        return normalised


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """A digest of names, dtypes, shapes and values, independent of the file they came from."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{array.dtype}|{tuple(array.shape)}|".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

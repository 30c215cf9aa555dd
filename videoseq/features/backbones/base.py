"""What every backbone is: preprocessing, a pretrained CNN in eval mode, and an identity that a model can record."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from videoseq.config.schema import LastBlocks
from videoseq.errors import ConfigError
from videoseq.features.motion import MOTION_SIZE, MOTION_VERSION


class Preprocessing(BaseModel):
    """How a frame becomes the CNN's input: the whole image resized with antialiasing, then (x − mean) / std.

    Nothing is cropped: what a behavior looks like at the edge of the image counts as much as in its middle.

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
        """An RGB image at the CNN's input size, still as bytes; ``Backbone`` normalizes."""
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
        weights_sha256: Of the package's weight file for the lite backbones; of the tensors for ``timm:`` ones and for
            all that were fine-tuned.
        feature_size: Length of what the CNN makes of an image.
        bands: Horizontal bands of the image, whose features are concatenated from the top down.
        preprocessing: What happens to a frame before the CNN.
        motion_version: Of the motion that follows the CNN's features in a vector.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    weights_sha256: str
    feature_size: Annotated[int, Field(ge=1, le=65536)]
    bands: Annotated[int, Field(ge=1, le=7)] = 1
    preprocessing: Preprocessing
    motion_version: int = MOTION_VERSION

    @property
    def vector_size(self) -> int:
        """The length of a feature vector: the CNN's features, then motion."""
        return self.feature_size + MOTION_SIZE

    @property
    def sha256(self) -> str:
        """A digest of the whole identity, for cache keys."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class DivisibleNetwork(nn.Module, ABC):
    """A network that can be run up to one of its blocks, and from there on."""

    @abstractmethod
    def divided(self, num_blocks: int) -> tuple[nn.Module, nn.Module]:
        """The network before its last blocks, and those blocks; both share their parameters with the network."""


class Backbone(nn.Module):
    """A frozen CNN with its preprocessing: uint8 images → feature vectors.

    BatchNorm stays in eval mode, even after ``train()``: batch statistics would mix the frames of a batch, future
    ones among them.

    Attributes:
        identity: Name, weights' hash, preprocessing, feature size.
        weights_are_packaged: Whether the weights come with an installed package; if not, a model carries them.
        blocks: Names of the network's parameters from the input to the output: of the stem, then of each block; those
            between two blocks belong to the first of them, those after the last to the last.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        identity: BackboneIdentity,
        *,
        weights_are_packaged: bool,
        blocks: tuple[tuple[str, ...], ...] = (),
    ) -> None:
        super().__init__()
        self.identity = identity
        self.weights_are_packaged = weights_are_packaged
        self.blocks = blocks
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
        features: Tensor = self.network(self.normalize(images))
        return features

    def last_parameters(self, num_blocks: LastBlocks) -> list[nn.Parameter]:
        """The parameters of so many last blocks, or of all blocks and the stem.

        Raises:
            ConfigError: There are not so many blocks.
        """
        num_known = max(0, len(self.blocks) - 1)
        if num_blocks != "all" and num_blocks > num_known:
            name = self.identity.name
            raise ConfigError(
                f"backbone.trainable: expected a number up to {num_known} or all, got {num_blocks}; "
                f"{name} has {num_known} blocks"
            )
        chosen = self.blocks if num_blocks == "all" else self.blocks[len(self.blocks) - num_blocks :]
        return [self.network.get_parameter(name) for names in chosen for name in names]

    def divided(self, num_blocks: LastBlocks) -> tuple[Callable[[Tensor], Tensor] | None, Callable[[Tensor], Tensor]]:
        """The network in two parts: what comes before its last blocks, and those blocks.

        There is no first step where the network cannot be divided, or would hand over more bytes than it is given.
        """
        if num_blocks != "all" and isinstance(self.network, DivisibleNetwork):
            before, rest = self.network.divided(num_blocks)
            shape = 1, 3, self.identity.preprocessing.height, self.identity.preprocessing.width
            with torch.no_grad():
                handed_over = before(self.normalize(torch.zeros(shape, dtype=torch.uint8)))
            if handed_over.nbytes <= math.prod(shape):
                return lambda images: before(self.normalize(images)), rest
        return None, self

    def with_own_weights(self) -> Backbone:
        """The same network, whose weights are no package's any more: frozen, and named after their values."""
        digest = tensors_sha256(self.network.state_dict())
        identity = self.identity.model_copy(update={"weights_sha256": digest})
        return Backbone(self.network, identity, weights_are_packaged=False, blocks=self.blocks)

    def normalize(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        """What the network itself is given."""
        normalized: Tensor = (images.to(self.mean.dtype) - self.mean) / self.std
        return normalized


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """A digest of names, dtypes, shapes and values, independent of the file they came from."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{array.dtype}|{tuple(array.shape)}|".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

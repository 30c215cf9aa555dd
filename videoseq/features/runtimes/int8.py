"""A backbone in 8-bit integers, as a model carries it, and where it is from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, UInt8
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from videoseq.errors import ModelError
from videoseq.features.backbones import BackboneIdentity


class Quantization(BaseModel):
    """How a model came to its network in 8-bit integers, and on what its labels were compared with float32's.

    Attributes:
        network_sha256: Of the network (:attr:`QuantizedNetwork.sha256`).
        num_calibration_images: Images on which the ranges of its activations were found.
        num_calibration_videos: Videos that these are from.
        num_compared_frames: Frames whose labels were compared.
        num_compared_videos: Videos that these are from.
        compared_on_other_videos: Whether no video served for both.
        cosine: Of its features to float32's, on average over what was compared.
        versions: Of what made it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network_sha256: str
    num_calibration_images: int
    num_calibration_videos: int
    num_compared_frames: int
    num_compared_videos: int
    compared_on_other_videos: bool
    cosine: float
    versions: dict[str, str]


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """A backbone in 8-bit integers, as OpenVINO keeps networks.

    Attributes:
        graph: XML.
        weights: What the graph's constants refer to.
        probe_features: What it answers to :func:`probe_image`, where its labels were compared with float32's.
    """

    graph: bytes
    weights: bytes
    probe_features: Float[Tensor, "1 features"]

    @cached_property
    def sha256(self) -> str:
        """Of graph and weights: two equal ones make equal features."""
        return hashlib.sha256(hashlib.sha256(self.graph).digest() + self.weights).hexdigest()

    def tensors(self) -> dict[str, Tensor]:
        """All of it as tensors to be saved."""
        graph, weights = (
            torch.from_numpy(np.frombuffer(bytearray(part), np.uint8)) for part in (self.graph, self.weights)
        )
        return {"xml": graph, "bin": weights, "probe": self.probe_features}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], feature_size: int) -> QuantizedNetwork:
        """What :meth:`tensors` was taken of; the bytes are OpenVINO's to read, if it is asked to.

        Raises:
            ModelError: It is something else.
        """
        expected = {"xml": "torch.uint8 × 1", "bin": "torch.uint8 × 1", "probe": "torch.float32 × 2"}
        got = {name: f"{tensor.dtype} × {tensor.ndim}" for name, tensor in tensors.items()}
        if got != expected or tensors["probe"].shape != (1, feature_size):
            raise ModelError(f"int8 network: expected {expected} with {feature_size} features, got {got}")
        return cls(tensors["xml"].numpy().tobytes(), tensors["bin"].numpy().tobytes(), tensors["probe"])


def probe_image(identity: BackboneIdentity) -> UInt8[Tensor, "1 3 height width"]:
    """Noise, always the same: what a runtime answers to it shows whether it is what it should be."""
    size = identity.preprocessing.height, identity.preprocessing.width
    return torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

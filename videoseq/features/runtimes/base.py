"""The interface of all runtimes."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float, UInt8
from torch import Tensor

from videoseq.config.runtime import Precision
from videoseq.errors import Notice
from videoseq.features.backbones import BackboneIdentity


class Runtime(ABC):
    """Runs one backbone.

    Attributes:
        identity: Of the backbone that it runs.
        description: Shown in reports, such as ``torch 2.13.0, bfloat16, 2 × 1 thread``.
        precision: Of weights and activations.
        num_streams: How many threads may call it at the same time.
        batch_images: How many images a call should bring.
    """

    identity: BackboneIdentity
    description: str
    precision: Precision
    num_streams: int
    batch_images: int

    @property
    def notices(self) -> list[Notice]:
        """What a user should know about the calls until now."""
        return []

    @property
    def arithmetic(self) -> str:
        """Distinguishes its features from those that the same backbone computes in another arithmetic."""
        return self.precision

    @abstractmethod
    def __call__(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features"]:
        """Features of resized images."""

"""What every runtime is, and how one is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, get_args

from jaxtyping import Float, UInt8
from torch import Tensor

from videoseq.backbones import BackboneIdentity
from videoseq.errors import ConfigError, did_you_mean

Precision = Literal["float32", "bfloat16", "float16", "int8"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
LIBRARIES = ("torch", "openvino")


@dataclass(frozen=True)
class RuntimeChoice:
    """What runs the backbone; ``auto`` is the fastest that this machine has and that gives the same labels.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        library: ``auto``, ``torch`` or ``openvino``.
        precision: ``auto``, ``float32``, ``bfloat16``, ``float16`` or ``int8``, of weights and activations; features
            are float32 in the end. ``auto`` is float32 unless a model is known to give the same labels in fewer bits.
        num_threads: Cores that the CNN may keep busy; None for all that this process may use, up to sixteen.

    Raises:
        ConfigError: On construction, when a name is unknown.
    """

    device: str = "auto"
    library: str = "auto"
    precision: str = "auto"
    num_threads: int | None = None

    def __post_init__(self) -> None:
        for name, value, known in (("runtime", self.library, LIBRARIES), ("precision", self.precision, PRECISIONS)):
            if value != "auto" and value not in known:
                expected = ", ".join(("auto", *known))
                raise ConfigError(f"{name}: expected {expected}, got {value!r}{did_you_mean(value, known)}")


class Runtime(ABC):
    """Runs one backbone.

    Attributes:
        identity: Of the backbone that it runs.
        description: What a report says about it, such as ``torch 2.13.0, bfloat16, 2 × 1 thread``.
        precision: Of weights and activations.
        num_streams: How many calls it may be in at once, each from a thread of its own.
        batch_images: How many images a call should bring.
    """

    identity: BackboneIdentity
    description: str
    precision: Precision
    num_streams: int
    batch_images: int

    @property
    def arithmetic(self) -> str:
        """What tells its features from those that are made of the same backbone in another way."""
        return self.precision

    @abstractmethod
    def __call__(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features"]:
        """Features of resized images."""

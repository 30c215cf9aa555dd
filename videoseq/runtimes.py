"""How a backbone runs on this machine: uint8 images in, float32 features on the CPU out."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from itertools import pairwise
from typing import TypeVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from videoseq.backbones import Backbone, BackboneIdentity
from videoseq.errors import ConfigError

Network = TypeVar("Network", bound=nn.Module)


class Runtime(ABC):
    """Runs one backbone.

    Attributes:
        identity: Of the backbone that it runs.
        description: What a report says about it, such as ``torch 2.13.0 on cpu``.
    """

    identity: BackboneIdentity
    description: str

    @abstractmethod
    def __call__(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features"]:
        """Features of resized images."""


class TorchRuntime(Runtime):
    """PyTorch in float32, channels last, BatchNorm folded into the convolutions, on the CPU or a CUDA device.

    The backbone itself stays as it is: a model that carries it must be able to save it.
    """

    def __init__(self, backbone: Backbone, device: torch.device) -> None:
        self.identity = backbone.identity
        self.description = f"torch {torch.__version__} on {device}"
        self._device = device
        folded = fold_batch_norm(copy.deepcopy(backbone))
        self._backbone = folded.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this keyword pair

    def __call__(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features"]:
        """Features of resized images."""
        with torch.inference_mode():
            placed = images.to(self._device, memory_format=torch.channels_last)
            features: Tensor = self._backbone(placed)
            return features.float().cpu()


def fold_batch_norm(network: Network) -> Network:
    """The network, changed in place: a convolution before a BatchNorm in a ``Sequential`` takes its work over.

    In eval mode a BatchNorm is a scale and a shift of each channel, which the convolution's weights can hold.
    """
    for sequence in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for index, (first, second) in enumerate(pairwise(list(sequence))):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                sequence[index] = fuse_conv_bn_eval(first, second)
                sequence[index + 1] = nn.Identity()
    return network


def choose_device(name: str = "auto") -> torch.device:
    """The device called ``auto`` (CUDA if there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ConfigError: The name is unknown, or the machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device: expected auto, cpu, cuda or cuda:N, got {name!r}") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device: expected auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device: {name} asked for, but torch sees {torch.cuda.device_count()} CUDA devices here")
    return device


def select_runtime(backbone: Backbone, device: str = "auto") -> Runtime:
    """The fastest runtime for a backbone that this machine has."""
    return TorchRuntime(backbone, choose_device(device))

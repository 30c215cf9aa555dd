"""PyTorch runs the backbone, on the CPU or on a CUDA device."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from videoseq.config.runtime import Precision
from videoseq.errors import ConfigError, Notice
from videoseq.features.backbones import Backbone
from videoseq.features.runtimes.base import Runtime

Network = TypeVar("Network", bound=nn.Module)

_DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16
}  # fmt: skip
_CPU_BATCH_IMAGES = 2  # more fall out of a core's own cache
_CUDA_BATCH_IMAGES = 64
_CUDA_STREAMS = 2  # one batch is gathered while the other is computed


class TorchRuntime(Runtime):
    """PyTorch, channels last, BatchNorm folded into the convolutions.

    On the CPU each of ``num_threads`` calls runs on one thread: they never wait for each other, and what they give
    depends neither on the number of cores nor on how many images a call brings. The backbone itself stays as it is: a
    model that carries it must be able to save it.
    """

    def __init__(self, backbone: Backbone, device: torch.device, precision: Precision, num_threads: int) -> None:
        self.identity = backbone.identity
        self.precision = precision
        is_on_cpu = device.type == "cpu"
        self.num_streams = num_threads if is_on_cpu else _CUDA_STREAMS
        self.batch_images = _CPU_BATCH_IMAGES if is_on_cpu else _CUDA_BATCH_IMAGES
        where = f"{num_threads} × 1 CPU thread" if is_on_cpu else torch.cuda.get_device_name(device)
        self.description = f"torch {torch.__version__}, {precision}, {where}"
        self._device = device
        self._backbone = fold_batch_norm(copy.deepcopy(backbone)).to(device)
        self._dtype = _DTYPES[precision]
        network = self._backbone.network.to(dtype=self._dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this keyword pair
        self._network: Callable[[Tensor], Tensor] = network

    @property
    def notices(self) -> list[Notice]:
        """That a device had no room for as many images at once as were meant for it."""
        if self._device.type == "cpu" or self.batch_images == _CUDA_BATCH_IMAGES:
            return []
        text = f"{self._device} has no room for {_CUDA_BATCH_IMAGES} images at once"
        return [Notice("cnn_batch_halved", f"{text}; the CNN takes {self.batch_images}")]

    def __call__(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features"]:
        """Features of resized images; where a device has no room for so many at once, in halves from then on."""
        try:
            return self._compute(images)
        except torch.OutOfMemoryError:
            if len(images) == 1:
                text = f"{self._device}: expected room for one image, got none; use --device cpu"
                raise ConfigError(text) from None
        torch.cuda.empty_cache()
        half = -(-len(images) // 2)
        self.batch_images = min(self.batch_images, half)
        return torch.cat([self(part) for part in torch.tensor_split(images, 2)])

    def _compute(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features"]:
        with torch.inference_mode():
            if self._device.type == "cuda":
                images = images.pin_memory().to(self._device, non_blocking=True)
            inputs = self._backbone.normalize(images)  # in float32: the mean would lose digits in 16 bits
            placed = inputs.to(dtype=self._dtype, memory_format=torch.channels_last)
            return self._network(placed).float().cpu()


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

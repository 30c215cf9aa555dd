"""How a backbone runs on this machine: uint8 images in, float32 features on the CPU out."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import torch

from videoseq.backbones import Backbone
from videoseq.errors import ConfigError
from videoseq.runtimes import openvino_runtime
from videoseq.runtimes.base import LIBRARIES, PRECISIONS, Precision, Runtime, RuntimeChoice
from videoseq.runtimes.machine import choose_device, cpu_computes_bfloat16, num_usable_cores
from videoseq.runtimes.torch_runtime import TorchRuntime, fold_batch_norm

__all__ = [
    "LIBRARIES",
    "PRECISIONS",
    "Precision",
    "Runtime",
    "RuntimeChoice",
    "TorchRuntime",
    "available_choices",
    "choose_device",
    "fold_batch_norm",
    "num_usable_cores",
    "select_runtime",
]

_MAX_THREADS = 16  # unasked; more would wait for one video's decoder, and every one of them takes memory


def select_runtime(backbone: Backbone, choice: RuntimeChoice | None = None, trusted: Collection[str] = ()) -> Runtime:
    """What runs a backbone here: as chosen, and for the rest the fastest that this machine has.

    ``auto`` takes a CUDA device before the CPU, and OpenVINO before torch on the CPU. It computes in float32, or, where
    the CPU does bfloat16 in hardware and the model has been seen to give the same labels in it, in bfloat16.

    Args:
        backbone: What is to be run.
        choice: By whom, where, how.
        trusted: Precisions in which the model gives float32's labels (:attr:`videoseq.bundle.Bundle.trusted`).

    Raises:
        ConfigError: The machine lacks what was asked for.
    """
    choice = choice or RuntimeChoice()
    num_threads = choice.num_threads or min(num_usable_cores(), _MAX_THREADS)
    device = choose_device("cpu" if choice.library == "openvino" and choice.device == "auto" else choice.device)
    if device.type == "cuda":
        if choice.library == "openvino":
            raise ConfigError("runtime: openvino runs on the CPU; leave out --device, or say --runtime torch")
        return TorchRuntime(backbone, device, _precision(choice, "float32"), num_threads)
    precision = _precision(choice, "bfloat16" if "bfloat16" in trusted and cpu_computes_bfloat16() else "float32")
    if precision == "float16":
        raise ConfigError("precision: float16 needs a CUDA device; on the CPU expected float32 or bfloat16")
    if choice.library == "openvino" and not openvino_runtime.is_available():
        raise ConfigError('runtime: openvino is not installed: pip install "videoseq[openvino]"')
    if choice.library != "torch" and openvino_runtime.is_available():
        try:
            return openvino_runtime.OpenVINORuntime(backbone, precision, num_threads)
        except ConfigError:
            if choice.library == "openvino":
                raise  # else torch does it, as its description says
    return TorchRuntime(backbone, device, precision, num_threads)


def available_choices() -> list[RuntimeChoice]:
    """Everything on this machine that can run a backbone at a speed worth having."""
    precisions = ("float32", "bfloat16") if cpu_computes_bfloat16() else ("float32",)
    libraries = ("openvino", "torch") if openvino_runtime.is_available() else ("torch",)
    choices = [RuntimeChoice("cpu", library, precision) for library in libraries for precision in precisions]
    if torch.cuda.is_available():
        choices += [RuntimeChoice("cuda", "torch", precision) for precision in PRECISIONS]
    return choices


def _precision(choice: RuntimeChoice, best: Precision) -> Precision:
    return best if choice.precision == "auto" else cast(Precision, choice.precision)

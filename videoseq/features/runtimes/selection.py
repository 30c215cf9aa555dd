"""Which library, device and precision run a backbone on this machine."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import torch

from videoseq.config.runtime import PRECISIONS, Precision, RuntimeChoice
from videoseq.errors import ConfigError
from videoseq.features.backbones import Backbone
from videoseq.features.runtimes import openvino_runtime
from videoseq.features.runtimes.base import Runtime
from videoseq.features.runtimes.int8 import QuantizedNetwork
from videoseq.features.runtimes.torch_runtime import TorchRuntime
from videoseq.system.hardware import cpu_computes_bfloat16, num_usable_cores
from videoseq.system.processes import check_not_forked
from videoseq.system.torch_devices import choose_device

_MAX_THREADS = 16  # unasked; more would wait for one video's decoder, and every one of them takes memory


def select_runtime(
    backbone: Backbone,
    choice: RuntimeChoice | None = None,
    trusted: Collection[str] = (),
    quantized: QuantizedNetwork | None = None,
) -> Runtime:
    """The runtime for a backbone: as chosen, and for the rest the fastest that this machine has.

    ``auto`` takes a CUDA device before the CPU, and OpenVINO before torch on the CPU. It computes in 8-bit integers if
    the model brings the network for it; or, where the CPU does it in hardware, in bfloat16; both only if the model has
    been seen to give the same labels; else in float32.

    Args:
        backbone: The CNN.
        choice: Device, library, precision and threads; by default all are chosen here.
        trusted: Precisions in which the model gives float32's labels
            (:attr:`videoseq.models.model_folder.ModelFolder.trusted`).
        quantized: The backbone in 8-bit integers, where the model has been quantized.

    Raises:
        ConfigError: The machine lacks what was asked for.
        ModelError: The network in 8-bit integers is none.
        RuntimeError: This is a fork of a process that computes.
    """
    check_not_forked()
    choice = choice or RuntimeChoice()
    num_threads = choice.num_threads or min(num_usable_cores(), _MAX_THREADS)
    is_for_cpu = choice.device == "auto" and (choice.library == "openvino" or choice.precision == "int8")
    device = choose_device("cpu" if is_for_cpu else choice.device)
    if choice.precision == "int8":
        _check_int8(choice, device, quantized)
    if device.type == "cuda":
        if choice.library == "openvino":
            raise ConfigError("runtime: openvino runs on the CPU; leave out --device, or use --runtime torch")
        precision = _precision(choice, "float32")
        return TorchRuntime(backbone, device, precision, num_threads)
    if choice.library == "openvino" and not openvino_runtime.is_available():
        raise ConfigError('runtime: openvino is not installed: pip install "videoseq[openvino]"')
    if quantized is not None and _takes_int8(choice, trusted):
        try:
            return openvino_runtime.OpenVINORuntime(backbone, "int8", num_threads, quantized)
        except ConfigError:
            if choice.precision == "int8":
                raise  # else this CPU is to compute in floating point
    precision = _precision(choice, "bfloat16" if "bfloat16" in trusted and cpu_computes_bfloat16() else "float32")
    return _in_floating_point(backbone, choice, precision, num_threads)


def _in_floating_point(backbone: Backbone, choice: RuntimeChoice, precision: Precision, num_threads: int) -> Runtime:
    """What runs a backbone on the CPU."""
    if precision == "float16":
        raise ConfigError("precision: float16 needs a CUDA device; on the CPU expected float32 or bfloat16")
    if choice.library != "torch" and openvino_runtime.is_available():
        try:
            return openvino_runtime.OpenVINORuntime(backbone, precision, num_threads)
        except ConfigError:
            if choice.library == "openvino":
                raise  # otherwise torch does it; the runtime's description shows that
    device = choose_device("cpu")
    return TorchRuntime(backbone, device, precision, num_threads)


def _check_int8(choice: RuntimeChoice, device: torch.device, quantized: QuantizedNetwork | None) -> None:
    """Raises if something is missing for 8-bit integers."""
    if quantized is None:
        raise ConfigError(
            "precision: int8 needs a model that was quantized, and there is none here; make one of a model with: "
            "videoseq quantize MODEL VIDEO… --out MODEL8"
        )
    if choice.library == "torch" or device.type == "cuda":
        raise ConfigError("precision: int8 is computed by OpenVINO on the CPU; leave out --runtime and --device")
    if not openvino_runtime.is_available():
        raise ConfigError('precision: int8 needs OpenVINO, which is not installed: pip install "videoseq[openvino]"')


def _takes_int8(choice: RuntimeChoice, trusted: Collection[str]) -> bool:
    if choice.precision == "auto":
        return "int8" in trusted and choice.library != "torch" and openvino_runtime.is_available()
    return choice.precision == "int8"


def available_choices() -> list[RuntimeChoice]:
    """Everything on this machine that can run a backbone as it is at a speed worth having."""
    precisions = ("float32", "bfloat16") if cpu_computes_bfloat16() else ("float32",)
    libraries = ("openvino", "torch") if openvino_runtime.is_available() else ("torch",)
    choices = [RuntimeChoice("cpu", library, precision) for library in libraries for precision in precisions]
    if torch.cuda.is_available():
        choices += [RuntimeChoice("cuda", "torch", precision) for precision in PRECISIONS if precision != "int8"]
    return choices


def _precision(choice: RuntimeChoice, best: Precision) -> Precision:
    return best if choice.precision == "auto" else cast(Precision, choice.precision)

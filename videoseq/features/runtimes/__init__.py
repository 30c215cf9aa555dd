"""How a backbone runs on this machine: uint8 images in, float32 features on the CPU out."""

from __future__ import annotations

from videoseq.features.runtimes.base import Runtime
from videoseq.features.runtimes.int8 import QuantizedNetwork
from videoseq.features.runtimes.selection import available_choices, select_runtime
from videoseq.features.runtimes.torch_runtime import TorchRuntime, fold_batch_norm

__all__ = ["QuantizedNetwork", "Runtime", "TorchRuntime", "available_choices", "fold_batch_norm", "select_runtime"]

"""Where torch computes: which device, and on how many cores."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

from videoseq.errors import ConfigError


@contextmanager
def one_core() -> Iterator[None]:
    """Inside, torch computes on one core in this thread; its other threads would spin where the CNN needs the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_core_threads(number: int, name: str) -> ThreadPoolExecutor:
    """Threads in each of which torch computes on one core; ``name`` is shown by debuggers."""
    return ThreadPoolExecutor(number, f"videoseq-{name}", torch.set_num_threads, (1,))


def random_state(device: torch.device) -> dict[str, Tensor]:
    """What torch draws from, on the CPU and on a device."""
    on_gpu = {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}
    return {"cpu": torch.get_rng_state(), **on_gpu}


def set_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Has torch draw what it would have drawn when :func:`random_state` gave this."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


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

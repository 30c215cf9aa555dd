"""Where torch computes: which device, and on how many cores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

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

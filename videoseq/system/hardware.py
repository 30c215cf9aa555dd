"""What this machine has: cores, number formats, versions; without torch, which takes a second to import."""

from __future__ import annotations

import math
import os
import platform
from importlib import metadata
from pathlib import Path

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_CPU_INFO = Path("/proc/cpuinfo")


def num_usable_cores() -> int:
    """Cores that this process may keep busy: those it may run on, and no more than a container's quota pays for."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CGROUP_QUOTA.read_text(encoding="ascii").split()
        cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no control groups here, or "max": no quota
        pass
    return max(1, cores)


def cpu_name() -> str:
    """What the CPU calls itself."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def cpu_computes_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware; where it does not, bfloat16 is slower than float32."""
    return bool(_cpu_flags() & {"avx512_bf16", "amx_bf16", "bf16"})


def cpu_adds_int8_exactly() -> bool:
    """Whether the CPU adds up products of 8-bit integers in 32 bits; older ones cut sums off at 16."""
    return bool(_cpu_flags() & {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})


def _cpu_flags() -> set[str]:
    try:
        return set(_CPU_INFO.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return set()


def library_versions() -> dict[str, str]:
    """The versions that a model records."""
    names = ("videoseq", "torch", "opencv-python", "pytorch-lightning", "numpy", "safetensors")
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"

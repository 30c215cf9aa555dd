"""How many images a second a runtime does on this machine."""

from __future__ import annotations

import time

import torch

from videoseq.features.runtimes.base import Runtime
from videoseq.system.torch_devices import one_core_threads


def measure_speed(runtime: Runtime, seconds: float = 1.0) -> float:
    """Images a second, called as labeling calls it: from as many threads as it has streams, torch on one core in each.

    Args:
        runtime: Whose speed.
        seconds: How long to measure; a short run before counts for nothing.
    """
    preprocessing = runtime.identity.preprocessing
    shape = (runtime.batch_images, 3, preprocessing.height, preprocessing.width)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    def run(until: float) -> int:
        num_images = 0
        while num_images == 0 or time.perf_counter() < until:
            num_images += len(runtime(images))
        return num_images

    with one_core_threads(runtime.num_streams, "cnn") as threads:
        list(threads.map(run, [time.perf_counter() + seconds / 10] * runtime.num_streams))
        start = time.perf_counter()
        num_images = sum(threads.map(run, [start + seconds] * runtime.num_streams))
        return num_images / (time.perf_counter() - start)

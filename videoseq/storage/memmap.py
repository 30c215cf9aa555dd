"""Arrays on disk that do not stay in memory."""

from __future__ import annotations

import mmap

import numpy as np
from jaxtyping import Float32


def release_pages(features: Float32[np.ndarray, "sampled features"]) -> None:
    """Unmaps the pages that were read, which else count as this process's memory until all of a dataset does.

    The system keeps them in its page cache for as long as it has room, so that the next pass finds them there.
    """
    if isinstance(features, np.memmap) and features.mode == "r":
        mapped: object = features.base
        if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            mapped.madvise(mmap.MADV_DONTNEED)

"""The folder for what can be computed again: features of videos, measured speeds."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """``$VIDEOSEQ_CACHE``, else ``~/.cache/videoseq``; it need not exist yet."""
    return Path(os.environ.get("VIDEOSEQ_CACHE") or Path.home() / ".cache" / "videoseq")


def cache_folder(cache: Path | None = None) -> Path:
    """The folder of the features: the given one, by default a folder in :func:`cache_root`."""
    return cache_root() / "features" if cache is None else cache

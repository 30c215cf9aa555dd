"""Where the labels of a video lie."""

from __future__ import annotations

from pathlib import Path


def label_paths(target: Path) -> tuple[Path, Path]:
    """Where the labels of a video go: ``target`` plus ``.frames.csv`` and ``.segments.csv``."""
    return target.with_name(f"{target.name}.frames.csv"), target.with_name(f"{target.name}.segments.csv")

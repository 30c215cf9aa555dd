"""The packages of videoseq, in the order of the data."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
LEVELS = (
    "errors",
    "config storage system",
    "video annotations",
    "features",
    "data models",
    "inference",
    "jobs",
    "export",
    "evaluation",
    "training",
    "report",
    "api",
)
"""Top-level names of videoseq, in the order of the data; those of one level do not import each other."""
LEVEL_OF = {name: number for number, level in enumerate(LEVELS) for name in level.split()}
PACKAGES = [name for name in LEVEL_OF if (ROOT / "videoseq" / name).is_dir()]

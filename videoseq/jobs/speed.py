"""How fast a model labeled on this machine in its last run.

The speed is kept in the cache folder, not in the output folder, whose files depend on no clock.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from videoseq.errors import OutputError
from videoseq.storage.cache import cache_root
from videoseq.storage.files import write_text

MIN_SECONDS = 30.0
"""Shorter runs mostly measure how long it takes to start."""


def remember_speed(model_sha256: str, video_seconds: float, seconds: float) -> None:
    """Keeps how long it took to label so many seconds of video, if that was long enough."""
    if seconds >= MIN_SECONDS and video_seconds > 0:
        with suppress(OutputError):  # a cache that cannot be written to stops nothing
            write_text(_path(model_sha256), json.dumps({"video_seconds_per_second": video_seconds / seconds}) + "\n")


def last_speed(model_sha256: str) -> float | None:
    """Seconds of video per second in the last run; None if it is not known."""
    try:
        speed = json.loads(_path(model_sha256).read_text(encoding="utf-8"))["video_seconds_per_second"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return speed if isinstance(speed, float) and speed > 0 else None


def _path(model_sha256: str) -> Path:
    return cache_root() / "speed" / f"{model_sha256}.json"

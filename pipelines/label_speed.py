"""How fast a model labelled on this machine the last time.

It is kept beside the features, and not in the output folder, where nothing depends on a clock.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from videoseq.errors import OutputError
from videoseq.storage.cache import cache_root

MIN_SECONDS = 30.0
"""A run that took less says more about how long it takes to start."""


def remember(model_sha256: str, video_seconds: float, seconds: float) -> None:
    """Keeps in mind how long it took to label so many seconds of video, if it was long enough to say anything."""
    from videoseq.storage.files import write_text

    if seconds >= MIN_SECONDS and video_seconds > 0:
        with suppress(OutputError):  # a home that cannot be written to stops nothing
            write_text(_path(model_sha256), json.dumps({"video_seconds_per_second": video_seconds / seconds}) + "\n")


def recall(model_sha256: str) -> float | None:
    """Seconds of video a second, as they were the last time; None if there was none."""
    try:
        speed = json.loads(_path(model_sha256).read_text(encoding="utf-8"))["video_seconds_per_second"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return speed if isinstance(speed, float) and speed > 0 else None


def _path(model_sha256: str) -> Path:
    return cache_root() / "speed" / f"{model_sha256}.json"

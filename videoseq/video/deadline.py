"""How long one video may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from videoseq.errors import VideoError


class Deadline:
    """So many seconds from now for everything that is done with one video.

    Attributes:
        path: The video.
        max_seconds: What it may take.
    """

    def __init__(self, path: Path, max_seconds: float) -> None:
        self.path = path
        self.max_seconds = max_seconds
        self._start = time.monotonic()

    @property
    def seconds_left(self) -> float:
        """What is left of it; negative when it is over."""
        return self._start + self.max_seconds - time.monotonic()

    def check(self) -> None:
        """Raises if it is over.

        Raises:
            VideoError: It is.
        """
        if self.seconds_left < 0:
            raise self.error()

    def error(self) -> VideoError:
        """That it is over, in words."""
        return VideoError("timeout", f"{self.path}: took longer than the {self.max_seconds:g} s that a video may take")

    def watching(self, on_progress: Callable[[int, float], None] | None) -> Callable[[int, float], None]:
        """The same progress, which raises when the deadline is over."""

        def show(num_frames: int, fraction: float) -> None:
            self.check()
            if on_progress is not None:
                on_progress(num_frames, fraction)

        return show

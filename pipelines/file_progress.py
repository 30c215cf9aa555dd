"""How far many files are: on a terminal a bar over all of them, elsewhere a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

    from videoseq.jobs.plan import Job

    from .console import Console

LINE_SECONDS = 30.0
"""How long after a line of progress the next one comes at the earliest."""


class FileProgress:
    """Files done and failed, frames, frames a second and the time left, of all files together.

    Args:
        console: Where lines go if there is no bar.
        bar: The bar, on a terminal.
        num_files: Files to come.
        what: What is done with them, in a word.
        clock: Gives seconds.
    """

    def __init__(
        self,
        console: Console,
        bar: Progress | None,
        num_files: int,
        what: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._bar = bar
        self._what = what
        self._num_files = num_files
        self._num_done = self._num_skipped = self._num_failed = self._num_frames = 0
        self._at_work: dict[Job, tuple[int, float]] = {}
        self._clock = clock
        self._start: tuple[float, int] | None = None  # when frames began to go by, and how many had by then
        self._last_line = clock()
        self._task = bar.add_task(what, total=num_files, note=self.text) if bar is not None else None

    def show(self, job: Job, num_frames: int, fraction: float) -> None:
        """Shows how many frames and which share of a job's video are done."""
        self._at_work[job] = num_frames, fraction
        self._start = self._start or (self._clock(), self._num_frames_so_far)
        self._update()

    def end(self, job: Job, num_frames: int | None = None, *, has_failed: bool = False) -> None:
        """Counts a job as done, with all its frames; if nobody says how many, with those shown last."""
        shown, _ = self._at_work.pop(job, (0, 0.0))
        self._num_frames += shown if num_frames is None else num_frames
        self._num_done += 1
        self._num_failed += has_failed
        self._update()

    def skip(self, *, has_failed: bool = False) -> None:
        """Counts a job as done for which nothing had to be done."""
        self._num_skipped += 1
        self._num_done += 1
        self._num_failed += has_failed
        self._update()

    @property
    def facts(self) -> dict[str, Any]:
        """All of it for programs; what is not known yet is None."""
        return {
            "files_done": self._num_done,
            "files": self._num_files,
            "frames": self._num_frames_so_far,
            "frames_per_second": self._frames_per_second,
            "failed": self._num_failed,
            "seconds_left": self._seconds_left,
        }

    @property
    def text(self) -> str:
        """All of it for people."""
        parts = [f"{self._num_done}/{self._num_files} files"]
        if self._num_frames_so_far:
            parts.append(f"{self._num_frames_so_far} frames")
        if self._frames_per_second is not None:
            parts.append(f"{self._frames_per_second:.0f} fps")
        if self._num_failed:
            parts.append(f"{self._num_failed} failed")
        if self._seconds_left is not None:
            parts.append(f"{clock_time(self._seconds_left)} left")
        return ", ".join(parts)

    @property
    def _num_frames_so_far(self) -> int:
        return self._num_frames + sum(number for number, _ in self._at_work.values())

    @property
    def _files_at_work(self) -> float:
        return sum(share for _, share in self._at_work.values())

    @property
    def _seconds(self) -> float:
        return 0.0 if self._start is None else self._clock() - self._start[0]

    @property
    def _frames_per_second(self) -> float | None:
        if self._start is None or self._seconds <= 0:
            return None
        return round((self._num_frames_so_far - self._start[1]) / self._seconds, 1)

    @property
    def _seconds_left(self) -> float | None:
        """As if the files to come were as long as those that were worked on."""
        worked = self._num_done - self._num_skipped + self._files_at_work
        if self._seconds <= 0 or worked <= 0:
            return None
        return round(self._seconds * (self._num_files - self._num_done - self._files_at_work) / worked, 1)

    def _update(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._num_done + self._files_at_work, note=self.text)
        elif self._clock() - self._last_line >= LINE_SECONDS:
            self._last_line = self._clock()
            self._console.say(f"{self._what}: {self.text}", "progress", **self.facts)


def clock_time(seconds: float) -> str:
    """Seconds as ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"

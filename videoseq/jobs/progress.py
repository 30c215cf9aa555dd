"""How far the work on many files is: files, frames and failures so far, frames per second and time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import partial
from typing import Any, Generic, TypeVar

from videoseq.jobs.events import Listener, Progress

_File = TypeVar("_File", bound=Hashable)
_ALMOST_ALL = 0.999  # a file whose frames are all read is not done yet


class FileProgress(Generic[_File]):
    """Counts files and frames, and reports them as one stage. Use it as a context manager, which ends the stage.

    Args:
        listener: Hears the progress.
        num_files: Files to come.
        stage: What is done with them, as in :class:`~videoseq.jobs.events.Progress`.
        clock: Gives seconds.

    Example:
        >>> class Printer(Listener):
        ...     def on_progress(self, progress):
        ...         print(progress.note)
        >>> with FileProgress(Printer(), 2, "labels") as files:
        ...     files.end("one.mp4", num_frames=300)
        0/2 files
        1/2 files, 300 frames
        1/1 files, 300 frames
    """

    def __init__(
        self, listener: Listener, num_files: int, stage: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._listener = listener
        self._stage = stage
        self._num_files = num_files
        self._num_done = self._num_skipped = self._num_failed = self._num_frames = 0
        self._at_work: dict[_File, tuple[int, float]] = {}
        self._clock = clock
        self._start: tuple[float, int] | None = None  # when the first frames came, and how many there were by then

    def __enter__(self) -> FileProgress[_File]:
        self._report()
        return self

    def __exit__(self, *_: object) -> None:
        if self._num_done < self._num_files:  # stopped early: what was done is all there is
            self._num_files = self._num_done
            self._report()

    def show(self, file: _File, num_frames: int, fraction: float) -> None:
        """Reports how many frames, and which fraction of its bytes, of a file were read so far."""
        self._at_work[file] = num_frames, min(fraction, _ALMOST_ALL)
        self._start = self._start or (self._clock(), self._num_frames_so_far)
        self._report()

    def end(self, file: _File, num_frames: int | None = None, *, has_failed: bool = False) -> None:
        """Counts a file as done, with all its frames; by default as many as were shown last."""
        shown, _ = self._at_work.pop(file, (0, 0.0))
        self._num_frames += shown if num_frames is None else num_frames
        self._num_done += 1
        self._num_failed += has_failed
        self._report()

    def skip(self, *, has_failed: bool = False) -> None:
        """Counts a file as done that needed no work."""
        self._num_skipped += 1
        self._num_done += 1
        self._num_failed += has_failed
        self._report()

    @property
    def facts(self) -> dict[str, Any]:
        """Everything for programs; what is not known yet is None."""
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
        """Everything for people."""
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
        return sum(fraction for _, fraction in self._at_work.values())

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

    def _report(self) -> None:
        done = self._num_done + self._files_at_work
        self._listener.on_progress(Progress(self._stage, done, self._num_files, self.text, self.facts))


def each_file(
    files: Iterable[_File], num_files: int, stage: str, listener: Listener
) -> Iterator[tuple[_File, Callable[[int, float], None]]]:
    """Each file with a function that reports its progress; a file counts as done when the next one is asked for."""
    with FileProgress[_File](listener, num_files, stage) as progress:
        for file in files:
            yield file, partial(progress.show, file)
            progress.end(file)


def clock_time(seconds: float) -> str:
    """Seconds as ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"

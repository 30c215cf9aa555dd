"""What the programs say, and how they end: data on stdout, everything else on stderr, one line per error."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from videoseq.errors import (
    AnnotationError,
    ConfigError,
    ModelError,
    Notice,
    OutputError,
    VideoError,
    VideoseqError,
    one_line,
)

if TYPE_CHECKING:
    from rich.progress import Progress

    from videoseq.inputs import Job


class Exit(enum.IntEnum):
    """The exit status of every command."""

    DONE = 0
    BUG = 1
    USAGE = 2
    SOME_FAILED = 3
    ALL_FAILED = 4
    NOTHING_FOUND = 5
    OUTPUT = 74
    HUNG_UP = 129
    INTERRUPTED = 130
    UNREAD = 141
    TERMINATED = 143


_EXIT_OF_ERROR: dict[type[VideoseqError], Exit] = {
    ConfigError: Exit.USAGE,
    AnnotationError: Exit.USAGE,
    ModelError: Exit.USAGE,
    VideoError: Exit.ALL_FAILED,
    OutputError: Exit.OUTPUT,
}


def exit_of(error: VideoseqError) -> Exit:
    """The status with which a command ends on an error."""
    return next(status for kind, status in _EXIT_OF_ERROR.items() if isinstance(error, kind))


class Console:
    """One command's voice: ``quiet`` leaves errors only, ``verbose`` adds details."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self._bar: Progress | None = None

    def say(self, text: str) -> None:
        """A line of progress or result for people."""
        if self.quiet:
            return
        if self._bar is not None:  # above the bar, and not broken at the terminal's edge
            self._bar.console.print(one_line(text), soft_wrap=True, markup=False, highlight=False)
        else:
            print(one_line(text), file=sys.stderr, flush=True)

    def show(self, lines: Sequence[str]) -> None:
        """Data for people, on stdout; the bar is on stderr and would be in its way."""
        if self._bar is not None and sys.stdout.isatty():
            for line in lines:
                self._bar.console.print(one_line(line), soft_wrap=True, markup=False, highlight=False)
        else:
            print("\n".join(map(one_line, lines)), flush=True)

    def end_empty(self, inputs: Sequence[str], *, json: bool = False) -> NoReturn:
        """Ends a command that was given no video."""
        self.say(f"nothing to do: no video files in {', '.join(inputs)}")
        if json:
            print_json([])
        raise typer.Exit(Exit.NOTHING_FOUND)

    def each(self, jobs: Sequence[Job], what: str) -> Iterator[tuple[Job, Callable[[int, float], None]]]:
        """Each job, with what shows how many frames and which share of its video are done."""
        with self.files(len(jobs), what) as files:
            for job in jobs:
                yield job, partial(files.show, job)
                files.end(job)

    @contextmanager
    def files(self, num_files: int, what: str) -> Iterator[FileBar]:
        """What shows how far files are, on a terminal."""
        with self.progress("frames") as bar:
            yield FileBar(bar, num_files, what)

    def detail(self, text: str) -> None:
        """A line that only ``--verbose`` shows."""
        if self.verbose:
            self.say(text)

    def warn(self, notice: Notice) -> None:
        """A notice, which is in the output files too."""
        self.say(f"warning: {notice.code}: {notice.message}")

    @contextmanager
    def progress(self, unit: str) -> Iterator[Progress | None]:
        """A progress bar on a terminal, None elsewhere or when quiet."""
        if self.quiet or not sys.stderr.isatty():
            yield None
            return
        from rich import console, progress

        columns = (
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.TaskProgressColumn(),
            progress.TextColumn("{task.fields[note]}", markup=False),
            progress.TextColumn(unit),
            progress.TimeRemainingColumn(),
        )
        screen = console.Console(stderr=True)
        with progress.Progress(*columns, console=screen, transient=True, redirect_stdout=False) as self._bar:
            try:
                yield self._bar
            finally:
                self._bar = None


class FileBar:
    """How many files are done, and how far those are that are being worked on; shows nothing without a bar."""

    def __init__(self, bar: Progress | None, num_files: int, what: str) -> None:
        self._bar = bar
        self._task = bar.add_task(what, total=num_files, note="") if bar is not None else None
        self._num_done = 0
        self._at_work: dict[Job, tuple[int, float]] = {}

    def show(self, job: Job, num_frames: int, fraction: float) -> None:
        """Shows how many frames and which share of a job's video are done."""
        self._at_work[job] = num_frames, fraction
        self._update()

    def end(self, job: Job) -> None:
        """Counts a job as done."""
        self._at_work.pop(job, None)
        self._num_done += 1
        self._update()

    def _update(self) -> None:
        if self._bar is None or self._task is None:
            return
        self._bar.update(self._task, completed=self._num_done + sum(share for _, share in self._at_work.values()))
        if self._at_work:
            num_frames = sum(number for number, _ in self._at_work.values())
            names = [job.video.name for job in self._at_work]
            who = names[0] if len(names) == 1 else f"{len(names)} files"
            self._bar.update(self._task, note=f"{who} {num_frames}")


def fail(message: object) -> None:
    """One line on stderr, whatever is in the message."""
    print(f"error: {one_line(message)}", file=sys.stderr, flush=True)


def print_json(value: Any) -> None:  # noqa: ANN401 (any JSON)
    """Data on stdout."""
    print(json.dumps(value, indent=1))


def percent(value: float | None) -> str:
    """A share as a number of percent with one decimal."""
    return "–" if value is None else f"{100 * value:.1f}"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a plain table: the first column flush left, the others flush right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [header, *rows]
    ]

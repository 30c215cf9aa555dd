"""What the programs say, and how they end: data on stdout, everything else on stderr, one line per error."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

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


class Exit(enum.IntEnum):
    """The exit status of every command."""

    DONE = 0
    BUG = 1
    USAGE = 2
    SOME_FAILED = 3
    ALL_FAILED = 4
    NOTHING_FOUND = 5
    OUTPUT = 74
    INTERRUPTED = 130
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
        with progress.Progress(*columns, console=console.Console(stderr=True), transient=True) as self._bar:
            try:
                yield self._bar
            finally:
                self._bar = None


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

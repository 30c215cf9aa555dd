"""What the programs say, and how they end: data on stdout, everything else on stderr, one line per error.

With ``LogFormat.JSON`` every line on stderr is a JSON object, from when a command has understood its options.
"""

from __future__ import annotations

import enum
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
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

from .file_progress import FileProgress

if TYPE_CHECKING:
    from rich.progress import Progress

    from videoseq.jobs.plan import Job, Jobs


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


class LogFormat(str, enum.Enum):
    """What the lines on stderr are for: people or programs."""

    TEXT = "text"
    JSON = "json"


_log_format = LogFormat.TEXT  # of the process, because so is stderr, and the last word is said when no Console is left


class Console:
    """One command's voice: ``quiet`` leaves errors only, ``verbose`` adds details."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False, log_format: LogFormat = LogFormat.TEXT) -> None:
        global _log_format
        _log_format = log_format
        self.quiet = quiet
        self.verbose = verbose
        self._bar: Progress | None = None

    def say(self, text: str, event: str = "message", *, is_detail: bool = False, **facts: Any) -> None:  # noqa: ANN401
        """A line of progress or result.

        Args:
            text: The line for people.
            event: What has happened, in a word for programs.
            is_detail: Whether people see it with ``--verbose`` only.
            **facts: What programs see in the place of the text; any JSON.
        """
        if self.quiet:
            return
        if _log_format is LogFormat.JSON:
            print(_json_line(event, facts or {"message": text}), file=sys.stderr, flush=True)
        elif is_detail and not self.verbose:
            return
        elif self._bar is not None:  # above the bar, and not broken at the terminal's edge
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

    def each(self, jobs: Sequence[Job] | Jobs, what: str) -> Iterator[tuple[Job, Callable[[int, float], None]]]:
        """Each job, with what shows how many frames and which share of its video are done."""
        with self.files(len(jobs), what) as files:
            for job in jobs:
                yield job, partial(files.show, job)
                files.end(job)

    @contextmanager
    def files(self, num_files: int, what: str) -> Iterator[FileProgress]:
        """What shows how far files are: a bar on a terminal, a line now and then elsewhere."""
        with self._shown(None) as bar:
            yield FileProgress(self, bar, num_files, what)

    def detail(self, text: str) -> None:
        """A line that only ``--verbose`` shows."""
        self.say(text, is_detail=True)

    def warn(self, notice: Notice) -> None:
        """A notice, which is in the output files too."""
        self.say(f"warning: {notice.code}: {notice.message}", "warning", code=notice.code, message=notice.message)

    @contextmanager
    def progress(self, unit: str) -> Iterator[Progress | None]:
        """A progress bar on a terminal, None elsewhere or when quiet."""
        with self._shown(unit) as bar:
            yield bar

    @contextmanager
    def _shown(self, unit: str | None) -> Iterator[Progress | None]:
        """A bar; without a unit its note says all that there is to say, and gets the room for it."""
        if self.quiet or _log_format is LogFormat.JSON or not sys.stderr.isatty():
            yield None
            return
        from rich import console, progress

        columns = (
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(bar_width=40 if unit is not None else None),
            progress.TaskProgressColumn(),
            progress.TextColumn("{task.fields[note]}", markup=False),
            *([progress.TextColumn(unit), progress.TimeRemainingColumn()] if unit is not None else []),
        )
        screen = console.Console(stderr=True)
        shown = progress.Progress(*columns, console=screen, transient=True, redirect_stdout=False, expand=unit is None)
        with shown as self._bar:
            try:
                yield self._bar
            finally:
                self._bar = None


def fail(message: object) -> None:
    """One line on stderr, whatever is in the message."""
    print(error_line(message), file=sys.stderr, flush=True)


def error_line(message: object) -> str:
    """How an error is said, for people or for programs."""
    if _log_format is LogFormat.JSON:
        return _json_line("error", {"message": str(message)})
    return f"error: {one_line(message)}"


def fail_with_bug() -> None:
    """Says of the exception that is being handled that it is a bug, with where it came from."""
    message = "this is a bug in videoseq; please report it with the lines above"
    if _log_format is LogFormat.JSON:
        print(
            _json_line("error", {"message": message, "traceback": traceback.format_exc()}), file=sys.stderr, flush=True
        )
    else:
        traceback.print_exc()
        fail(message)


def _json_line(event: str, facts: dict[str, Any]) -> str:
    return json.dumps({"event": event, **facts})


def print_json(value: Any) -> None:  # noqa: ANN401 (any JSON)
    """Data on stdout."""
    print(json.dumps(value, indent=1))


def print_json_list(values: Iterable[Any]) -> None:
    """The same of a list, of which only one element is in memory at a time."""
    text = "["
    for value in values:
        print(text, *json.dumps(value, indent=1).splitlines(), sep="\n ", end="")
        text = ","
    print("[]" if text == "[" else "\n]")


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

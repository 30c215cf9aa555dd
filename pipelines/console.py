"""What the programs say, and how they end: data on stdout, everything else on stderr, one line per error.

With ``LogFormat.JSON`` every line on stderr is a JSON object, from when a command has understood its options.
"""

from __future__ import annotations

import enum
import json
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from videoseq.jobs.events import Listener, Progress

from .progress import ProgressDisplay

if TYPE_CHECKING:
    from videoseq.jobs.result import Result


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


def exit_of_run(counts: Mapping[str, int], num_jobs: int) -> Exit:
    """The status of a run over many videos, from how many of them ended in which state."""
    if counts["complete"] == num_jobs:  # of an empty shard too
        return Exit.DONE
    return Exit.ALL_FAILED if counts["failed"] == num_jobs else Exit.SOME_FAILED


class LogFormat(str, enum.Enum):
    """What the lines on stderr are for: people or programs."""

    TEXT = "text"
    JSON = "json"


_log_format = LogFormat.TEXT  # of the process, as stderr is: the last line is written when no Console is left
_display: ProgressDisplay | None = None  # of the process, as the terminal is


class Console(Listener):
    """What a command says while it works, on stderr: ``quiet`` leaves errors only, ``verbose`` adds details."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False, log_format: LogFormat = LogFormat.TEXT) -> None:
        global _log_format, _display
        _log_format = log_format
        self.quiet = quiet
        self.verbose = verbose
        has_bars = not quiet and log_format is LogFormat.TEXT and sys.stderr.isatty()
        self._display = _display = ProgressDisplay(self.on_message, has_bars=has_bars)

    def on_message(self, text: str, *, event: str = "message", is_detail: bool = False, **facts: Any) -> None:  # noqa: ANN401 (any JSON)
        """A line of progress or result.

        Args:
            text: The line for people.
            event: What happened, in one word for programs.
            is_detail: Whether people see it only with ``--verbose``.
            **facts: What programs get in place of the text.
        """
        if self.quiet:
            return
        if _log_format is LogFormat.JSON:
            print(_json_line(event, facts or {"message": text}), file=sys.stderr, flush=True)
        elif is_detail and not self.verbose:
            return
        elif not self._display.print(one_line(text)):
            print(one_line(text), file=sys.stderr, flush=True)

    def on_notice(self, notice: Notice) -> None:
        """A notice, which is in the output files too."""
        text = f"warning: {notice.code}: {notice.message}" if notice.is_warning else notice.message
        event = "warning" if notice.is_warning else "notice"
        self.on_message(text, event=event, code=notice.code, message=notice.message)

    def on_progress(self, progress: Progress) -> None:
        """A bar on a terminal, a line now and then elsewhere."""
        if not self.quiet:
            self._display.show(progress)

    def on_result(self, result: Result, *, is_new: bool = True) -> None:
        """How one video ended; a video that was done before is a detail, unless it failed."""
        has_failed = result.state == "failed"
        names = ("path", "state", "code", "message")
        facts = {name: getattr(result, name) for name in names}
        facts |= {"frames": result.num_frames, "duration_seconds": result.duration_seconds, "is_new": is_new}
        if has_failed:
            text = f"{'failed' if is_new else 'failed before'}: {result.code}: {result.message}"
        else:
            text = self.result_text(result) if is_new else f"{result.path}: done before"
        self.on_message(text, event="file", is_detail=not is_new and not has_failed, **facts)

    def result_text(self, result: Result) -> str:
        """The line about a video that did not fail."""
        line = f"{result.state}: {result.path}: {result.num_frames} frames, {result.duration_seconds:.2f} s"
        return "; ".join([line, *result.told])

    def say(self, text: str) -> None:
        """A line for people; :meth:`on_message` for one that programs read too."""
        self.on_message(text)

    def show(self, lines: Sequence[str]) -> None:
        """Data for people, on stdout; above the bars where both are on one terminal."""
        for line in map(one_line, lines):
            if not (sys.stdout.isatty() and self._display.print(line)):
                print(line, flush=True)

    def end_empty(self, inputs: Sequence[str], *, json: bool = False) -> NoReturn:
        """Ends a command that was given no video."""
        self.say(f"nothing to do: no video files in {', '.join(inputs)}")
        if json:
            print_json([])
        raise typer.Exit(Exit.NOTHING_FOUND)


@contextmanager
def bars_closed_at_end() -> Iterator[None]:
    """Removes the bars at the end of the block, however it ends, so that the terminal is as before."""
    try:
        yield
    finally:
        if _display is not None:
            _display.close()


def fail(message: object) -> None:
    """One line on stderr, whatever is in the message."""
    print(error_line(message), file=sys.stderr, flush=True)


def error_line(message: object) -> str:
    """An error as one line, for people or for programs."""
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

"""What becomes of a program whose readers go: one of stderr is not missed, and without one of stdout it ends.

On stderr it says how it goes, and how it ended is in files: a run over a weekend is not to end because a pager did. On
stdout it puts what was asked for, and there is nothing left to do when nobody can have it.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TextIO, cast

from .console import Exit, fail


class _LastingStream:
    """A text stream that, once it cannot be written to, leads nowhere; before that somebody is told."""

    def __init__(self, stream: TextIO, on_error: Callable[[OSError], None]) -> None:
        self._stream = stream
        self._on_error = on_error

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever a stream has)
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except OSError as error:
            self._lead_nowhere(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._lead_nowhere(error)

    def _lead_nowhere(self, error: OSError) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())  # what is in its buffer would fail once more at the end
        os.close(nowhere)
        self._on_error(error)


@contextmanager
def lasting_streams() -> Iterator[None]:
    """Inside, a reader of stderr may go; without one of stdout the program ends, with a status that says so."""
    before = sys.stdout, sys.stderr
    sys.stdout = cast("TextIO", _LastingStream(_or_nowhere(sys.stdout), _end))
    sys.stderr = cast("TextIO", _LastingStream(_or_nowhere(sys.stderr), _ignore))
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        finally:
            sys.stdout, sys.stderr = before


def _or_nowhere(stream: TextIO | None) -> TextIO:
    """A stream that was closed before the program began is None to Python, and its number the next file's."""
    return stream if stream is not None else open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123


def _ignore(_error: OSError) -> None:
    """There is nobody to tell."""


def _end(error: OSError) -> NoReturn:
    if error.errno == errno.EPIPE:  # as a program ends that does not ask: it has seen enough
        raise SystemExit(Exit.UNREAD)
    fail(f"standard output: could not be written; {error.strerror}")
    raise SystemExit(Exit.OUTPUT)

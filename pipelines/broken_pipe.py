"""Closed pipes: keep running without stderr, stop quietly without stdout.

stderr shows progress, and results are in files: a run over a weekend must not end because a pager was closed. stdout
carries what was asked for: without a reader there is nothing left to do.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TextIO, cast

from .console import Exit, fail


class _SurvivingStream:
    """A text stream that discards its text once it cannot be written to, after calling ``on_error``."""

    def __init__(self, stream: TextIO, on_error: Callable[[OSError], None]) -> None:
        self._stream = stream
        self._on_error = on_error

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever a stream has)
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except OSError as error:
            self._discard(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._discard(error)

    def _discard(self, error: OSError) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())  # else the text in its buffer would fail again at the end
        os.close(null)
        self._on_error(error)


@contextmanager
def surviving_broken_pipes() -> Iterator[None]:
    """Inside, the program goes on without a reader of stderr; without one of stdout it ends with its own status."""
    before = sys.stdout, sys.stderr
    sys.stdout = cast("TextIO", _SurvivingStream(_or_null(sys.stdout), _end))
    sys.stderr = cast("TextIO", _SurvivingStream(_or_null(sys.stderr), _ignore))
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        finally:
            sys.stdout, sys.stderr = before


def _or_null(stream: TextIO | None) -> TextIO:
    """A stand-in for a stream that was closed before the program began: Python has None for it."""
    return stream if stream is not None else open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123


def _ignore(_error: OSError) -> None:
    """Without stderr, no one can be told."""


def _end(error: OSError) -> NoReturn:
    if error.errno == errno.EPIPE:  # the reader has seen enough
        raise SystemExit(Exit.UNREAD)
    fail(f"standard output: could not be written; {error.strerror}")
    raise SystemExit(Exit.OUTPUT)

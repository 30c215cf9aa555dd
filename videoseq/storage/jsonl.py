"""An append-only file with one entry per line; each entry has a name, and a name's last entry counts.

Only the position of each name's last line is kept in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from videoseq.errors import OutputError
from videoseq.storage.files import sync_folder

_T = TypeVar("_T")


class LineLog(Generic[_T]):
    """Such a file, which does not exist until something is appended.

    Args:
        path: The file.
        parse: A line → its entry, or None if it is not one.
        name_of: An entry → its name.
        is_mended: Whether to remove an unfinished last line, left by a process that was killed. If not, the line is
            ignored: another process may be writing it now.

    Raises:
        OutputError: On construction, if the file cannot be read or has a line that is not an entry.
    """

    def __init__(
        self, path: Path, parse: Callable[[bytes], _T | None], name_of: Callable[[_T], str], *, is_mended: bool
    ) -> None:
        self._path = path
        self._parse = parse
        self._name_of = name_of
        self._offsets: dict[int, int] = {}  # by the name's hash; the line tells whether it is this name
        try:
            with path.open("rb") as file:
                size = self._index(file)
            if is_mended and size < path.stat().st_size:
                os.truncate(path, size)
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(f"{path}: could not be read; {error.strerror}") from None

    def _index(self, file: BinaryIO) -> int:
        """Records where every line begins; returns where the last complete line ends."""
        offset = 0
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            entry = self._parse(line)
            if entry is None:
                raise OutputError(f"{self._path}: line {number} cannot be read; move the file away")
            self._offsets[hash(self._name_of(entry))] = offset
            offset += len(line)
        return offset

    def get(self, name: str) -> _T | None:
        """The last entry under a name.

        Raises:
            OutputError: The file can no longer be read.
        """
        offset = self._offsets.get(hash(name))
        entry = None if offset is None else self._parse(self._line_at(offset))
        return entry if entry is not None and self._name_of(entry) == name else None

    def append(self, entry: _T, line: bytes, *, is_durable: bool = True) -> None:
        """Adds an entry's line; if it is to be durable, it is on the disk before this returns.

        Raises:
            OutputError: The line cannot be written; nothing of it is left in the file.
        """
        try:
            offset = _append(self._path, line, is_durable=is_durable)
        except OSError as error:
            raise OutputError(f"{self._path}: could not be written; {error.strerror}") from None
        self._offsets[hash(self._name_of(entry))] = offset

    def _line_at(self, offset: int) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                return file.readline()
        except OSError as error:
            raise OutputError(f"{self._path}: could not be read; {error.strerror}") from None


def _append(path: Path, line: bytes, *, is_durable: bool) -> int:
    """Adds a line to a file and returns its position; if that fails, nothing of the line is left."""
    is_new = not path.exists()
    with path.open("ab", buffering=0) as file:  # a buffer would be written again when the file is closed
        offset = file.tell()
        try:
            while line:
                line = line[file.write(line) :]
            if is_durable:
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):  # the next run removes it
                file.truncate(offset)
            raise
    if is_new:
        sync_folder(path.parent)
    return offset

"""Arrays on disk: rows that are appended to a file, and read again without all of them being in memory."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Int64, Shaped

from videoseq.errors import OutputError

_USE_TMPDIR = "set TMPDIR to a folder that has some"


class DiskArray:
    """Rows of one dtype and shape in an open file, from its current position on. The first rows define both.

    Raises:
        OSError: From every method, if the file cannot be read or written.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._offset = file.tell()
        self._none = np.empty(0, np.uint8)  # no rows, of the right dtype and shape
        self._num_rows = 0

    def __len__(self) -> int:
        return self._num_rows

    def append(self, rows: Shaped[np.ndarray, "rows ..."]) -> None:
        """Adds rows after the last one."""
        self._none = np.empty_like(rows[:0])
        self.write(self._num_rows, rows)
        self._num_rows += len(rows)

    def write(self, start: int, rows: Shaped[np.ndarray, "rows ..."]) -> None:
        """Replaces rows, from ``start`` on."""
        self._file.seek(self._place(start))
        self._file.write(rows.tobytes())

    def read(self, start: int, stop: int) -> Shaped[np.ndarray, "rows ..."]:
        """The rows from ``start`` to before ``stop``, or to the last one."""
        num_rows = min(stop, self._num_rows) - start
        self._file.seek(self._place(start))
        content = bytearray(self._file.read(self._place(num_rows) - self._offset))  # a copy that may be written to
        return np.frombuffer(content, self._none.dtype).reshape(num_rows, *self._none.shape[1:])

    def take(self, indices: Int64[np.ndarray, " rows"]) -> Shaped[np.ndarray, "rows ..."]:
        """Rows by their indices, which count from 0."""
        rows = self._empty(len(indices))
        for place, index in enumerate(indices.tolist()):
            rows[place] = self.read(index, index + 1)[0]
        return rows

    def mapped(self) -> Shaped[np.ndarray, "rows ..."]:
        """All rows, memory-mapped and read-only; they stay readable after :meth:`close`."""
        shape = self._num_rows, *self._none.shape[1:]
        self._file.flush()
        if self._num_rows == 0:
            return self._empty(0)  # an empty file cannot be mapped
        return np.memmap(self._file, self._none.dtype, "r", self._offset, shape)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _place(self, row: int) -> int:
        return self._offset + row * self._empty(1).nbytes

    def _empty(self, num_rows: int) -> Shaped[np.ndarray, "rows ..."]:
        return np.empty((num_rows, *self._none.shape[1:]), self._none.dtype)


class TemporaryArray(DiskArray):
    """Rows in a temporary file without a name, which is gone when it is closed, or with the process.

    Args:
        what: The content in words, for errors.
        folder: Where the file is; by default the system's folder for temporary files.
        hint: What to do if there is no room, for errors.

    Raises:
        OutputError: On construction and from every method, if there is no room.
    """

    def __init__(self, what: str, folder: Path | None = None, hint: str = _USE_TMPDIR) -> None:
        self._error = str(folder or tempfile.gettempdir()), what, hint
        with no_room(*self._error):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            super().__init__(tempfile.TemporaryFile(prefix="videoseq-", dir=folder))  # noqa: SIM115 (close() does)

    def write(self, start: int, rows: Shaped[np.ndarray, "rows ..."]) -> None:
        """Replaces rows, from ``start`` on."""
        with no_room(*self._error):
            super().write(start, rows)

    def read(self, start: int, stop: int) -> Shaped[np.ndarray, "rows ..."]:
        """The rows from ``start`` to before ``stop``, or to the last one."""
        with no_room(*self._error, done="read"):
            return super().read(start, stop)

    def mapped(self) -> Shaped[np.ndarray, "rows ..."]:
        """All rows, memory-mapped and read-only; they stay readable after :meth:`close`."""
        with no_room(*self._error):
            return super().mapped()


@contextmanager
def no_room(folder: str, what: str, hint: str = _USE_TMPDIR, done: str = "written") -> Iterator[None]:
    """Turns a failure to write (or what ``done`` says) temporary files inside the block into an error of one line.

    Raises:
        OutputError: Instead of an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{folder}: {what} could not be {done}; {reason}; make room there, or {hint}") from None


def release_pages(array: Shaped[np.ndarray, ...]) -> None:
    """Unmaps the pages of a memory-mapped array that were read, which otherwise count as memory of this process.

    The system keeps them in its page cache as long as it has room, so that they need not be read from disk again.
    """
    if isinstance(array, np.memmap) and array.mode == "r":
        mapped: object = array.base
        if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            mapped.madvise(mmap.MADV_DONTNEED)

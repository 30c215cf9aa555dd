"""Path → an open file that FFmpeg may read from, and that keeps an eye on what it gives.

Any file name works, because FFmpeg never sees it. Nothing is raised while FFmpeg reads, because that would end the
process; what went wrong is raised when it has returned.
"""

from __future__ import annotations

import io
import os
import re
import stat
from pathlib import Path

from videoseq.errors import VideoError
from videoseq.video.containers import Container, read_container
from videoseq.video.containers.packet_loss import ProgramWatch, StreamWatch, TransportWatch

# A scheme such as http:/ (pathlib joins slashes), or FFmpeg's own protocols, which take no slashes.
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/|(concat|concatf|subfile|data|pipe|fd|cache|crypto|async|tee)[:,]")


class FileWatch:
    """Remembers size and times of a file, to notice if it changes while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = _stamp_of(path)

    def check(self) -> None:
        """Raises if the file has been written to, replaced or removed since.

        Raises:
            VideoError: It has.
        """
        if _stamp_of(self._path) != self._before:
            raise VideoError(
                "changed_while_reading", f"{self._path}: was changed while it was read; is it still being recorded?"
            )


def _stamp_of(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev


class SafeFile(io.BufferedIOBase):
    """A file for OpenCV to read from; it never raises there, because that would end the process.

    What went wrong, an interrupt included, is kept and raised by :meth:`raise_pending`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._pending: BaseException | None = None
        self._file = open_regular_file(path)
        self._size = os.fstat(self._file.fileno()).st_size
        try:
            self.container = self._recognize()
            self._watch = _watch_for(self.container)
        except BaseException:  # any error: the file must not stay open
            self._file.close()
            raise

    def _recognize(self) -> Container:
        if self._size == 0:
            raise VideoError("empty", f"{self._path}: expected a video, got a file of 0 bytes")
        try:
            container = read_container(self._file)
        except OSError as error:
            raise VideoError("io_error", f"{self._path}: could not be read; {error.strerror}") from None
        if container.kind == "playlist":
            raise VideoError(
                "refused_playlist", f"{self._path}: expected a video, got a playlist; name the files that it lists"
            )
        return container

    def raise_pending(self) -> None:
        """Raises what :meth:`read` could not.

        Raises:
            VideoError: The file stopped giving bytes.
        """
        pending, self._pending = self._pending, None
        if isinstance(pending, (OSError, ValueError)):
            raise VideoError("io_error", f"{self._path}: could not be read to its end; {pending}")
        if pending is not None:
            raise pending

    @property
    def fraction_read(self) -> float:
        """The position over the size."""
        return min(1.0, self.position / self._size)

    @property
    def position(self) -> int:
        """The byte that is read next."""
        return self._size if self._file.closed else self._file.tell()

    @property
    def num_bytes_missing(self) -> int:
        """How many bytes the container announces beyond the file's end; of a stream of packets, those of the last."""
        if self._watch is not None:
            return self._watch.num_bytes_missing
        return max(0, (self.container.num_bytes_announced or 0) - self._size)

    @property
    def num_packet_faults(self) -> int:
        """Packets of a transport or program stream that were found missing or damaged."""
        return self._watch.num_faults if self._watch is not None else 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes; none at the end, and none after an error."""
        try:
            position = self._file.tell()
            data = self._file.read(size)
            if self._watch is not None:
                self._watch.feed(position, data)
        except BaseException as error:  # noqa: BLE001 (raised again by raise_pending)
            self._pending = error
            return b""
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """The new position, or −1 where there is none."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):
            return -1  # FFmpeg probes with impossible offsets; that is no error of the file
        except BaseException as error:  # noqa: BLE001 (raised again by raise_pending)
            self._pending = error
            return -1

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _watch_for(container: Container) -> StreamWatch | None:
    if container.packets is not None:
        return TransportWatch(*container.packets)
    return ProgramWatch() if container.kind == "mpegps" else None


def open_regular_file(path: Path) -> io.BufferedReader:
    """A file opened for reading, if it is one: opening a pipe would wait for ever.

    Raises:
        VideoError: It is missing, no regular file, or may not be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise VideoError("not_a_regular_file", f"{path}: expected a video file, got a folder, pipe or device")
        return path.open("rb")
    except FileNotFoundError:
        if _ADDRESS.match(str(path)):
            raise VideoError("refused_url", f"{path}: expected a file, got an address; nothing is fetched") from None
        raise VideoError("not_found", f"{path}: expected a video file, found nothing there") from None
    except PermissionError:
        raise VideoError("permission", f"{path}: may not be read; check its permissions") from None
    except (OSError, ValueError) as error:
        raise VideoError("io_error", f"{path}: could not be opened; {error}") from None

"""Path → an OpenCV capture, so that any file name works and no file reaches beyond itself.

A file is handed to FFmpeg as an open Python file with an empty protocol list: a playlist disguised as a video reaches
no second file and no socket.
"""

from __future__ import annotations

import io
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from videoseq.errors import VideoError

# FFmpeg and OpenCV write complaints to stderr on their own; what matters of them is recorded instead.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_FFMPEG_OPTIONS = (
    "protocol_whitelist;nothing|format_whitelist;mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,flv,asf,"
    "ogg,ivf,mxf,gif,dv,mjpeg"
)


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
        if self._size == 0:
            self._file.close()
            raise VideoError("empty", f"{path}: expected a video, got a file of 0 bytes")

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
        return min(1.0, self._file.tell() / self._size) if not self._file.closed else 1.0

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes; none at the end, and none after an error."""
        try:
            return self._file.read(size)
        except BaseException as error:  # noqa: BLE001 (raised again by raise_pending)
            self._pending = error
            return b""

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
        raise VideoError("not_found", f"{path}: expected a video file, found nothing there") from None
    except PermissionError:
        raise VideoError("permission", f"{path}: may not be read; check its permissions") from None
    except (OSError, ValueError) as error:
        raise VideoError("io_error", f"{path}: could not be opened; {error}") from None


_environment_lock = threading.Lock()


@contextmanager
def _ffmpeg_options() -> Iterator[None]:
    """OpenCV takes FFmpeg's options from the environment alone, at the moment it opens a file."""
    name = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
    with _environment_lock:
        before = os.environ.get(name)
        os.environ[name] = _FFMPEG_OPTIONS
        try:
            yield
        finally:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before


def open_capture(source: SafeFile, path: Path) -> cv2.VideoCapture:
    """An OpenCV capture that reads from ``source`` and from nothing else.

    Raises:
        VideoError: No decoder recognises the file.
    """
    capture: cv2.VideoCapture
    with _ffmpeg_options():
        try:
            capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, [])  # type: ignore[call-overload]  # IStreamReader is an io.BufferedIOBase
        except cv2.error as error:
            raise VideoError("not_video", f"{path}: OpenCV could not open it; {error.err}") from None
    source.raise_pending()
    if not capture.isOpened():
        raise VideoError("not_video", f"{path}: expected a video, got a file that no decoder recognises")
    # Passed to the constructor this property makes it fail; its default has changed between versions.
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture

"""Path → an OpenCV capture, so that any file name works and no file reaches beyond itself.

A file is handed to FFmpeg as an open Python file with an empty protocol list: a playlist disguised as a video reaches
no second file and no socket.
"""

from __future__ import annotations

import io
import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from videoseq.av_capture import CAN_CONVERT_INTERLACED, AvCapture, interlaced_error, is_available
from videoseq.containers import Container, read_container
from videoseq.errors import VideoError
from videoseq.transport import ProgramWatch, StreamWatch, TransportWatch

# FFmpeg and OpenCV write complaints to stdout and stderr on their own; what matters of them is recorded instead.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
# OpenCV tries to be helpful and skips frames that do not decode; each is to be seen as a failed read.
os.environ.setdefault("OPENCV_FFMPEG_DECODE_ATTEMPTS", "0")
# … and gives up where other streams, such as a camera's telemetry, fill long stretches between two frames.
os.environ.setdefault("OPENCV_FFMPEG_READ_ATTEMPTS", str(1 << 30))
_SILENT = 0
if hasattr(cv2, "setLogLevel"):
    cv2.setLogLevel(_SILENT)
else:  # OpenCV 5
    cv2.utils.logging.setLogLevel(_SILENT)

DECODER_THREADS = 4
"""Pinned, because the pictures of damaged files depend on it; the decoder is at most this many frames ahead of us."""

MAX_PIXELS = 50_000_000
"""Pictures larger than this are refused unless a caller says otherwise; 8K video has 33 million."""

FFMPEG_OPTIONS = {
    "protocol_whitelist": "nothing",
    "format_whitelist": "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,flv,asf,ogg,ivf,mxf,gif,dv,mjpeg",
}
"""With these FFmpeg reads the file it is given and no other."""

# A scheme such as http:/ (pathlib joins slashes), or FFmpeg's own protocols, which take no slashes.
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/|(concat|concatf|subfile|data|pipe|fd|cache|crypto|async|tee)[:,]")


class FileWatch:
    """Remembers what a file was like, so that what was read from it can be held to be of one piece."""

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
            self.container = self._recognise()
            self._watch = _watch_for(self.container)
        except BaseException:  # whatever it was: the file is not left open
            self._file.close()
            raise

    def _recognise(self) -> Container:
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


_environment_lock = threading.Lock()


@contextmanager
def _ffmpeg_options() -> Iterator[None]:
    """OpenCV takes FFmpeg's options from the environment alone, at the moment it opens a file."""
    name = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
    with _environment_lock:
        before = os.environ.get(name)
        os.environ[name] = "|".join(f"{key};{value}" for key, value in FFMPEG_OPTIONS.items())
        try:
            yield
        finally:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before


def open_capture(source: SafeFile, path: Path, max_pixels: int, *, has_log: bool) -> cv2.VideoCapture | AvCapture:
    """A capture that reads from ``source`` and from nothing else.

    Args:
        source: The open file.
        path: Its name, for errors.
        max_pixels: Larger pictures are refused.
        has_log: Whether the caller reads what the decoder logs, and so would learn of pictures that it cannot convert.

    Raises:
        VideoError: Its pictures are larger than ``max_pixels``, or no decoder can open it.
    """
    _check_size(source.container.width, source.container.height, max_pixels, path)  # before anything is allocated
    capture = _open_decoder(source, path, has_log=has_log)
    width, height = (int(capture.get(name)) for name in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    _check_size(width, height, max_pixels, path)
    if min(width, height) < 1:
        text = f"{path}: expected pictures, got a size of {width}x{height}"
        raise VideoError("no_frames", f"{text}; is the file damaged?")
    return capture


def _open_decoder(source: SafeFile, path: Path, *, has_log: bool) -> cv2.VideoCapture | AvCapture:
    """OpenCV, or PyAV where OpenCV cannot."""
    if source.container.is_interlaced and not CAN_CONVERT_INTERLACED:
        if is_available():
            return AvCapture(source, FFMPEG_OPTIONS, DECODER_THREADS, path, logs=has_log)
        if not has_log:
            raise interlaced_error(path)
    capture: cv2.VideoCapture
    with _ffmpeg_options():
        try:
            capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, DECODER_THREADS])  # type: ignore[call-overload]  # IStreamReader is an io.BufferedIOBase
        except cv2.error as error:
            raise decoder_error(error, path) from None
    source.raise_pending()
    if not capture.isOpened():
        raise _unopened(source, path)
    # Passed to the constructor this property makes it fail; its default has changed between versions.
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


def decoder_error(error: cv2.error, path: Path) -> VideoError:
    """What to say of an exception that OpenCV raised."""
    if error.code == cv2.Error.StsNoMem:
        return VideoError("too_large", f"{path}: its pictures need more memory than the decoder may take")
    return VideoError("unsupported", f"{path}: OpenCV could not decode it; {error.err}")


def _check_size(width: int, height: int, max_pixels: int, path: Path) -> None:
    if width * height > max_pixels:
        text = f"{path}: expected pictures of at most {max_pixels} pixels, got {width}x{height}"
        raise VideoError("too_large", f"{text}; raise the limit if you trust the file")


def _unopened(source: SafeFile, path: Path) -> VideoError:
    """Why a file did not open, from what its container says."""
    container = source.container
    if source.num_bytes_missing and not container.has_video and container.has_index:
        return VideoError("truncated", f"{path}: the file is cut off before its first picture; copy it again")
    if not container.has_index:
        text = f"{path}: the recording was cut off before its index (moov) was written"
        return VideoError("moov_missing", f"{text}; a tool such as untrunc may mend it")
    if container.kind == "sound" or container.has_video is False:
        return VideoError("no_video_stream", f"{path}: expected pictures, got a file of sound or data alone")
    if not container.has_frames:
        return VideoError("no_frames", f"{path}: expected frames, got a file in which none was stored")
    if container.kind == "unknown":
        return VideoError("not_video", f"{path}: expected a video, got a file that no decoder recognises")
    return VideoError("unsupported", f"{path}: {container.kind} whose pictures no decoder here opens; convert it first")

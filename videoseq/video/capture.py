"""An open file → an OpenCV capture that reaches no other file.

FFmpeg gets an open Python file with an empty list of protocols and no playlist among its formats: a playlist disguised
as a video reaches no second file and no socket.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from videoseq.errors import VideoError
from videoseq.video.pyav_capture import CAN_CONVERT_INTERLACED, AvCapture, interlaced_error, is_available
from videoseq.video.safe_file import SafeFile

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
"""Pinned, because the frames of damaged files depend on it; the decoder is at most this many frames ahead of us."""

MAX_PIXELS = 50_000_000
"""Frames larger than this are refused unless a caller says otherwise; 8K video has 33 million."""

FFMPEG_OPTIONS = {
    "protocol_whitelist": "nothing",
    "format_whitelist": "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,flv,asf,ogg,ivf,mxf,gif,dv,mjpeg",
}
"""With these FFmpeg reads the file it is given and no other."""

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
        max_pixels: Larger frames are refused.
        has_log: Whether the caller reads what the decoder logs, and so would learn of frames that it cannot convert.

    Raises:
        VideoError: Its frames are larger than ``max_pixels``, or no decoder can open it.
    """
    _check_size(source.container.width, source.container.height, max_pixels, path)  # before anything is allocated
    capture = _open_decoder(source, path, has_log=has_log)
    width, height = (int(capture.get(name)) for name in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    _check_size(width, height, max_pixels, path)
    if min(width, height) < 1:
        text = f"{path}: expected frames, got a size of {width}x{height}"
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
    """The message for an exception that OpenCV raised."""
    if error.code == cv2.Error.StsNoMem:
        return VideoError("too_large", f"{path}: its frames need more memory than the decoder may take")
    return VideoError("unsupported", f"{path}: OpenCV could not decode it; {error.err}")


def _check_size(width: int, height: int, max_pixels: int, path: Path) -> None:
    if width * height > max_pixels:
        text = f"{path}: expected frames of at most {max_pixels} pixels, got {width}x{height}"
        raise VideoError("too_large", f"{text}; raise the limit if you trust the file")


def _unopened(source: SafeFile, path: Path) -> VideoError:
    """Why a file did not open, judged by its container."""
    container = source.container
    if source.num_bytes_missing and not container.has_video and container.has_index:
        return VideoError("truncated", f"{path}: the file is cut off before its first frame; copy it again")
    if not container.has_index:
        text = f"{path}: the recording was cut off before its index (moov) was written"
        return VideoError("moov_missing", f"{text}; a tool such as untrunc may mend it")
    if container.kind == "sound" or container.has_video is False:
        return VideoError("no_video_stream", f"{path}: expected video, got a file of sound or data alone")
    if not container.has_frames:
        return VideoError("no_frames", f"{path}: expected frames, got a file in which none was stored")
    if container.kind == "unknown":
        return VideoError("not_video", f"{path}: expected a video, got a file that no decoder recognizes")
    return VideoError("unsupported", f"{path}: {container.kind} whose frames no decoder here opens; convert it first")

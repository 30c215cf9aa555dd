"""PyAV behind the few methods of ``cv2.VideoCapture`` that are used here, for what OpenCV cannot decode.

From version 4.13 on, OpenCV gives no image for interlaced video and says nothing of it (its scaler refuses to turn
interlaced frames into progressive ones). With the extra ``check`` installed, such files are decoded by PyAV instead.
"""

from __future__ import annotations

import importlib.util
import io
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from videoseq.errors import VideoError

if TYPE_CHECKING:
    import av

CAN_CONVERT_INTERLACED = tuple(map(int, cv2.__version__.split(".")[:2])) < (4, 13)
"""Whether this OpenCV decodes interlaced video."""


def is_available() -> bool:
    """Whether PyAV is installed."""
    return importlib.util.find_spec("av") is not None


def interlaced_error(path: Path) -> VideoError:
    """The error for an interlaced video that nothing here can decode."""
    text = f"{path}: its frames are interlaced, which OpenCV {cv2.__version__} cannot convert"
    hint = "deinterlace it first" if is_available() else 'install what can: pip install "videoseq[check]"'
    return VideoError("unsupported", f"{text}; {hint}")


class AvCapture:
    """Grabs and retrieves frames of the first video stream of an open file.

    Args:
        source: The file; nothing else is opened.
        options: FFmpeg's options.
        num_threads: Decoder threads.
        path: The file's name, for errors.
        logs: Whether FFmpeg writes its errors to stderr, from where they are read.

    Raises:
        VideoError: PyAV cannot open it.
    """

    def __init__(
        self, source: io.BufferedIOBase, options: Mapping[str, str], num_threads: int, path: Path, *, logs: bool
    ) -> None:
        import av

        if logs:
            av.logging.restore_default_callback()
            av.logging.set_libav_level(av.logging.ERROR)
        self._error = av.error.FFmpegError
        self._picture_types = {int(kind): kind.name for kind in av.video.frame.PictureType}
        try:
            self._container = av.open(source, mode="r", options=dict(options))
            self._stream = self._container.streams.video[0]
        except (self._error, IndexError) as error:
            raise VideoError("unsupported", f"{path}: is interlaced, and PyAV could not open it; {error}") from None
        self._stream.codec_context.thread_count = num_threads
        self._stream.codec_context.thread_type = "AUTO"
        self._packets = self._container.demux(self._stream)
        self._decoded: deque[av.VideoFrame] = deque()
        self._frame: av.VideoFrame | None = None
        self._has_warned = False

    def grab(self) -> bool:
        """Decodes the next frame; False after a packet that does not decode, before a damaged frame, and at the end."""
        try:
            while not self._decoded:
                self._decoded.extend(next(self._packets).decode())
        except (StopIteration, self._error):
            return False
        if self._decoded[0].is_corrupt and not self._has_warned:
            self._has_warned = True
            return False
        self._has_warned = False
        self._frame = self._decoded.popleft()
        return True

    def retrieve(self, image: np.ndarray | None = None) -> tuple[bool, np.ndarray]:
        """The frame grabbed last as BGR; ``image`` is not written to."""
        del image
        assert self._frame is not None
        return True, self._frame.to_ndarray(format="bgr24")

    def get(self, name: int) -> float:
        """The properties that are asked for; 0 for others, as in OpenCV."""
        stream, frame = self._stream, self._frame
        rate = float(stream.guessed_rate or stream.average_rate or 0)
        tick_seconds = float(stream.time_base or 0)
        pts = frame.pts if frame is not None else None
        known: dict[int, float] = {
            cv2.CAP_PROP_FPS: rate,
            cv2.CAP_PROP_FRAME_COUNT: stream.frames or (stream.duration or 0) * tick_seconds * rate,
            cv2.CAP_PROP_FRAME_WIDTH: stream.codec_context.width,
            cv2.CAP_PROP_FRAME_HEIGHT: stream.codec_context.height,
            cv2.CAP_PROP_FOURCC: int.from_bytes(stream.codec_context.codec_tag.encode("latin-1")[:4], "little"),
            cv2.CAP_PROP_FRAME_TYPE: ord(self._picture_types[int(frame.pict_type)][0]) if frame is not None else 0,
        }
        if pts is not None:
            known[cv2.CAP_PROP_POS_MSEC] = 1000.0 * (pts - (stream.start_time or 0)) * tick_seconds
            if hasattr(cv2, "CAP_PROP_PTS"):
                known[cv2.CAP_PROP_PTS] = pts * tick_seconds * rate
        return known.get(name, 0.0)

    def release(self) -> None:
        """Closes the decoder; the file stays open."""
        self._container.close()

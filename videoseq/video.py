"""Video file → frames: every decodable frame once, in order, with its own time from the container.

Frames are read in sequence and never sought: on ordinary files with variable frame rate or open groups of pictures,
seeking by number lands on another frame. Header counts and rates are claims; their names end in ``_from_header``.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

import cv2
import numpy as np
from jaxtyping import UInt8

from videoseq.errors import Notice, VideoError
from videoseq.files import sha256_of
from videoseq.opening import SafeFile, open_capture, open_regular_file

Image = UInt8[np.ndarray, "height width 3"]

VIDEO_SUFFIXES = frozenset(
    [".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg", ".m2v", ".vob"]
    + [".flv", ".wmv", ".asf", ".ogv", ".mxf", ".ivf", ".dv", ".h264", ".264", ".h265", ".hevc", ".mjpg", ".gif"]
)
"""What a folder is searched for; a file named on its own may be called anything."""

_MAX_FAILED_GRABS = 256  # a damaged stretch this long is taken for the end of the file
_MAX_PLAUSIBLE_FPS = 1000.0
_FALLBACK_FPS = 25.0  # only where neither container nor header says anything


@dataclass(frozen=True)
class VideoInfo:
    """What a video's header claims.

    Attributes:
        path: The file.
        width: Pixels across, upright.
        height: Pixels down, upright.
        fps_from_header: Frames a second as claimed, or None where the claim is absurd.
        num_frames_from_header: Frames as claimed, or None where the claim is absurd.
        rotation_degrees: How far the stored picture is turned to stand upright.
        codec: Four-character code.
    """

    path: Path
    width: int
    height: int
    fps_from_header: float | None
    num_frames_from_header: int | None
    rotation_degrees: int
    codec: str

    @property
    def duration_seconds_from_header(self) -> float | None:
        """Claimed frames over claimed rate."""
        if self.fps_from_header is None or self.num_frames_from_header is None:
            return None
        return self.num_frames_from_header / self.fps_from_header


@dataclass(frozen=True)
class FrameStamp:
    """Which frame, and when.

    Attributes:
        index: 0-based in decode order.
        seconds: Presentation time, strictly increasing.
    """

    index: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Frame:
    """A decoded frame: index (0-based), seconds, and its upright RGB image, uint8 of shape (height, width, 3)."""

    index: int
    seconds: float
    image: Image

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(
                "expected an RGB image of shape (height, width, 3) and dtype uint8, "
                f"got {self.image.shape} {self.image.dtype}"
            )


@dataclass(frozen=True)
class ReadFacts:
    """What reading a file to its end brought to light.

    Attributes:
        num_frames: Frames decoded.
        duration_seconds: Time of the end of the last frame.
        num_failed_grabs: Failed reads after which more frames came.
        num_repaired_times: Frames whose container time did not increase and was replaced.
        state: ``complete``, or ``degraded`` where frames are known or claimed to be missing.
        notices: What a user should know, in words; the file is not named in them.
    """

    num_frames: int
    duration_seconds: float
    num_failed_grabs: int
    num_repaired_times: int
    state: Literal["complete", "degraded"]
    notices: tuple[Notice, ...]


class VideoReader:
    """One pass over a video file.

    Iterating grabs one frame at a time and yields its stamp; :meth:`retrieve` decodes the picture of the frame
    grabbed last, so that a frame nobody looks at costs no colour conversion. Use it as a context manager.

    Raises:
        VideoError: On construction, when the file cannot be opened as a video.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._source = SafeFile(self.path)
        try:
            self._capture = open_capture(self._source, self.path)
            self.info = _read_info(self._capture, self.path)
        except BaseException:  # whatever it was: the file is not left open
            self._source.close()
            raise
        self._interval_seconds = 1.0 / (self.info.fps_from_header or _FALLBACK_FPS)
        self._last: FrameStamp | None = None
        self._num_failed_grabs = 0
        self._num_repaired_times = 0

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Releases the decoder and the file; a thread that still iterates comes to its end."""
        with self._lock:  # OpenCV crashes when a capture is released while it decodes
            self._capture.release()
            self._source.close()

    @property
    def fraction_read(self) -> float:
        """How much of the file's bytes have been read: a progress measure that no header can spoil."""
        return self._source.fraction_read

    def __iter__(self) -> Iterator[FrameStamp]:
        failed = 0
        while failed < _MAX_FAILED_GRABS:
            with self._lock:
                is_grabbed = self._capture.grab()
                milliseconds = self._capture.get(cv2.CAP_PROP_POS_MSEC)
            self._source.raise_pending()
            if not is_grabbed:
                failed += 1  # not the end: a decoder recovers after a damaged stretch
                continue
            self._num_failed_grabs += failed
            failed = 0
            self._last = self._stamp(milliseconds / 1000.0)
            yield self._last
        if self._last is None:
            raise VideoError("no_frames", f"{self.path}: expected frames, got none that decode; is the file damaged?")

    def retrieve(self) -> Image:
        """The picture of the frame grabbed last: upright RGB, uint8 of shape (height, width, 3)."""
        with self._lock:
            ok, image = self._capture.retrieve()
        if not ok:
            raise VideoError(
                "frame_without_picture",
                f"{self.path}: frame {self._last and self._last.index} was found but has no picture; is it damaged?",
            )
        if image.ndim == 2 or image.shape[2] == 1:
            return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)

    def facts(self) -> ReadFacts:
        """What is known after the last frame; call it when iteration has ended."""
        num_frames = self._last.index + 1 if self._last else 0
        end_seconds = self._last.seconds + self._interval_seconds if self._last else 0.0
        notices = list(self._missing_frames(end_seconds))
        state: Literal["complete", "degraded"] = "degraded" if notices else "complete"
        if self._num_repaired_times:
            notices.append(
                Notice(
                    "times_repaired",
                    f"{self._num_repaired_times} of {num_frames} container times did not increase; "
                    "they were continued at the header's rate",
                )
            )
        return ReadFacts(
            num_frames, end_seconds, self._num_failed_grabs, self._num_repaired_times, state, tuple(notices)
        )

    def _stamp(self, seconds: float) -> FrameStamp:
        """The grabbed frame's container time; where it does not increase, the last one plus a frame interval."""
        if self._last is None:
            return FrameStamp(0, seconds if math.isfinite(seconds) and seconds >= 0.0 else 0.0)
        if not math.isfinite(seconds) or seconds <= self._last.seconds:
            self._num_repaired_times += 1
            seconds = self._last.seconds + self._interval_seconds
        return FrameStamp(self._last.index + 1, seconds)

    def _missing_frames(self, end_seconds: float) -> Iterator[Notice]:
        if self._num_failed_grabs:
            yield Notice(
                "corrupt_span",
                f"{self._num_failed_grabs} reads failed between good frames; frames are missing there",
            )
        claimed = self.info.duration_seconds_from_header
        if claimed is not None and end_seconds < claimed - max(0.5, 0.02 * claimed, 2 * self._interval_seconds):
            yield Notice(
                "truncated",
                f"the header claims {claimed:.2f} s, frames end at {end_seconds:.2f} s; is the file cut off?",
            )


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """What the header of a video file claims.

    Raises:
        VideoError: The file cannot be opened as a video.
    """
    with VideoReader(path) as reader:
        return reader.info


def read_frames(path: str | os.PathLike[str]) -> Iterator[Frame]:
    """Every decodable frame of a video file, in order.

    Raises:
        VideoError: The file cannot be opened as a video, or not read to its end.
    """
    with VideoReader(path) as reader:
        for stamp in reader:
            yield Frame(stamp.index, stamp.seconds, reader.retrieve())


def content_sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a video file's bytes, in hex.

    Raises:
        VideoError: The file cannot be read.
    """
    with open_regular_file(Path(path)) as file:
        try:
            return sha256_of(file)
        except OSError as error:
            raise VideoError("io_error", f"{path}: could not be read; {error.strerror}") from None


def _read_info(capture: cv2.VideoCapture, path: Path) -> VideoInfo:
    fps = capture.get(cv2.CAP_PROP_FPS)
    num_frames = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    fourcc = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    return VideoInfo(
        path=path,
        width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        fps_from_header=fps if 0.0 < fps <= _MAX_PLAUSIBLE_FPS else None,
        num_frames_from_header=int(num_frames) if 0.0 < num_frames < 1e12 else None,
        rotation_degrees=int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360,
        codec=fourcc.to_bytes(4, "little").decode("ascii", "replace").strip("\0 "),
    )

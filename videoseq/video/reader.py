"""Video file → frames: every decodable frame once, in order, with its own time from the container.

Frames are read in sequence and never sought: on ordinary files with variable frame rate or open groups of pictures,
seeking by number lands on another frame. Header counts and rates are claims; their names end in ``_from_header``.
Of several video streams the first is read.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from videoseq.errors import VideoError
from videoseq.storage.files import sha256_of
from videoseq.video.capture import MAX_PIXELS, decoder_error, open_capture
from videoseq.video.damage import DamageRecord
from videoseq.video.frames import Frame, FrameReader, FrameStamp, Image, SampledFrame
from videoseq.video.info import ReadReport, VideoInfo, read_info, summarize
from videoseq.video.pyav_capture import interlaced_error
from videoseq.video.safe_file import SafeFile, open_regular_file
from videoseq.video.sampling import Sampler
from videoseq.video.timestamps import FrameClock, FrameFlag

VIDEO_SUFFIXES = frozenset(
    [".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg", ".m2v", ".vob"]
    + [".flv", ".wmv", ".asf", ".ogv", ".mxf", ".ivf", ".dv", ".h264", ".264", ".h265", ".hevc", ".mjpg", ".gif"]
)
"""What a folder is searched for; a file named on its own may be called anything."""

# So many failed reads without a byte being read are the end. More packets than this do not fit into FFmpeg's buffer.
_MAX_IDLE_READS = 2048


class VideoReader(FrameReader):
    """Reads a video in this process.

    Iterating grabs one frame at a time and yields its stamp; :meth:`retrieve` decodes the image of the frame
    grabbed last, so that a frame that is skipped costs no color conversion.

    Args:
        path: The file.
        max_pixels: Larger frames are refused.
        read_log: Gives the lines that the decoder has logged since it was last called; without it, damage that the
            decoder hides, and changes of size, go unnoticed.

    Raises:
        VideoError: On construction, when the file cannot be opened as a video.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_pixels: int = MAX_PIXELS,
        read_log: Callable[[], list[str]] | None = None,
    ) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._source = SafeFile(self.path)
        try:
            self._capture = open_capture(self._source, self.path, max_pixels, has_log=read_log is not None)
            self._info = read_info(self._capture, self._source.container, self.path)
        except BaseException:  # any error: the file must not stay open
            self._source.close()
            raise
        self._read_log = read_log or list
        self._clock = FrameClock(self._info.fps_from_header, has_frame_times=self._source.container.has_frame_times)
        self._damage = DamageRecord()
        self._last: FrameStamp | None = None
        self._start_offset_seconds: float | None = None
        self._num_pauses = 0
        self._bgr: np.ndarray | None = None

    def __enter__(self) -> VideoReader:
        return self

    @property
    def info(self) -> VideoInfo:
        """What the header claims."""
        return self._info

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
        cause = self._damage.note_opening(self._read_log())
        num_failed = num_idle = position = 0
        while num_idle < _MAX_IDLE_READS:
            is_grabbed, milliseconds = self._grab()
            cause = self._damage.note_log(self._read_log()) or cause
            if cause == "unsupported":
                raise interlaced_error(self.path)
            if is_grabbed:
                self._last = self._stamp(milliseconds / 1000.0, cause, num_failed)
                yield self._last
                cause, num_failed, num_idle = None, 0, 0
                continue
            num_failed += 1  # not the end: a decoder recovers after a damaged stretch
            num_idle = num_idle + 1 if self._source.position == position else 0
            position = self._source.position
        if self._last is None:
            raise self._damage.no_frames(self.path)
        self._damage.end(self._last.index + 1, self._last.seconds, self._clock.end_seconds, cause)

    def sampled(
        self, sample_hz: float | None, make_room: Callable[[], Image | None] = lambda: None
    ) -> Iterator[SampledFrame]:
        """Every frame in order, with the images of those that the network looks at ``sample_hz`` times a second.

        ``make_room`` may give, for each image, where to put it.
        """
        sampler = Sampler(sample_hz)
        for stamp in self:
            steps = sampler.steps(stamp.seconds)
            yield SampledFrame(stamp, steps, self.retrieve(make_room()) if steps else None)

    def retrieve(self, out: Image | None = None) -> Image:
        """The image of the frame grabbed last: upright RGB, uint8 of shape (height, width, 3); put into ``out``."""
        with self._lock:
            try:
                ok, bgr = self._capture.retrieve(self._bgr)
            except cv2.error as error:
                raise decoder_error(error, self.path) from None
        if not ok:
            index = self._last.index if self._last else 0
            raise VideoError("unsupported", f"{self.path}: frame {index} decodes to an image that cannot be converted")
        self._bgr = bgr
        code = cv2.COLOR_GRAY2RGB if bgr.ndim == 2 or bgr.shape[2] == 1 else cv2.COLOR_BGR2RGB
        rgb: np.ndarray = cv2.cvtColor(bgr, code, dst=out)
        return rgb

    def report(self) -> ReadReport:
        """What is known after the last frame; call it when iteration has ended."""
        return summarize(
            self._info,
            self._clock,
            self._damage,
            start_offset_seconds=self._start_offset_seconds,
            num_pauses=self._num_pauses,
            num_bytes_missing=self._source.num_bytes_missing,
            num_packet_faults=self._source.num_packet_faults,
            container=self._source.container,
        )

    def _grab(self) -> tuple[bool, float]:
        """Whether there is a further frame, and the milliseconds that the decoder reports for it."""
        if os.getpid() != self._process:
            raise RuntimeError(f"{self.path}: was opened before a fork; open it in the process that reads it")
        with self._lock:
            try:
                is_grabbed = self._capture.grab()
            except cv2.error as error:
                raise decoder_error(error, self.path) from None
            milliseconds = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        self._source.raise_pending()
        return is_grabbed, milliseconds

    def _stamp(self, raw_seconds: float, cause: str | None, num_failed: int) -> FrameStamp:
        """The grabbed frame's index, time and flags."""
        before = self._last
        index = before.index + 1 if before else 0
        if before is None:
            self._start_offset_seconds = self._read_start_offset()
        if num_failed:
            cause = cause or "corrupt_span"
        if cause is not None:
            self._clock.lose_count()
        time = self._clock.next(raw_seconds)
        if time.is_after_gap and cause is None:
            if self._source.container.loses_frames_silently:
                cause = "timestamp_gap"
            elif not self._damage.is_in_span:
                self._num_pauses += 1
        is_suspect = self._damage.frame(
            index, before.seconds if before else 0.0, time.seconds, cause, num_failed, self._picture_type()
        )
        flags = FrameFlag.TIME_ESTIMATED if time.is_estimated else FrameFlag.NONE
        return FrameStamp(index, time.seconds, flags | FrameFlag.SUSPECT if is_suspect else flags)

    def _read_start_offset(self) -> float | None:
        """The container's own time of the first frame; OpenCV tells it in whole frames, and since version 4.13."""
        name = getattr(cv2, "CAP_PROP_PTS", None)
        fps = self._info.fps_from_header
        if name is None or fps is None or not self._source.container.has_frame_times:
            return None
        return float(self._capture.get(name)) / fps

    def _picture_type(self) -> str:
        return chr(int(self._capture.get(cv2.CAP_PROP_FRAME_TYPE)) or ord("?"))


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """What the header of a video file claims.

    Raises:
        VideoError: The file cannot be opened as a video.

    Example:
        >>> videoseq.probe("clip.mp4").fps_from_header
        30.0
    """
    with VideoReader(path) as reader:
        return reader.info


def read_frames(path: str | os.PathLike[str]) -> Iterator[Frame]:
    """Every decodable frame of a video file, in order.

    Raises:
        VideoError: The file cannot be opened as a video, or not read to its end.

    Example:
        >>> sum(1 for frame in videoseq.read_frames("clip.mp4"))
        60
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

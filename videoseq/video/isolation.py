"""Videos decoded in a separate process: a decoder that crashes, hangs or takes too much memory costs one file.

The process is started once, lives from video to video, and is restarted after it had to be ended. Images come
through shared memory, in turn through a few slots; it decodes as many images ahead as there are slots.
"""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from videoseq.errors import ConfigError, VideoError
from videoseq.system.processes import child_command, how_it_ended
from videoseq.video.capture import MAX_PIXELS
from videoseq.video.deadline import Deadline
from videoseq.video.frames import FrameReader, FrameStamp, SampledFrame
from videoseq.video.info import ReadReport, VideoInfo
from videoseq.video.packets import PacketInfo
from videoseq.video.pyav_capture import is_available
from videoseq.video.timestamps import FrameFlag

_IMAGE_BYTES = 1 << 26  # of shared memory for images, unless two are larger
_MIN_SLOTS, _MAX_SLOTS = 2, 16
_START_SECONDS = 120.0  # a cold disk takes its time to load OpenCV
_DEATH_SECONDS = 5.0
_VIDEOS_PER_PROCESS = 200  # decoders leak a little; a fresh process forgets it
_LOG_LEVEL = "40"  # FFmpeg's AV_LOG_VERBOSE, at which it also reports that the size of the video changes
_CHILD = (
    "from multiprocessing.connection import Connection\n"
    "from videoseq.video.decoder_process import main; main(Connection(int(sys.argv[1])), *map(int, sys.argv[2:]))"
)


@dataclass(frozen=True)
class Limits:
    """What decoding one file may cost.

    Attributes:
        max_pixels: Larger frames are refused, as ``too_large``.
        memory_bytes: What the decoder may take; held where the system keeps count (Linux).
        frame_seconds: The longest wait for the next frame, then ``timeout``.
        video_seconds: What all that is done with one video may take, from opening it on; the default, a week, is there
            for files without an end.
    """

    max_pixels: int = MAX_PIXELS
    memory_bytes: int = 2 << 30
    frame_seconds: float = 60.0
    video_seconds: float = 7 * 24 * 3600.0


class DecoderProcess:
    """The process that decodes. Use it as a context manager; it is started at once, and waited for by the first video.

    Raises:
        ConfigError: On construction, where the system cannot hand an open pipe to another process (Windows).
    """

    def __init__(self, limits: Limits | None = None) -> None:
        if os.name != "posix":
            raise ConfigError("isolated decoding: expected Linux or macOS; use --no-isolate here")
        self.limits = limits or Limits()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._images = _open_image_memory()
        self._num_videos = 0
        self._is_ready = False
        self._reader: IsolatedReader | None = None
        self._start()

    @property
    def pids(self) -> tuple[int, ...]:
        """The process's number, if it lives: for those who measure what it takes."""
        return () if self._process is None else (self._process.pid,)

    def __enter__(self) -> DecoderProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self.stop()
        self._images.close()

    def open(self, path: str | os.PathLike[str]) -> IsolatedReader:
        """A reader for one video; one that is still open is closed.

        Raises:
            VideoError: The file cannot be opened as a video.
        """
        self._prepare(Path(path))
        self._reader = IsolatedReader(Path(path), self)
        return self._reader

    def read_packets(self, path: Path) -> PacketInfo | None:
        """What PyAV sees in a file; None if it is not installed.

        Raises:
            VideoError: It cannot read the file.
        """
        if not is_available():
            return None
        self._prepare(path)
        self.send(packets_of=str(path))
        packets = self.receive(path, self.limits.video_seconds)["packets"]
        return PacketInfo(**{**packets, "streams": tuple(packets["streams"])})

    def read_info(self, path: Path) -> VideoInfo:
        """What a file's header claims; nothing of it is decoded.

        Raises:
            VideoError: It cannot be opened as a video.
        """
        self._prepare(path)
        self.send(info_of=str(path), max_pixels=self.limits.max_pixels)
        return VideoInfo.from_dict(self.receive(path, self.limits.frame_seconds)["info"])

    def _prepare(self, path: Path) -> None:
        """Sees to it that a process is there that is not too old and waits for an order."""
        if self._reader is not None:
            self._reader.close()
        if self._num_videos >= _VIDEOS_PER_PROCESS:
            self.stop()
        if self._process is None:
            self._start()
        if not self._is_ready:
            self.receive(path, _START_SECONDS)
            self._is_ready = True
        self._num_videos += 1

    def send(self, **message: Any) -> None:  # noqa: ANN401 (any JSON)
        """Sends a command, or that a slot is free; whether it arrives shows when the answer is read."""
        assert self._connection is not None
        with suppress(OSError):
            self._connection.send_bytes(json.dumps(message).encode() if message else b"free")

    def receive(self, path: Path, timeout_seconds: float) -> dict[str, Any]:
        """The next message.

        Raises:
            VideoError: It is an error, does not come in time, or the process is gone.
        """
        assert self._connection is not None
        try:
            if not self._connection.poll(max(0.0, timeout_seconds)):
                self.stop()
                raise VideoError("timeout", f"{path}: the decoder did not answer in time and was ended")
            message: dict[str, Any] = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError, ValueError):
            raise VideoError("decoder_crashed", f"{path}: the decoder {self._cause_of_death()}") from None
        if "error" in message:
            raise VideoError(*message["error"])
        return message

    def map_images(self, num_slots: int, height: int, width: int) -> np.ndarray:
        """The shared memory as ``num_slots`` images."""
        shape = (num_slots, height, width, 3)
        num_bytes = int(np.prod(shape))
        if num_bytes > os.fstat(self._images.fileno()).st_size:
            # It never shrinks: code that still uses an image of an earlier video would crash.
            os.ftruncate(self._images.fileno(), num_bytes)
        return np.frombuffer(mmap.mmap(self._images.fileno(), num_bytes), np.uint8).reshape(shape)

    def stop(self) -> None:
        """Ends the process now; the next video gets a new one."""
        if self._process is not None:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):  # held in the kernel by a disk that does not answer
                self._process.wait(timeout=_DEATH_SECONDS)
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None
        self._num_videos = 0
        self._is_ready = False

    def _start(self) -> None:
        ours, theirs = Pipe()
        descriptors = (theirs.fileno(), self._images.fileno())
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and code)
            child_command(_CHILD, *descriptors, self.limits.memory_bytes),
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OPENCV_FFMPEG_LOGLEVEL": _LOG_LEVEL, "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # an interrupt from the terminal is for us to handle
        )
        theirs.close()
        self._connection = ours

    def _cause_of_death(self) -> str:
        assert self._process is not None
        try:
            status = self._process.wait(timeout=_DEATH_SECONDS)
        except subprocess.TimeoutExpired:
            status = 0
        self.stop()
        return how_it_ended(status)


class IsolatedReader(FrameReader):
    """Reads a video in a :class:`DecoderProcess`.

    Raises:
        VideoError: On construction, when the file cannot be opened as a video.
    """

    def __init__(self, path: Path, decoder: DecoderProcess) -> None:
        self.path = path
        self._decoder = decoder
        self._deadline = Deadline(path, decoder.limits.video_seconds)
        self._fraction = 0.0
        self._report: ReadReport | None = None
        self._is_idle = False  # whether the process has done with this video
        decoder.send(path=str(path), max_pixels=decoder.limits.max_pixels)
        self._info = VideoInfo.from_dict(self._receive()["info"])

    @property
    def info(self) -> VideoInfo:
        """What the header claims."""
        return self._info

    @property
    def fraction_read(self) -> float:
        """How much of the file's bytes have been read."""
        return self._fraction

    def sampled(self, sample_hz: float | None) -> Iterator[SampledFrame]:
        """Every frame in order, with the images of those that the network looks at ``sample_hz`` times a second."""
        height, width = self._info.height, self._info.width
        num_slots = min(_MAX_SLOTS, max(_MIN_SLOTS, _IMAGE_BYTES // (height * width * 3)))
        images = self._decoder.map_images(num_slots, height, width)
        self._decoder.send(num_slots=num_slots, sample_hz=sample_hz)
        index = 0
        while "report" not in (message := self._receive()):
            self._fraction = message["fraction"]
            for seconds, flags, steps in message["stamps"]:
                stamp = FrameStamp(index, seconds, FrameFlag(flags))
                index += 1
                # Only the last of a batch is sampled; the others have no step.
                yield SampledFrame(stamp, steps, images[message["slot"]] if steps else None)
            if message["slot"] is not None:
                self._decoder.send()  # the slot is free again
        self._fraction, self._is_idle = 1.0, True
        self._report = ReadReport.from_dict(message["report"])

    def report(self) -> ReadReport:
        """What is known after the last frame; call it when iteration has ended."""
        if self._report is None:
            raise RuntimeError(f"{self.path}: expected report() to be called after the last frame")
        return self._report

    def close(self) -> None:
        """Ends the process if it is still at this video."""
        if not self._is_idle:
            self._is_idle = True
            self._decoder.stop()

    def _receive(self) -> dict[str, Any]:
        """The next message, within what is left of the video's time."""
        try:
            self._deadline.check()
            limit = min(self._decoder.limits.frame_seconds, self._deadline.seconds_left)
            return self._decoder.receive(self.path, limit)
        except VideoError as error:
            self._is_idle = True  # it said so and waits for the next video, or is gone
            if error.code == "timeout":
                self._decoder.stop()
                self._deadline.check()  # which of the two limits it was
            raise


def _open_image_memory() -> BinaryIO:
    """A file without a name, in memory where the system has such (Linux); /dev/shm is small in containers."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("videoseq-images"), "w+b")
    return tempfile.TemporaryFile()

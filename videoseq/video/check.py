"""A video → what a person with strange labels must know of it: what it claims, what it holds, how far they differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from videoseq.errors import VideoError, one_line
from videoseq.video.frames import FrameReader, OnFrames
from videoseq.video.info import ReadReport, VideoInfo
from videoseq.video.isolation import DecoderProcess
from videoseq.video.packets import PacketInfo

# Containers round times to a millisecond; more than this, or two hundredths of an interval, is another rate.
_SAME_INTERVAL_SECONDS = 0.0011
_SAME_INTERVAL_SHARE = 0.02
_NO_IMAGES_HZ = 1e-9  # one look at the first image is enough


@dataclass(frozen=True, eq=False)
class VideoCheck:
    """All that is known of one video.

    Attributes:
        path: The file.
        info: What its header claims; None if it does not open.
        report: What reading it found; None if it cannot be read.
        packets: What PyAV sees; None without PyAV, or if it sees nothing.
        seconds: The time of every frame.
        error: Why it cannot be read.
    """

    path: Path
    info: VideoInfo | None = None
    report: ReadReport | None = None
    packets: PacketInfo | None = None
    seconds: Float[np.ndarray, " frames"] = field(default_factory=lambda: np.zeros(0))
    error: VideoError | None = None

    @property
    def state(self) -> str:
        """``complete``, ``degraded`` or ``failed``."""
        return self.report.state if self.report is not None else "failed"

    @property
    def fps_measured(self) -> float | None:
        """Frames a second between the first frame and the last."""
        if len(self.seconds) < 2:
            return None
        return float((len(self.seconds) - 1) / (self.seconds[-1] - self.seconds[0]))

    @property
    def is_constant_rate(self) -> bool | None:
        """Whether all frames last equally long, to the containers' rounding; None for a single frame."""
        if len(self.seconds) < 2:
            return None
        intervals = np.diff(self.seconds)
        usual = float(np.median(intervals))
        allowed = max(_SAME_INTERVAL_SECONDS, _SAME_INTERVAL_SHARE * usual)
        return bool(np.abs(intervals - usual).max() <= allowed)

    @property
    def drift_seconds(self) -> Float[np.ndarray, " frames"] | None:
        """How far each frame's index over the claimed rate is ahead of its time; None where no rate is claimed."""
        if self.info is None or self.info.fps_from_header is None or not len(self.seconds):
            return None
        drift: np.ndarray = np.arange(len(self.seconds)) / self.info.fps_from_header - (self.seconds - self.seconds[0])
        return drift

    @property
    def num_lost(self) -> int | None:
        """Packets without a frame where they were counted, else failed reads; None if it cannot be read."""
        if self.report is None:
            return None
        if self.packets is None:
            return self.report.num_failed_reads
        return max(0, self.packets.num_packets - self.report.num_frames)

    def as_dict(self) -> dict[str, Any]:
        """The check as JSON-ready fields, in the order in which a person would ask."""
        drift = self.drift_seconds
        error = {"code": self.error.code, "message": one_line(self.error)} if self.error else {}
        info = self.info.as_dict() if self.info else {}
        info.pop("path", None)
        report = self.report.as_dict() if self.report else {}
        return {
            "path": str(self.path),
            "state": self.state,
            **error,
            **info,
            **report,
            "fps_measured": self.fps_measured,
            "is_constant_rate": self.is_constant_rate,
            "num_lost": self.num_lost,
            "drift_ms_at_end": None if drift is None else round(1000 * float(drift[-1]), 3),
            "drift_ms_at_worst": None if drift is None else round(1000 * float(np.abs(drift).max()), 3),
            "packets": self.packets.as_dict() if self.packets else None,
        }


def check_video(path: Path, decoder: DecoderProcess, on_progress: OnFrames | None = None) -> VideoCheck:
    """Reads a video to its end, in a separate process; the result has everything that is wrong with it."""
    info: VideoInfo | None = None
    seconds: list[float] = []
    packets = _packets(path, decoder)
    try:
        with decoder.open(path) as reader:
            info = reader.info
            report = read_times(reader, seconds, on_progress)
    except VideoError as error:
        return VideoCheck(path, info, None, packets, np.array(seconds), error)
    return VideoCheck(path, info, report, packets, np.array(seconds))


def read_times(reader: FrameReader, seconds: list[float], on_progress: OnFrames | None = None) -> ReadReport:
    """Reads a video to its end for the times of its frames alone, which it adds to ``seconds`` as they come.

    Raises:
        VideoError: The video cannot be read to its end; ``seconds`` holds what came before.
    """
    for frame in reader.sampled(_NO_IMAGES_HZ):
        seconds.append(frame.stamp.seconds)
        if on_progress is not None and frame.stamp.index % 64 == 0:
            on_progress(frame.stamp.index, reader.fraction_read)
    return reader.report()


def _packets(path: Path, decoder: DecoderProcess) -> PacketInfo | None:
    """What PyAV sees; that it is missing, or sees nothing, is no finding: reading the frames decides."""
    try:
        return decoder.read_packets(path)
    except VideoError:
        return None

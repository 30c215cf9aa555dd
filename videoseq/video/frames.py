"""What a frame is, and what every reader of frames does, in this process or another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from jaxtyping import UInt8

from videoseq.video.info import ReadReport, VideoInfo
from videoseq.video.timestamps import FrameFlag

Image = UInt8[np.ndarray, "height width 3"]

OnFrames = Callable[[int, float], None]
"""Called with the frames read so far and the fraction of the file's bytes read."""


@dataclass(frozen=True)
class FrameStamp:
    """Which frame, and when.

    Attributes:
        index: 0-based in decode order.
        seconds: Presentation time since the start of the video stream, strictly increasing.
        flags: What is to be known about it.
    """

    index: int
    seconds: float
    flags: FrameFlag = FrameFlag.NONE


@dataclass(frozen=True, eq=False)
class Frame:
    """A decoded frame: index (0-based), seconds, and its upright RGB image, uint8 of shape (height, width, 3).

    Example:
        >>> frame = next(videoseq.read_frames("clip.mp4"))
        >>> frame.index, frame.image.shape, frame.image.dtype.name
        (0, (72, 96, 3), 'uint8')
    """

    index: int
    seconds: float
    image: Image

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(
                "expected an RGB image of shape (height, width, 3) and dtype uint8, "
                f"got {self.image.shape} {self.image.dtype}"
            )


@dataclass(frozen=True, eq=False)
class SampledFrame:
    """A frame on its way to the network.

    Attributes:
        stamp: Which frame.
        steps: Steps of the network due at it; 0 if it is not looked at.
        image: Its upright RGB image if ``steps > 0``, valid until the next frame is taken.
    """

    stamp: FrameStamp
    steps: int
    image: Image | None


class FrameSource(ABC):
    """One pass over frames, of a video file or of images in memory."""

    @property
    @abstractmethod
    def fraction_read(self) -> float:
        """How much of the source has been read, of a file in bytes: a progress measure that no header can spoil."""

    @property
    @abstractmethod
    def duration_seconds(self) -> float:
        """Where the last frame ends; ask for it when iteration has ended."""

    @abstractmethod
    def sampled(self, sample_hz: float | None) -> Iterator[SampledFrame]:
        """Every frame in order, with the images of those that the network looks at ``sample_hz`` times a second.

        Raises:
            VideoError: The video cannot be read to its end.
        """


class FrameReader(FrameSource):
    """One pass over a video file, in this process or another. Use it as a context manager."""

    @property
    @abstractmethod
    def info(self) -> VideoInfo:
        """What the header claims."""

    @property
    def duration_seconds(self) -> float:
        """Where the last frame ends; ask for it when iteration has ended."""
        return self.report().duration_seconds

    @abstractmethod
    def report(self) -> ReadReport:
        """What is known after the last frame; call it when iteration has ended."""

    @abstractmethod
    def close(self) -> None:
        """Lets go of the file."""

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

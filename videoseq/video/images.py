"""Images in memory → frames: numbered, timed, and checked like those of a video file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from videoseq.errors import ConfigError, VideoError
from videoseq.video.frames import Frame, FrameSource, FrameStamp, Image, SampledFrame
from videoseq.video.sampling import Sampler


class FrameNumbering:
    """Images → frames, each with an index and a time after those of the frame before it.

    Args:
        fps: Images a second; None where each comes with its time.

    Attributes:
        next_index: The index of the next image; it may be set to go on in the middle of a video.

    Raises:
        ConfigError: ``fps`` is no number above 0.
    """

    def __init__(self, fps: float | None = None) -> None:
        if fps is not None and not 0 < fps < math.inf:
            raise ConfigError(f"fps: expected images a second, above 0, got {fps}")
        self._fps = fps
        self.next_index = 0
        self._seconds = -math.inf
        self._interval = 0.0

    def number(self, image: Image | Frame, seconds: float | None = None) -> Frame:
        """The next frame.

        Args:
            image: uint8 RGB of shape (height, width, 3); or a frame, which has an index and a time of its own.
            seconds: When an image was recorded, since the first one; without it, ``fps`` tells.

        Raises:
            ConfigError: An image has no time, or the time of the frame is given twice.
            VideoError: It does not come after the frame before it.
        """
        if isinstance(image, Frame):
            if seconds is not None or self._fps is not None:
                raise ConfigError("expected images with seconds or fps, got a Frame, which has a time of its own")
            frame = image
        else:
            frame = Frame(self.next_index, self._seconds_of_image(seconds), image)
        if frame.index < self.next_index or not self._seconds < frame.seconds < math.inf:
            expected = f"index {self.next_index} or later and a time after {self._seconds:.6g} s"
            got = f"index {frame.index} at {frame.seconds:.6g} s"
            raise VideoError("bad_frame_time", f"frame {frame.index}: expected {expected}, got {got}")
        self._interval = frame.seconds - self._seconds if math.isfinite(self._seconds) else 0.0
        self._seconds, self.next_index = frame.seconds, frame.index + 1
        return frame

    @property
    def end_seconds(self) -> float:
        """Where the last frame ends, which lasts as long as the one before it."""
        return self.next_index / self._fps if self._fps is not None else max(0.0, self._seconds) + self._interval

    def _seconds_of_image(self, seconds: float | None) -> float:
        if seconds is not None:
            if self._fps is not None:
                raise ConfigError(f"expected images with seconds or fps, got both: {seconds} and {self._fps}")
            return seconds
        if self._fps is None:
            raise ConfigError(
                "expected images with seconds or fps, got an image without a time; pass for example fps=25"
            )
        return self.next_index / self._fps


class ImageSource(FrameSource):
    """One pass over images in memory, or as an iterator makes them.

    Args:
        images: uint8 RGB arrays of shape (height, width, 3), or frames, none of which is left out.
        fps: Images a second; None with frames, which have times of their own.

    Raises:
        ConfigError: ``fps`` is no number above 0.
    """

    def __init__(self, images: Iterable[Image | Frame], fps: float | None) -> None:
        self._images = images
        self._numbering = FrameNumbering(fps)

    @property
    def fraction_read(self) -> float:
        """0: how many images will come is not known."""
        return 0.0

    @property
    def duration_seconds(self) -> float:
        """Where the last frame ends; ask for it when iteration has ended."""
        return self._numbering.end_seconds

    def sampled(self, sample_hz: float | None) -> Iterator[SampledFrame]:
        """Every frame in order, with the images of those that the network looks at ``sample_hz`` times a second.

        Raises:
            ConfigError: An image has no time.
            VideoError: There is no image, or a frame is missing or out of order.
        """
        sampler = Sampler(sample_hz)
        last: int | None = None
        for image in self._images:
            frame = self._numbering.number(image)
            if last is not None and frame.index != last + 1:
                raise VideoError("missing_frames", f"expected frame {last + 1} after frame {last}, got {frame.index}")
            last = frame.index
            steps = sampler.steps(frame.seconds)
            yield SampledFrame(FrameStamp(frame.index, frame.seconds), steps, frame.image if steps else None)
        if last is None:
            raise VideoError("no_frames", "expected at least one image, got none")

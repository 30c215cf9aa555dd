"""Container times → strictly increasing frame times, and what had to be done to them.

Containers repeat times, leave them out, or start them again in the middle where two recordings were joined. A time
that does not increase is replaced, the frame is marked, and as soon as the container makes sense again its own times
count again.
"""

from __future__ import annotations

import enum
import math
import statistics
from collections import deque
from dataclasses import dataclass
from typing import Literal

TimeSource = Literal["container", "container_repaired", "frame_rate"]
"""Where frame times come from: the container; the container, some replaced; or a rate, the container having none."""

FALLBACK_FPS = 25.0
"""The rate if neither the container nor its header has one."""

_RECENT_INTERVALS = 31
# A replaced time stays a little short of a whole interval, so that a right time may follow it directly.
_SHORT_OF_AN_INTERVAL = 0.999
_REGULAR_SPREAD = 0.25  # intervals within this share of their median are a constant rate
_GAP_INTERVALS = 1.5
_FRAMES_OUT_OF_LINE = 3  # more than these are no slip, the container's clock has started again
_MAX_SECONDS = 1e9  # thirty years; more is no time
_MIN_INTERVALS = 4  # before a rate is called constant


class FrameFlag(enum.IntFlag):
    """What is to be known about a single frame; written into the ``flags`` column."""

    NONE = 0
    TIME_ESTIMATED = 1
    SUSPECT = 2

    @property
    def text(self) -> str:
        """The flags that are set, as in the files: ``time_estimated``, ``suspect``, joined by ``+``, or nothing."""
        return "+".join(flag.name.lower() for flag in FrameFlag if flag and flag in self and flag.name)


@dataclass(frozen=True)
class FrameTime:
    """The time of a frame.

    Attributes:
        seconds: Since the start of the video stream; strictly increasing.
        is_estimated: Whether the container's own time was unusable.
        is_after_gap: Whether, at a constant rate, frames are missing before this one.
    """

    seconds: float
    is_estimated: bool
    is_after_gap: bool


@dataclass(frozen=True)
class _Shift:
    """What is added to the container's times, and whether that is a repair."""

    seconds: float
    is_repair: bool


class FrameClock:
    """Gives each frame its time; it looks at past frames alone.

    Args:
        fps_from_header: The rate to fall back on while no two container times are known.
        has_frame_times: Whether the container stores times at all.
    """

    def __init__(self, fps_from_header: float | None, *, has_frame_times: bool) -> None:
        self._header_interval = 1.0 / (fps_from_header or FALLBACK_FPS)
        self._has_frame_times = has_frame_times
        self._recent: deque[float] = deque(maxlen=_RECENT_INTERVALS)
        self._last: float | None = None
        self._last_raw = math.nan
        self._shift = _Shift(0.0, is_repair=False)  # what is added since the container's times last started again …
        self._shift_before: _Shift | None = None  # … and before that: it may have been a frame or two out of line
        self._frames_since_restart = 0
        self._has_seen_two_times = False
        self._has_lost_count = False
        self.num_frames = 0
        self.num_estimated = 0

    @property
    def interval_seconds(self) -> float:
        """How long a frame lasts: the median of the last intervals, or what the header claims."""
        return statistics.median(self._recent) if self._recent else self._header_interval

    @property
    def end_seconds(self) -> float:
        """The end of the last frame."""
        return 0.0 if self._last is None else self._last + self.interval_seconds

    @property
    def source(self) -> TimeSource:
        """Where the times so far come from."""
        if not self._has_frame_times or self.is_rate_a_guess:
            return "frame_rate"
        return "container_repaired" if self.num_estimated else "container"

    @property
    def is_rate_a_guess(self) -> bool:
        """Whether not even two times were known, so that the header's rate is all there is."""
        return self.num_frames > 1 and not self._has_seen_two_times

    def lose_count(self) -> None:
        """Notes that frames are missing: where times are counted from a rate, those that follow may lag behind."""
        self._has_lost_count = not self._has_frame_times

    def next(self, raw_seconds: float) -> FrameTime:
        """The time of the next frame, for which the decoder reports ``raw_seconds``."""
        is_possible = abs(raw_seconds) <= _MAX_SECONDS  # which no NaN is
        raw = raw_seconds if is_possible else 0.0
        if self._last is None:
            if not self._has_frame_times:
                self._shift = _Shift(-raw, is_repair=False)  # a count of packets, which may be ahead of the frames
            seconds, is_estimated, is_after_gap = max(0.0, raw + self._shift.seconds), not is_possible, False
        else:
            seconds, is_estimated = self._continue(self._last, raw)
            interval = seconds - self._last
            is_after_gap = not is_estimated and self._is_gap(interval)
            if not is_estimated and not is_after_gap:
                self._recent.append(interval)
            self._has_seen_two_times |= raw != self._last_raw
        is_estimated |= self._has_lost_count
        self._last, self._last_raw = seconds, raw
        self.num_frames += 1
        self.num_estimated += is_estimated
        return FrameTime(seconds, is_estimated, is_after_gap)

    def _continue(self, last: float, raw: float) -> tuple[float, bool]:
        """The next frame's seconds, and whether they are estimated."""
        if raw == self._last_raw:  # no time of its own
            if not self._has_seen_two_times:
                return max(0.0, raw + self._shift.seconds) + self.num_frames * self._header_interval, True
            return last + self.interval_seconds * _SHORT_OF_AN_INTERVAL, True
        self._frames_since_restart += 1
        if self._shift_before is not None and self._frames_since_restart > _FRAMES_OUT_OF_LINE:
            self._shift_before = None
        if self._shift_before is not None and raw + self._shift_before.seconds > last:
            self._shift, self._shift_before = self._shift_before, None
        if raw + self._shift.seconds > last:
            return raw + self._shift.seconds, self._shift.is_repair
        if self._shift_before is None:
            self._shift_before = self._shift
        self._shift = _Shift(last + self.interval_seconds - raw, is_repair=True)
        self._frames_since_restart = 0
        return last + self.interval_seconds * _SHORT_OF_AN_INTERVAL, True

    def _is_gap(self, interval: float) -> bool:
        if len(self._recent) < _MIN_INTERVALS or interval <= self._recent[-1] * _GAP_INTERVALS:
            return False  # the second is cheap, and true of nearly every frame
        usual = self.interval_seconds
        is_regular = max(abs(recent - usual) for recent in self._recent) <= _REGULAR_SPREAD * usual
        return is_regular and interval > _GAP_INTERVALS * usual

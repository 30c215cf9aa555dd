"""Failed reads, decoder complaints and gaps → spans of a video in which frames are missing or not to be trusted.

A span opens where damage is noticed and closes at the next intra-coded picture, which depends on nothing before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from videoseq.errors import VideoError
from videoseq.video.capture import DECODER_THREADS

# The decoder complains about a frame while those before it are still on their way through its threads and its
# reordering; so many frames later at most, the frame itself arrives.
_FRAMES_AHEAD = DECODER_THREADS + 4
_MAX_SPANS = 1000  # of a file that is damaged all over, the first are kept and the rest counted

# What FFmpeg logs as an error although the image is right.
_HARMLESS = re.compile(
    r"mmco: unref short|number of reference frames|\bSEI\b|sei_|[Uu]nknown profile|deprecated|"
    r"Truncated VUI|Truncating likely oversized PPS|Application has requested|Unsupported encoding|channel element|"
    r"get_buffer\(\) failed|thread_get_buffer"
)
# Of its warnings, those that mean damage.
_DAMAGING_WARNING = re.compile(r"corrupt|PES packet size mismatch|misdetection")
_FAULTY_CONTAINER = re.compile(r"EBML|exceeds containing|Duplicate element|ended prematurely|partial file|misdetection")
_CUT_OFF = re.compile(r"ended prematurely|partial file|[Tt]runcat")
# OpenCV puts the level before a line; what PyAV lets through are errors, with the part of FFmpeg that found them.
_LEVEL = re.compile(r"\[OPENCV:FFMPEG:(?P<level>\d+)\] |\[[\w,]+ @ 0x[0-9a-f]+\] ")
_SIZE = re.compile(r"(?:Reinit context to|[Dd]imension(?:s)? change[!d]*.*->|changing size to) ?(\d+)x(\d+)")
_AV_LOG_ERROR = 16


@dataclass(frozen=True)
class Span:
    """A stretch of a video that is not as it was recorded.

    Attributes:
        code: ``corrupt_span``, ``timestamp_gap`` or ``resolution_changed``.
        start_frame: The first frame not to be trusted, or, where frames are only missing, the first one after them.
        stop_frame: The first frame that is right again.
        start_seconds: Time of the last frame before it.
        stop_seconds: Time of ``stop_frame``.
        num_failed_reads: Failed reads in it; about as many frames are missing.
    """

    code: str
    start_frame: int
    stop_frame: int
    start_seconds: float
    stop_seconds: float
    num_failed_reads: int

    def as_dict(self) -> dict[str, Any]:
        """The span as JSON-ready fields, seconds to a microsecond."""
        fields = asdict(self)
        for name in ("start_seconds", "stop_seconds"):
            fields[name] = round(fields[name], 6)
        return fields


class DamageRecord:
    """Collects spans while frames go by.

    Attributes:
        spans: Those that have ended, in order; at most a thousand are kept.
        num_spans: How many there were.
        lost_seconds: How long all of them were together.
        num_failed_reads: Failed reads between or before good frames.
        complaints: The decoder's first complaints, in its own words.
        is_cut_off: Whether the decoder said that the file ends before its container does.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.num_spans = 0
        self.lost_seconds = 0.0
        self.num_failed_reads = 0
        self.complaints: list[str] = []
        self.is_cut_off = False
        self._open: tuple[str, int, float, int] | None = None
        self._last_cause_frame = 0
        self._size: tuple[str, str] | None = None

    @property
    def is_in_span(self) -> bool:
        """Whether damage was noticed and no intra-coded picture has come since."""
        return self._open is not None

    def note_opening(self, lines: Iterable[str]) -> str | None:
        """The same for what was said while opening, of which only the container's own faults are not said again."""
        return self.note_log(line for line in lines if _FAULTY_CONTAINER.search(line))

    def note_log(self, lines: Iterable[str]) -> str | None:
        """Which code these lines of the decoder's log amount to, if any; ``unsupported`` if there was no image."""
        code = None
        for line in lines:
            level = _LEVEL.search(line)
            size = _SIZE.search(line)
            if size is not None:
                before, self._size = self._size, (size[1], size[2])
                if before is not None and before != self._size:
                    code = "resolution_changed"
            elif "Cannot convert interlaced" in line:
                return "unsupported"
            elif level is None or _HARMLESS.search(line):
                continue
            elif _CUT_OFF.search(line):
                self.is_cut_off = True
            elif int(level["level"] or _AV_LOG_ERROR) <= _AV_LOG_ERROR or _DAMAGING_WARNING.search(line):
                code = code or "corrupt_span"
                if len(self.complaints) < 5:
                    self.complaints.append(line[level.end() :].strip()[:200])
        return code

    def frame(
        self, index: int, last_seconds: float, seconds: float, cause: str | None, num_failed: int, kind: str
    ) -> bool:
        """Counts a good frame in; returns whether it lies in a span and so is suspect.

        Args:
            index: The frame's index.
            last_seconds: Time of the frame before.
            seconds: The frame's time.
            cause: A code if damage was noticed since the last frame.
            num_failed: Failed reads since the last frame.
            kind: The picture's coding type: I, P, B or ? where it is not known.
        """
        self.num_failed_reads += num_failed
        if cause is not None:
            self._last_cause_frame = index
            code, start_frame, start_seconds, num_before = self._open or (cause, index, last_seconds, 0)
            code = cause if cause == "resolution_changed" else code  # more precise than that packets were lost
            self._open = (code, start_frame, start_seconds, num_before + num_failed)
        is_only_missing = cause == "timestamp_gap" and self._open is not None and self._open[1] == index
        if kind == "I" and (is_only_missing or index - self._last_cause_frame > _FRAMES_AHEAD):
            self.close(index, seconds)
        return self._open is not None

    def end(self, num_frames: int, last_seconds: float, end_seconds: float, cause: str | None) -> None:
        """Notes that no frame follows: an open span ends here, and so does one for a ``cause`` not yet counted in."""
        if cause is not None and self._open is None:
            self._open = (cause, num_frames, last_seconds, 0)
        self.close(num_frames, end_seconds)

    def close(self, stop_frame: int, stop_seconds: float) -> None:
        """Ends the open span, if there is one."""
        if self._open is None:
            return
        code, start_frame, start_seconds, num_failed = self._open
        self._open = None
        self.num_spans += 1
        self.lost_seconds += stop_seconds - start_seconds
        if len(self.spans) < _MAX_SPANS:
            self.spans.append(Span(code, start_frame, stop_frame, start_seconds, stop_seconds, num_failed))

    def no_frames(self, path: Path) -> VideoError:
        """Why a file that opened has no frames."""
        said = "; ".join(self.complaints)
        if "Cannot allocate memory" in said:
            return VideoError("too_large", f"{path}: its frames need more memory than the decoder may take")
        if re.search(r"not support|Failed to get pixel format|not implemented", said):
            text = f"{path}: its frames cannot be decoded here ({said[:120]}); convert it first"
            return VideoError("unsupported", text)
        hint = f" ({said[:120]})" if said else ""
        return VideoError("no_frames", f"{path}: expected frames, got none that decode{hint}; is the file damaged?")

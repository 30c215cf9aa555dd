"""What is known of a video: the claims of its header before reading, and a report after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import cv2

from videoseq.errors import Notice
from videoseq.video.containers import Container
from videoseq.video.damage import DamageRecord, Span
from videoseq.video.pyav_capture import AvCapture
from videoseq.video.timestamps import FrameClock, TimeSource

_MAX_PLAUSIBLE_FPS = 1000.0


@dataclass(frozen=True)
class VideoInfo:
    """What a video's header claims.

    Attributes:
        path: The file.
        container: ``mp4``, ``matroska``, ``avi``, ``mpegts``, …
        width: Pixels across, upright.
        height: Pixels down, upright.
        fps_from_header: Frames a second as claimed, or None where the claim is absurd.
        num_frames_from_header: Frames as claimed, or None where the claim is absurd.
        rotation_degrees: By how much the stored images are rotated to be upright.
        codec: Four-character code.
        notices: What 8-bit RGB images lose of the recorded ones.

    Example:
        >>> info = videoseq.probe("clip.mp4")
        >>> info.container, info.width, info.height
        ('mp4', 96, 72)
    """

    path: Path
    container: str
    width: int
    height: int
    fps_from_header: float | None
    num_frames_from_header: int | None
    rotation_degrees: int
    codec: str
    notices: tuple[Notice, ...] = ()

    @property
    def duration_seconds_from_header(self) -> float | None:
        """Claimed frames over claimed rate."""
        if self.fps_from_header is None or self.num_frames_from_header is None:
            return None
        return self.num_frames_from_header / self.fps_from_header

    def as_dict(self) -> dict[str, Any]:
        """The claims as JSON-ready fields."""
        return asdict(self) | {"path": str(self.path)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> VideoInfo:
        """The claims from what :meth:`as_dict` gave."""
        notices = tuple(Notice(**notice) for notice in fields["notices"])
        return cls(**{**fields, "path": Path(fields["path"]), "notices": notices})


@dataclass(frozen=True)
class ReadReport:
    """What was found when a file was read to its end.

    Attributes:
        num_frames: Frames decoded.
        duration_seconds: Time of the end of the last frame.
        start_offset_seconds: The container's own time of frame 0, whose time here is 0; to a frame, None if unknown.
        rotation_degrees: By how much the images were rotated to be upright.
        time_source: Where the times come from.
        num_estimated_times: Frames whose container time was unusable.
        num_failed_reads: Failed reads before, between or after good frames.
        spans: Where frames are missing or not to be trusted; the first thousand.
        coverage: The share of the video's time that lies outside the spans and was there to be read.
        state: ``complete``, or ``degraded`` where frames are known to be missing or not to be trusted.
        notices: What a user should know, in words, what degrades first; the file is not named in them.
    """

    num_frames: int
    duration_seconds: float
    start_offset_seconds: float | None
    rotation_degrees: int
    time_source: TimeSource
    num_estimated_times: int
    num_failed_reads: int
    spans: tuple[Span, ...]
    coverage: float
    state: Literal["complete", "degraded"]
    notices: tuple[Notice, ...]

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready fields."""
        return asdict(self) | {"spans": [span.as_dict() for span in self.spans]}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> ReadReport:
        """The report from what :meth:`as_dict` gave."""
        spans = tuple(Span(**span) for span in fields["spans"])
        notices = tuple(Notice(**notice) for notice in fields["notices"])
        return cls(**{**fields, "spans": spans, "notices": notices})


def read_info(capture: cv2.VideoCapture | AvCapture, container: Container, path: Path) -> VideoInfo:
    """What the header of an open file claims."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    num_frames = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    codec = _four_bytes(capture, cv2.CAP_PROP_FOURCC).decode("ascii", "replace").strip("\0 ")
    return VideoInfo(
        path=path,
        container=container.kind,
        width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        fps_from_header=fps if 0.0 < fps <= _MAX_PLAUSIBLE_FPS else None,
        num_frames_from_header=int(num_frames) if 0.0 < num_frames < 1e12 else None,
        rotation_degrees=int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360,
        codec=codec,
        notices=tuple(_pixel_notices(container, _four_bytes(capture, cv2.CAP_PROP_CODEC_PIXEL_FORMAT), codec)),
    )


def _four_bytes(capture: cv2.VideoCapture | AvCapture, name: int) -> bytes:
    return (int(capture.get(name)) & 0xFFFFFFFF).to_bytes(4, "little")


def _pixel_notices(container: Container, pixel_format: bytes, codec: str) -> Iterator[Notice]:
    """What 8-bit RGB loses; FFmpeg's raw tags name planes and depth (libavcodec/raw.c)."""
    tag = pixel_format if pixel_format[:1] in b"YGP" else pixel_format[::-1]  # big-endian formats spell it backwards
    is_planar = tag[:2] in (b"Y1", b"Y2", b"Y3", b"Y4", b"G3", b"G4")
    depth = 10 if tag == b"P010" else tag[3] if is_planar else 8
    if 8 < depth <= 16:
        yield Notice("bit_depth_reduced", f"recorded with {depth} bits a channel, read with 8")
    if container.is_hdr:
        yield Notice("hdr", "recorded in high dynamic range, read without tone mapping; colors look flat")
    has_alpha = tag[:2] in (b"Y2", b"Y4", b"G4") or pixel_format in (b"RGBA", b"BGRA", b"ARGB", b"ABGR")
    if has_alpha and not codec.lower().startswith("gif"):
        yield Notice("alpha_dropped", "recorded with transparency, read without")
    if container.is_interlaced:
        yield Notice("interlaced", "recorded interlaced, read with both fields woven; moving edges show combs")


def summarize(
    info: VideoInfo,
    clock: FrameClock,
    damage: DamageRecord,
    *,
    start_offset_seconds: float | None,
    num_pauses: int,
    num_bytes_missing: int,
    num_packet_faults: int,
    container: Container,
) -> ReadReport:
    """What is known after the last frame."""
    missing = list(_missing(info, clock, damage, num_bytes_missing))
    missing += _unlocated(info, clock, container, num_packet_faults) if not missing else ()
    notices = missing + list(_times(clock, num_pauses)) + list(info.notices)
    return ReadReport(
        num_frames=clock.num_frames,
        duration_seconds=clock.end_seconds,
        start_offset_seconds=start_offset_seconds,
        rotation_degrees=info.rotation_degrees,
        time_source=clock.source,
        num_estimated_times=clock.num_estimated,
        num_failed_reads=damage.num_failed_reads,
        spans=tuple(damage.spans),
        coverage=_coverage(info, clock, damage, is_cut_off=any(notice.code == "truncated" for notice in missing)),
        state="degraded" if missing else "complete",
        notices=tuple(notices),
    )


def _missing(info: VideoInfo, clock: FrameClock, damage: DamageRecord, num_bytes_missing: int) -> Iterator[Notice]:
    claimed = info.duration_seconds_from_header
    if num_bytes_missing or damage.is_cut_off:
        header = f", the header claims {claimed:.2f} s" if claimed and claimed > clock.end_seconds else ""
        yield Notice("truncated", f"the file is cut off: frames end at {clock.end_seconds:.2f} s{header}")
    said = f" ({damage.complaints[0]})" if damage.complaints else ""
    texts = {
        "corrupt_span": f"frames are missing or damaged{said}",
        "timestamp_gap": "packets were lost, frames are missing",
        "resolution_changed": "the frame size changes; frames are scaled to the first size",
    }
    for code, text in texts.items():
        spans = [span for span in damage.spans if span.code == code]
        if spans:
            first = f"{spans[0].start_seconds:.2f}–{spans[0].stop_seconds:.2f} s"
            num_more = len(spans) - 1 + damage.num_spans - len(damage.spans)  # those not kept included
            more = f" and {num_more} more" if num_more else ""
            yield Notice(code, f"at {first}{more}: {text}")


def _unlocated(info: VideoInfo, clock: FrameClock, container: Container, num_packet_faults: int) -> Iterator[Notice]:
    """Damage of which is known only that it is there."""
    claimed = info.num_frames_from_header
    if num_packet_faults:
        yield Notice("corrupt_span", f"{num_packet_faults} packets are missing or damaged; frames may be too")
    elif container.fault:
        yield Notice("corrupt_span", f"the container has {container.fault}; frames may be missing or repeated")
    elif container.counts_frames and claimed is not None and claimed != clock.num_frames:
        yield Notice("corrupt_span", f"the index names {claimed} frames, {clock.num_frames} were decoded")


def _times(clock: FrameClock, num_pauses: int) -> Iterator[Notice]:
    if clock.is_rate_a_guess:
        rate = 1.0 / clock.interval_seconds
        yield Notice("no_frame_times", f"the container stores no times; counted at {rate:.6g} frames a second")
    elif clock.num_estimated:
        text = f"{clock.num_estimated} of {clock.num_frames} times could not be used as the container has them"
        yield Notice("times_repaired", f"{text}; they were estimated, and the rows are marked")
    if num_pauses:
        yield Notice("timestamp_gap", f"{num_pauses} pauses in a video of constant rate; were frames dropped?")


def _coverage(info: VideoInfo, clock: FrameClock, damage: DamageRecord, *, is_cut_off: bool) -> float:
    claimed = info.duration_seconds_from_header if is_cut_off else None
    whole = max(clock.end_seconds, claimed or 0.0)
    return round(max(0.0, min(1.0, (clock.end_seconds - damage.lost_seconds) / whole)), 4) if whole else 0.0

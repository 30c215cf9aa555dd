"""What ``videoseq check`` shows about one video: lines with a name and a value."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from videoseq.data.check import ClipCheck
    from videoseq.video.check import VideoCheck
    from videoseq.video.info import ReadReport

_MAX_LINES = 8  # of spans and findings; --json has all
_SOURCES = {
    "container": "the container",
    "container_repaired": "the container, repaired",
    "frame_rate": "a frame rate",
}


def screen(found: ClipCheck, *, shows_all: bool) -> list[str]:
    """The lines, with an empty one at the end; only the first spans and findings unless ``shows_all``."""
    video, max_lines = found.video, sys.maxsize if shows_all else _MAX_LINES
    rows = [("", f"{video.path}: {video.state}")]
    if video.error is not None:
        rows.append(("error", f"{video.error.code}: {video.error}"))
    if video.info is not None:
        rows += _header_rows(video)
    if video.report is not None:
        rows += _frame_rows(video)
        rows += _damage_rows(video.report, max_lines)
    if found.annotation is not None:
        rows += _annotation_rows(found, max_lines)
    return [f"  {name:<13}{text}" if name or number else text for number, (name, text) in enumerate(rows)] + [""]


def _header_rows(video: VideoCheck) -> Iterator[tuple[str, str]]:
    info, packets = video.info, video.packets
    assert info is not None
    turned = f", turned by {info.rotation_degrees}° to stand upright" if info.rotation_degrees else ""
    full_name = f" ({packets.container})" if packets else ""
    yield (
        "container",
        f"{info.container}{full_name}, {info.codec or 'codec unnamed'}, {info.width}×{info.height}{turned}",
    )
    if packets is not None:
        yield "streams", "; ".join(packets.streams)
    else:
        yield "streams", 'not known: pip install "videoseq[check]" to see streams and packets'


def _frame_rows(video: VideoCheck) -> Iterator[tuple[str, str]]:
    info, report, drift = video.info, video.report, video.drift_seconds
    assert info is not None
    assert report is not None
    kind = {True: "constant", False: "variable", None: "one frame"}[video.is_constant_rate]
    yield "frame rate", f"{_number(info.fps_from_header)} claimed, {_number(video.fps_measured)} measured, {kind}"
    counted = f", {video.packets.num_packets} packets" if video.packets else ""
    claimed = "no" if info.num_frames_from_header is None else str(info.num_frames_from_header)
    yield "frames", f"{claimed} claimed, {report.num_frames} decoded{counted}, {video.num_lost} lost"
    times = f"0 to {report.duration_seconds:.3f} s, from {_SOURCES[report.time_source]}"
    if report.num_estimated_times:
        times += f" ({report.num_estimated_times} estimated)"
    if report.start_offset_seconds:
        times += f"; in the container they start at {report.start_offset_seconds:.3f} s"
    yield "times", times
    if drift is not None:
        at_end, worst = 1000 * float(drift[-1]), 1000 * float(abs(drift).max())
        yield "drift", f"index / claimed rate is off by {at_end:+.1f} ms at the end, by {worst:.1f} ms at worst"
    yield "coverage", f"{100 * report.coverage:.1f} % of the time is there and sound"


def _damage_rows(report: ReadReport, max_lines: int) -> Iterator[tuple[str, str]]:
    for span in report.spans[:max_lines]:
        where = f"{span.start_seconds:.3f}–{span.stop_seconds:.3f} s, frames {span.start_frame}–{span.stop_frame}"
        yield "damage", f"{span.code}: {where}, {span.num_failed_reads} failed reads"
    if len(report.spans) > max_lines:
        yield "", f"and {len(report.spans) - max_lines} more; see --verbose"
    for notice in report.notices:
        yield "notice", f"{notice.code}: {notice.message}"


def _annotation_rows(found: ClipCheck, max_lines: int) -> Iterator[tuple[str, str]]:
    if found.annotation_error:
        yield "annotation", found.annotation_error
        return
    if found.fit is None:
        yield "annotation", f"{found.annotation}: cannot be compared with a video that cannot be read"
        return
    findings = found.fit.findings
    is_ok = not any(finding.is_error for finding in findings)
    yield "annotation", f"{found.annotation}: {'fits' if is_ok else 'does not fit'}"
    for finding in findings[:max_lines]:
        fix = f"; fix: {finding.fix}" if finding.fix else ""
        yield "", f"{finding.code}: {finding.message}{fix}"
    if len(findings) > max_lines:
        yield "", f"and {len(findings) - max_lines} more; see --verbose"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.5g}"

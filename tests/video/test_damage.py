"""What a decoder says becomes a span of the right code, from where damage was noticed to where it is over."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoseq.errors import Notice
from videoseq.video.capture import DECODER_THREADS
from videoseq.video.containers import Container
from videoseq.video.damage import DamageRecord, Span
from videoseq.video.info import ReadReport, VideoInfo, summarize
from videoseq.video.timestamps import FrameClock

ERROR, WARNING, INFO = "[OPENCV:FFMPEG:16] ", "[OPENCV:FFMPEG:24] ", "[OPENCV:FFMPEG:32] "
SMALL, LARGE = (f"[OPENCV:FFMPEG:40] Reinit context to {size}, pix_fmt: yuv420p" for size in ("128x96", "192x144"))
BROKEN = ERROR + "error while decoding MB 4 0, bytestream -20"
AHEAD = DECODER_THREADS + 4  # frames that may be on their way when the decoder complains

LINES = {
    "corrupt_span": [
        BROKEN,
        ERROR + "Invalid NAL unit size (11535 > 1017).",
        ERROR + "Error splitting the input into NAL units.",
        ERROR + "invalid dc code at 3 4",
        "[OPENCV:FFMPEG:8] no frame!",
        WARNING + "Packet corrupt (stream = 0, dts = 144000).",
        WARNING + "PES packet size mismatch",
        WARNING + "corrupt decoded frame in stream 0",
    ],
    None: [
        ERROR + "mmco: unref short failure",
        ERROR + "number of reference frames (0+5) exceeds max (4; probably corrupt input), discarding one",
        ERROR + "thread_get_buffer() failed",
        WARNING + "Could not update timestamps for skipped samples.",
        WARNING + "deprecated pixel format used, make sure you did set range correctly",
        INFO + "nal_unit_type: 7(SPS), nal_ref_idc: 3",
        "[OPENCV:FFMPEG:48] stream 0, sample 3, dts 120000",
        "error while decoding MB 4 0, bytestream -20",
        "Packet corrupt (stream = 0, dts = 144000).",
        "",
    ],
    "unsupported": [
        ERROR + "Cannot convert interlaced to progressive frames or vice versa.",
        "Cannot convert interlaced to progressive frames or vice versa.",
    ],
}


@pytest.mark.parametrize(("line", "code"), [(line, code) for code, lines in LINES.items() for line in lines])
def test_a_line_of_the_decoders_log_has_its_code(line, code):
    damage = DamageRecord()
    assert damage.note_log([line]) == code
    assert damage.complaints == ([line.split("] ", 1)[1]] if code == "corrupt_span" else [])
    assert not damage.is_cut_off
    assert damage.note_log([INFO + "before", line, INFO + "after"]) == code


@pytest.mark.parametrize(
    "line",
    [
        ERROR + "File ended prematurely",
        ERROR + "File ended prematurely at pos. 126698 (0x1eeea)",
        ERROR + "stream 0, offset 0xf73a: partial file",
        WARNING + "Truncating packet of size 900 to 100",
    ],
)
def test_a_file_that_ends_early_is_cut_off_without_a_span(line):
    damage = DamageRecord()
    assert damage.note_log([line]) is None
    assert damage.is_cut_off
    unprefixed = DamageRecord()
    assert unprefixed.note_log([line.split("] ", 1)[1]]) is None
    assert not unprefixed.is_cut_off


@pytest.mark.parametrize(
    "line",
    [
        ERROR + "SEI type 5 size 640 truncated at 32",
        WARNING + "Truncated VUI (3)",
        WARNING + "Truncating likely oversized PPS (5000 > 4096)",
    ],
)
def test_a_header_that_is_cut_short_is_no_file_that_ends_early(line):
    damage = DamageRecord()
    damage.note_log([line])
    assert not damage.is_cut_off


def test_a_change_of_size_is_one_only_if_the_size_was_another():
    damage = DamageRecord()
    assert [damage.note_log([line]) for line in (SMALL, SMALL, LARGE, LARGE, SMALL)] == [
        None, None, "resolution_changed", None, "resolution_changed",
    ]  # fmt: skip
    for lines in ([SMALL, LARGE, BROKEN], [BROKEN, SMALL, LARGE], [SMALL, BROKEN, LARGE, INFO]):
        assert DamageRecord().note_log(lines) == "resolution_changed"
    assert DamageRecord().note_log([SMALL, LARGE, LINES["unsupported"][0]]) == "unsupported"


def test_the_first_complaints_are_kept_in_the_decoders_own_words():
    damage = DamageRecord()
    damage.note_log(f"{ERROR}invalid dc code at {k} {'x' * 300}\n" for k in range(8))
    assert [said[:20] for said in damage.complaints] == [f"invalid dc code at {k}" for k in range(5)]
    assert all(len(said) == 200 for said in damage.complaints)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("Cannot allocate memory", "too_large"),
        ("Failed to get pixel format.", "unsupported"),
        ("VP9 profile 9 is not supported", "unsupported"),
        ("no frame!", "no_frames"),
        (None, "no_frames"),
    ],
)
def test_a_file_without_frames_says_why(said, code):
    damage = DamageRecord()
    damage.note_log([ERROR + said] if said else [])
    error = damage.no_frames(Path("clip.mp4"))
    assert error.code == code
    assert str(error).startswith("clip.mp4: ")
    assert "\n" not in str(error)


def played(
    events: dict[int, tuple[str | None, int]], intra: set[int], num_frames: int = 60
) -> tuple[DamageRecord, list]:
    """A record after frames at 0.04 s, with the (cause, failed reads) before some, and which of them are suspect."""
    damage, suspect = DamageRecord(), []
    for k in range(num_frames):
        cause, failed = events.get(k, (None, 0))
        if damage.frame(k, max(0.0, 0.04 * (k - 1)), 0.04 * k, cause, failed, "I" if k in intra else "P"):
            suspect.append(k)
        assert damage.is_in_span == (k in suspect)
    damage.end(num_frames, 0.04 * (num_frames - 1), 0.04 * num_frames, None)
    return damage, suspect


@pytest.mark.parametrize("distance", [0, 1, DECODER_THREADS, AHEAD, AHEAD + 1, AHEAD + 5])
def test_a_span_ends_at_an_intra_picture_that_comes_late_enough(distance):
    damage, suspect = played({10: ("corrupt_span", 2)}, {0, 10 + distance, 40})
    stop = 10 + distance if distance > AHEAD else 40
    assert damage.spans == [Span("corrupt_span", 10, stop, 0.04 * 9, 0.04 * stop, 2)]
    assert suspect == list(range(10, stop))


def test_damage_in_a_span_makes_it_longer_and_failed_reads_add_up():
    events = {10: ("corrupt_span", 1), 15: ("corrupt_span", 3), 16: (None, 0), 40: ("timestamp_gap", 0)}
    damage, suspect = played(events, {0, 20, 30, 41})
    assert [(s.code, s.start_frame, s.stop_frame, s.num_failed_reads) for s in damage.spans] == [
        ("corrupt_span", 10, 30, 4),
        ("timestamp_gap", 40, 60, 0),
    ]
    assert suspect == [*range(10, 30), *range(40, 60)]
    assert (damage.num_spans, damage.num_failed_reads) == (2, 4)


def test_a_change_of_size_says_more_than_that_packets_were_lost():
    for causes in (("corrupt_span", "resolution_changed"), ("resolution_changed", "corrupt_span")):
        damage, _ = played({10: (causes[0], 0), 12: (causes[1], 0)}, {30})
        assert [(s.code, s.start_frame, s.stop_frame) for s in damage.spans] == [("resolution_changed", 10, 30)]


def test_where_whole_groups_are_missing_no_frame_is_suspect():
    damage, suspect = played({10: ("timestamp_gap", 0)}, {0, 10})
    assert damage.spans == [Span("timestamp_gap", 10, 10, 0.04 * 9, 0.04 * 10, 0)]
    assert suspect == []
    inside, suspect = played({8: ("corrupt_span", 0), 10: ("timestamp_gap", 0)}, {0, 10, 30})
    assert [(s.code, s.start_frame, s.stop_frame) for s in inside.spans] == [("corrupt_span", 8, 30)]
    assert suspect == list(range(8, 30))


def test_damage_after_the_last_frame_is_a_span_without_frames():
    damage = DamageRecord()
    damage.frame(0, 0.0, 0.0, None, 0, "I")
    damage.end(1, 0.0, 0.04, "corrupt_span")
    assert damage.spans == [Span("corrupt_span", 1, 1, 0.0, 0.04, 0)]
    damage.end(1, 0.0, 0.04, None)
    assert damage.num_spans == 1


def test_without_picture_types_a_span_lasts_to_the_end():
    damage = DamageRecord()
    assert all(damage.frame(k, 0.0, 0.04 * k, None if k else "corrupt_span", 0, "?") for k in range(50))
    damage.end(50, 1.96, 2.0, "resolution_changed")
    assert [span.as_dict() for span in damage.spans] == [Span("corrupt_span", 0, 50, 0.0, 2.0, 0).as_dict()]


def test_a_thousand_spans_are_kept_and_the_rest_counted():
    damage = DamageRecord()
    for k in range(1200):
        damage.frame(k, 0.04 * k - 0.01, 0.04 * k, "timestamp_gap", 1, "I")
    assert (len(damage.spans), damage.num_spans, damage.num_failed_reads) == (1000, 1200, 1200)
    assert [span.start_frame for span in damage.spans] == list(range(1000))
    report = report_of(damage, [0.04 * k for k in range(1200)])
    assert report.coverage == pytest.approx(0.75, abs=1e-3)
    assert " and 1199 more: " in report.notices[0].message


# --------------------------------------------------------------------------------------------------------- the report

causes = st.sampled_from([None] * 6 + ["corrupt_span", "timestamp_gap", "resolution_changed"])


def report_of(
    damage: DamageRecord, seconds: list[float], *, claimed: int | None = None, kind: str = "matroska", **more
) -> ReadReport:
    clock = FrameClock(25.0, has_frame_times=True)
    for when in seconds:
        clock.next(when)
    info = VideoInfo(Path("x"), kind, 8, 8, 25.0, claimed, 0, "h264", (Notice("hdr", "x"),))
    usual = {"start_offset_seconds": 0.0, "num_pauses": 0, "num_bytes_missing": 0, "num_packet_faults": 0}
    return summarize(info, clock, damage, **{"container": Container(kind)} | usual | more)


@given(st.lists(st.tuples(causes, st.integers(0, 3), st.sampled_from("IPB?"), st.floats(0.001, 9.0)), min_size=1),
       causes, st.none() | st.integers(1, 10_000), st.integers(0, 1))  # fmt: skip
def test_spans_never_overlap_hold_the_suspect_frames_and_leave_a_share(frames, last, claimed, num_bytes_missing):
    damage, suspect, seconds = DamageRecord(), [], [0.0]
    for k, (cause, failed, kind, interval) in enumerate(frames):
        if damage.frame(k, seconds[max(0, k - 1)], seconds[k], cause, failed, kind):
            suspect.append(k)
        seconds.append(seconds[-1] + interval)
    damage.end(len(frames), seconds[-2], seconds[-1], last)
    spans = damage.spans
    assert suspect == [k for span in spans for k in range(span.start_frame, span.stop_frame)]
    assert all(a.stop_seconds <= b.stop_seconds and a.stop_frame <= b.start_frame for a, b in itertools.pairwise(spans))
    assert all(span.start_seconds <= span.stop_seconds for span in spans)
    assert damage.num_failed_reads == sum(frame[1] for frame in frames) >= sum(s.num_failed_reads for s in spans)
    report = report_of(damage, seconds[:-1], claimed=claimed, num_bytes_missing=num_bytes_missing)
    assert 0.0 <= report.coverage <= 1.0
    assert report.state == ("degraded" if spans or num_bytes_missing else "complete")
    assert report.coverage == 1.0 or report.state == "degraded"


def test_notices_come_what_degrades_first_then_times_then_pixels():
    damage = DamageRecord()
    damage.note_log([BROKEN])
    for k, cause in ((0, "corrupt_span"), (20, "resolution_changed"), (40, "timestamp_gap")):
        damage.frame(k, 0.04 * k, 0.04 * k, cause, 0, "P")
        damage.frame(k + 15, 0.04 * k, 0.04 * (k + 10), None, 0, "I")
    repaired = report_of(damage, [0.0, 0.04, 0.04, 0.12], claimed=100, num_pauses=2, num_bytes_missing=1)
    codes = "truncated corrupt_span timestamp_gap resolution_changed times_repaired timestamp_gap hdr"
    assert [notice.code for notice in repaired.notices] == codes.split()
    assert "at 0.00–0.40 s: frames are missing or damaged (error while decoding MB" in repaired.notices[1].message
    assert "the header claims 4.00 s" in repaired.notices[0].message
    assert "1 of 4 times" in repaired.notices[4].message
    assert repaired.notices[5].message.startswith("2 pauses")


def test_what_is_complete_has_only_notices_that_degrade_nothing():
    guessed = report_of(DamageRecord(), [0.0] * 5, num_pauses=1)
    assert [notice.code for notice in guessed.notices] == ["no_frame_times", "timestamp_gap", "hdr"]
    assert (guessed.state, guessed.coverage, guessed.time_source) == ("complete", 1.0, "frame_rate")


def test_coverage_is_the_share_of_the_time_that_was_there_and_right():
    ten_seconds = [0.04 * k for k in range(250)]
    damage = DamageRecord()
    damage.frame(25, 1.0, 1.04, "corrupt_span", 0, "P")
    damage.close(50, 2.0)
    damage.frame(75, 3.0, 4.0, "timestamp_gap", 0, "I")
    assert [(span.start_seconds, span.stop_seconds) for span in damage.spans] == [(1.0, 2.0), (3.0, 4.0)]
    assert report_of(damage, ten_seconds).coverage == pytest.approx(0.8)
    assert report_of(damage, ten_seconds, claimed=500).coverage == pytest.approx(0.8)
    assert report_of(damage, ten_seconds, claimed=500, num_bytes_missing=9).coverage == pytest.approx(0.4)
    damage.is_cut_off = True
    assert report_of(damage, ten_seconds, claimed=500).coverage == pytest.approx(0.4)
    assert report_of(DamageRecord(), ten_seconds, claimed=500).coverage == 1.0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"num_packet_faults": 3, "kind": "mpegts"}, "3 packets"),
        ({"container": Container("mp4", fault="no chunk at byte 9")}, "no chunk at byte 9"),
        ({"claimed": 11, "kind": "mp4"}, "the index names 11 frames, 10 were decoded"),
        ({"claimed": 9, "kind": "avi"}, "the index names 9 frames, 10 were decoded"),
        ({"claimed": 10, "kind": "mp4"}, None),
        ({"claimed": 11}, None),
    ],
)
def test_damage_that_has_no_place_is_told_unless_there_is_some_that_has(more, said):
    report = report_of(DamageRecord(), [0.04 * k for k in range(10)], **more)
    assert [notice.code for notice in report.notices] == (["corrupt_span", "hdr"] if said else ["hdr"])
    assert report.state == ("degraded" if said else "complete")
    assert said is None or said in report.notices[0].message
    located = report_of(DamageRecord(), [0.04 * k for k in range(10)], num_bytes_missing=1, **more)
    assert [notice.code for notice in located.notices] == ["truncated", "hdr"]

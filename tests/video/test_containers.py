"""What a file claims to be is read right from healthy files, and from hostile bytes quickly and without an error."""

from __future__ import annotations

import functools
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.odd_videos import CASES, FIELDS, FRAGMENTS, HDR, bomb, grainy, lying_bomb, patched, playlists, write
from videoseq.video.containers import Container, read_container
from videoseq.video.containers.h26x import is_h264_interlaced, is_mpeg2_interlaced

KINDS = {".mp4": "mp4", ".mov": "mp4", ".mkv": "matroska", ".webm": "matroska", ".avi": "avi", ".ts": "mpegts"} | {
    ".mpg": "mpegps", ".h264": "elementary", ".gif": "gif", ".wav": "sound", ".mp3": "sound", ".ogg": "sound",
}  # fmt: skip
UNKNOWN = ["empty", "text", "noise", "picture_png", "picture_jpeg"]
NO_INDEX = ["header_only", "truncated_mp4_moov_last_60"]
WITHOUT_TRACK = [*NO_INDEX, "header_only_moov_first", "no_frames_mp4"] + [
    f"sound_only_{kind}" for kind in ("mp4", "mkv", "ts", "avi")
]
CUT_SHORT = ["header_only", "header_only_moov_first", "truncated_mp4_moov_last_60", "truncated_mkv_60"] + [
    "truncated_webm_60", "truncated_avi_60", "truncated_mp4_30", "truncated_mp4_60", "truncated_mp4_90",
]  # fmt: skip
HEALTHY = [name for name in CASES if not name.startswith(("truncated", "header_only", "damaged", "gap"))]
SIZES = {"size_33x17": (33, 17), "size_33x17_h264": (33, 17), "size_16x16": (16, 16)} | {
    "rotated_90": (96, 128), "rotated_270": (96, 128), "two_videos_mkv": (192, 144), "two_videos_mp4": (192, 144),
}  # fmt: skip


def claims(content: bytes | Path) -> Container:
    """What bytes or a file claim to be; the position must be put back and the time short."""
    with tempfile.TemporaryFile() if isinstance(content, bytes) else content.open("rb") as file:
        if isinstance(content, bytes):
            file.write(content)
            file.seek(0)
        start = time.process_time()
        found = read_container(file)
        assert time.process_time() - start < 1.0
        assert file.tell() == 0
    return found


@pytest.mark.parametrize("name", CASES)
def test_every_odd_file_claims_what_it_is(name, tmp_path):
    path = CASES[name](tmp_path).path
    found = claims(path)
    kind = "unknown" if name in UNKNOWN else KINDS[path.suffix]
    assert found.kind == kind
    has_video = None if kind in ("unknown", "sound", "other", "elementary") else name not in WITHOUT_TRACK
    assert found.has_video is has_video
    assert found.has_frames == (name != "no_frames_mkv")
    assert found.has_index == (name not in NO_INDEX)
    assert found.has_frame_times == (kind not in ("avi", "elementary"))
    assert found.fault == ("" if name in HEALTHY else found.fault)
    names_size = kind in ("mp4", "matroska", "avi") and has_video
    assert (found.width, found.height) == (SIZES.get(name, (128, 96)) if names_size else (0, 0))
    assert found.is_hdr == name.startswith("hdr_")
    assert found.is_interlaced == (name in ("interlaced_mpg", "interlaced_mkv", "interlaced_ts"))
    announced, stored = found.num_bytes_announced, path.stat().st_size
    if name in CUT_SHORT:
        assert announced > stored
    elif kind in ("mp4", "avi", "gif"):
        assert announced == stored
    else:
        assert announced is None


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_picture_is_as_large_as_its_header_says_even_if_that_is_a_lie(suffix, tmp_path):
    honest = claims(bomb(tmp_path, suffix).path)
    lying = claims(lying_bomb(tmp_path, suffix).path)
    assert (honest.width, honest.height, honest.has_video) == (8192, 8192, True)
    assert (lying.width, lying.height, lying.has_video) == (64, 64, True)


def test_playlists_are_known_under_any_name(tmp_path):
    paths = playlists(tmp_path, 9)
    assert len(paths) > 30
    assert {path.name: claims(path) for path in paths} == {path.name: Container("playlist") for path in paths}
    for form in ("\ufeff{}", "\n\n  {}", "{}".upper()):
        assert claims(form.format("#EXTM3U\nx.ts\n").encode()).kind == "playlist"
    assert claims(b"<?xml version='1.0'?><svg/>").kind == "unknown"
    assert claims(tmp_path / "sibling.ts").kind == "mpegts"


def test_packets_of_other_lengths_are_a_transport_stream_too(tmp_path):
    stored = CASES["interlaced_ts"](tmp_path).path.read_bytes()
    packets = [stored[at : at + 188] for at in range(0, len(stored), 188)]
    for content in (b"".join(b"\0\0\0\0" + p for p in packets), b"".join(p + b"\xff" * 16 for p in packets)):
        found = claims(content)
        assert (found.kind, found.has_video, found.is_interlaced) == ("mpegts", True, True)


# ------------------------------------------------------------------------------------------- two fields in a picture


@pytest.mark.parametrize("fields", [{}, FIELDS], ids=["progressive", "interlaced"])
@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [("libx264", suffix, {}) for suffix in (".mkv", ".mp4", ".mov", ".ts", ".h264")]
    + [("libx264", ".mp4", {"muxer": FRAGMENTS}), ("libx264", ".ts", {"bf": "0", "profile": "baseline"})]
    + [("libx264", ".ts", {"pix_fmt": "yuv444p"}), ("libx264", ".h264", {"pix_fmt": "yuv422p10le"})]
    + [("libx264", ".mkv", {"size": (36, 20)}), ("libx264", ".ts", {"size": (1920, 1080), "spelled": range(2)})]
    + [("mpeg2video", ".mpg", {}), ("mpeg2video", ".ts", {"bf": "2"}), ("mpeg2video", ".m2v", {})],
)
def test_interlacing_is_told_from_the_streams_own_header(codec, suffix, options, fields, tmp_path):
    if options.get("profile") == "baseline" and fields:
        options = {**options, "profile": "main"}  # baseline has no fields
    path = write(tmp_path / f"video{suffix}", codec=codec, **{"spelled": range(5), **options, **fields}).path
    assert claims(path).is_interlaced == bool(fields)


@pytest.mark.parametrize("num_fields", [1, 2])
def test_quicktime_says_how_many_fields_a_picture_has(num_fields, tmp_path):
    path = write(tmp_path / "jpeg.mp4", codec="mjpeg", pix_fmt="yuvj420p").path
    patched(path, (b"btrt\0\0", b"fiel" + bytes([num_fields, 0])))
    assert claims(path).is_interlaced == (num_fields == 2)


def parameter_set(order: str, *, frame_mbs_only: bool) -> bytes:
    """An H.264 sequence parameter set of main profile, 128 × 96; numbers are Exp-Golomb codes."""
    size_of_a_picture = "010" + "0" + "0001000" + "00110"
    bits = f"{77:08b}{0:08b}{30:08b}" + "1" + "1" + order + size_of_a_picture + str(int(frame_mbs_only)) + 64 * "1"
    plain = int(bits[: len(bits) // 8 * 8], 2).to_bytes(len(bits) // 8, "big")
    return b"\0\0\0\1\x67" + b"\0\0\3".join(plain.split(b"\0\0"))  # no start code may appear inside


@pytest.mark.parametrize(
    "order",
    ["1" + "010", "011", "010" + "0" + "1" + "1" + "1", "010" + "1" + "010" + "011" + "011" + "010" + "1"]
    + ["010" + "0" + 31 * "0" + "1" + 31 * "1" + "1" + "1"],
    ids=["type 0", "type 2", "type 1", "type 1 with a cycle", "type 1 with zeros escaped"],
)
def test_every_way_to_count_pictures_is_read_over(order):
    for frame_mbs_only in (True, False):
        content = parameter_set(order, frame_mbs_only=frame_mbs_only)
        assert claims(content) == Container("elementary", is_interlaced=not frame_mbs_only)
    assert (b"\0\0\3" in content) == (len(order) > 60)


headers = st.sampled_from(
    [b"", b"\0\0\1\x67", b"\0\0\1\x27\x64\0\x1f", b"\0\0\1\xb5", b"\1\x64\0\x1f\xff\xe1\0\x19\x67"]
)


@given(headers, st.binary(max_size=300))
def test_no_stream_header_raises(start, rest):
    assert is_h264_interlaced(start + rest) in (True, False)
    assert is_mpeg2_interlaced(start + rest) in (True, False)
    for filler in (b"\0", b"\xff", b"\x80"):
        assert is_h264_interlaced(start + rest + 200 * filler) in (True, False)


# ---------------------------------------------------------------------------------------------------- hostile bytes


@functools.cache
def real_files() -> list[bytes]:
    names = ["hdr_mp4", "fragmented_mp4", "interlaced_mkv", "avi_mpeg4", "sound_around_ts", "mpg", "raw_h264"]
    with tempfile.TemporaryDirectory() as folder:
        return [CASES[name](Path(folder)).path.read_bytes() for name in names]


magics = st.sampled_from(
    [
        b"",
        b"\0\0\0\x08ftyp",
        b"\0\0\0\0moov",
        b"\x1a\x45\xdf\xa3",
        b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff\x16\x54\xae\x6b",
    ]
    + [b"RIFF\xff\xff\xff\xffAVI strh", b"RIFF", b"OggS", b"\0\0\1\xba", b"\0\0\1", b"G", b"\xef\xbb\xbf<?xml"]
)
parts = st.binary(max_size=40) | st.sampled_from(
    [
        b"moov",
        b"trak",
        b"stsd",
        b"\0\0\0\1moov",
        b"\xae\xff",
        b"\xe0\x84",
        b"\xb0\x81\xff",
        b"strf",
        b"strhxxxxvids",
        b"G\x40\0\x30\xb4",
    ]
    + [bytes([n]) * 188 for n in (0, 0x47, 0xFF)]
)


@settings(max_examples=300)
@given(magics, st.lists(parts, max_size=30))
def test_bytes_of_any_kind_are_read_quickly_and_raise_nothing(start, rest):
    assert isinstance(claims(start + b"".join(rest)), Container)


@settings(max_examples=400)
@given(st.data())
def test_real_files_that_were_overwritten_and_cut_are_read_quickly_and_raise_nothing(data):
    stored = bytearray(data.draw(st.sampled_from(real_files())))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, min(len(stored), 1500)) | st.integers(0, len(stored)))
        new = data.draw(st.binary(min_size=1, max_size=12))
        stored[at : at + len(new)] = new
    if data.draw(st.booleans()):
        del stored[data.draw(st.integers(0, len(stored))) :]
    assert isinstance(claims(bytes(stored)), Container)


FTYP = b"\0\0\0\x08ftyp"
EBML = b"\x1a\x45\xdf\xa3\x80"
SEGMENT, TRACKS = (
    name + b"\x01" + 7 * b"\xff" for name in (b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b")
)  # length unknown
TRACK_OF_VIDEO = b"\xae\x8b\x83\x81\x01\xe0\x86\xb0\x81\x40\xba\x81\x30"


def test_boxes_nested_without_end_are_given_up():
    deep = b"".join((8 * n).to_bytes(4, "big") + b"moov" for n in range(300_000, 0, -1))
    assert claims(FTYP + deep).has_index
    for length in (0, 8, 20):
        assert claims(FTYP + (length.to_bytes(4, "big") + b"moov") * 1000).has_index
    longest, long = (
        b"\0\0\0\x01" + name + n.to_bytes(8, "big") for name, n in ((b"moov", 2**64 - 9), (b"free", 2**63))
    )
    assert claims(FTYP + longest + long + bytes(8)).num_bytes_announced == 8 + 2**64 - 9


@pytest.mark.parametrize("length", [1, 2, 7])
def test_boxes_shorter_than_their_own_header_end_the_walk(length):
    box = length.to_bytes(4, "big") + b"free" + bytes(8)
    found = claims(FTYP + box + b"\0\0\0\x08moov")
    assert (found.kind, found.has_index, found.num_bytes_announced) == ("mp4", False, 8)


def test_a_box_of_length_zero_lasts_to_the_end_and_a_long_one_counts_in_64_bits():
    assert claims(FTYP + b"\0\0\0\0mdat" + bytes(100)).num_bytes_announced == 116
    for length in (16, 5_000_000_000, 1 << 63, (1 << 64) - 9):
        found = claims(FTYP + b"\0\0\0\x01mdat" + length.to_bytes(8, "big") + b"\0\0\0\x08moov")
        assert (found.num_bytes_announced, found.has_index) == ((32, True) if length == 16 else (8 + length, False))


def test_elements_of_unknown_length_are_walked():
    content = EBML + SEGMENT + TRACKS + TRACK_OF_VIDEO
    assert claims(content) == Container("matroska", True, has_frames=False, width=64, height=48)
    assert claims(content.replace(b"\xae\x8b", b"\xae\xff")).has_video
    assert claims(EBML + SEGMENT + TRACKS).has_video is False


MANY = (160_008).to_bytes(4, "big") + b"moov" + 20_000 * b"\0\0\0\x08free"


def unreadable(content: bytes, reason: str, name: str):
    return pytest.param(content, id=name)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(3 * (b"\x47\x40\0\x30\xb4" + 180 * b"\xff" + b"\0\0\x01"), id="a packet with 3 bytes of content"),
        unreadable(FTYP + 4 * MANY, "20 000 boxes at each of 8 levels are no limit", "many boxes"),
        unreadable(EBML + SEGMENT + TRACKS + 3000 * b"\xae\xff", "recursion without a limit", "nested elements"),
        unreadable(
            EBML + SEGMENT + TRACKS + 14 * b"\xae\x86\xae\x82\xae\x82", "2 to the 14 walks", "overlapping elements"
        ),
        unreadable(
            b"RIFF\x10\0\0\0AVI " + 20_000 * b"strh\0\0\0\0vids", "20 000 searches to the end", "stream headers"
        ),
    ],
)
def test_hostile_files_are_read_quickly_and_raise_nothing(content):
    assert isinstance(claims(content), Container)


def test_a_gif_of_a_few_bytes_is_no_transport_stream():
    pixel = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
    assert [claims(pixel).kind, claims(b"Good morning").kind] == ["gif", "unknown"]


def test_hdr_is_told_in_quicktime_too(tmp_path):
    assert claims(write(tmp_path / "hdr.mov", **HDR).path).is_hdr


def test_progressive_mpeg2_of_720_rows_is_not_interlaced(tmp_path):
    tall = write(tmp_path / "tall.ts", range(2), codec="mpeg2video", size=(1280, 720), draw=grainy).path
    assert not claims(tall).is_interlaced


def test_the_index_of_a_long_fragmented_file_is_read(tmp_path):
    long = CASES["fragmented_mp4"](tmp_path).path.read_bytes() + 20_000 * b"\0\0\0\x08free"
    assert claims(long).has_video

"""Lost and damaged packets of transport and program streams are counted, whatever the pieces they are read in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.odd_videos import CASES
from videoseq.video.containers import read_container
from videoseq.video.containers.packet_loss import ProgramWatch, StreamWatch, TransportWatch

PACKET = 188


class Streams(dict[str, bytes]):
    """Bytes by name, shown as names alone."""

    def __repr__(self) -> str:
        return f"Streams({', '.join(self)})"


@pytest.fixture(scope="module")
def streams(tmp_path_factory) -> Streams:
    folder = tmp_path_factory.mktemp("streams")
    names = ("ts", "mpg", "b_frames_ts", "variable_ts", "sound_around_ts", "b_frames_mpg", "interlaced_mpg")
    return Streams({name: CASES[name](folder).path.read_bytes() for name in names})


def watch_for(data: bytes, folder: Path) -> StreamWatch:
    (folder / "stream").write_bytes(data)
    with (folder / "stream").open("rb") as file:
        container = read_container(file)
    return TransportWatch(*container.packets) if container.packets else ProgramWatch()


def watched(data: bytes, like: bytes, folder: Path, sizes: list[int] | None = None) -> StreamWatch:
    """What is found in ``data`` when it is read in pieces of these sizes, again and again."""
    watch, at, number = watch_for(like, folder), 0, 0
    while at < len(data):
        size = (sizes or [len(data)])[number % len(sizes or [0])]
        watch.feed(at, data[at : at + size])
        at, number = at + size, number + 1
    return watch


@pytest.mark.slow
@settings(max_examples=40)
@given(sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=6))
def test_a_sound_stream_has_no_fault_in_any_pieces(sizes, streams, tmp_path_factory):
    for data in streams.values():
        watch = watched(data, data, tmp_path_factory.getbasetemp(), sizes)
        assert (watch.num_faults, watch.num_bytes_missing) == (0, 0)


def pictures(data: bytes) -> list[int]:
    """Where the packets of the pictures begin, those that carry some."""
    starts = range(0, len(data), PACKET)
    return [at for at in starts if data[at + 1] & 0x1F == 1 and data[at + 2] == 0 and data[at + 3] & 0x10]


@settings(max_examples=40)
@given(choice=st.data())
def test_every_lost_packet_of_the_pictures_is_a_fault(choice, streams, tmp_path_factory):
    whole = streams["ts"]
    number = choice.draw(st.integers(1, 14), label="packets in a row")  # 16 would come full circle
    places = pictures(whole)
    first = choice.draw(st.integers(1, len(places) - number - 2), label="first")
    lost = set(places[first : first + number])
    left = b"".join(whole[at : at + PACKET] for at in range(0, len(whole), PACKET) if at not in lost)
    assert watched(left, whole, tmp_path_factory.getbasetemp()).num_faults == 1


def test_a_packet_that_comes_twice_and_a_splice_that_is_announced_are_none(streams, tmp_path):
    whole = streams["ts"]
    places = pictures(whole)
    twice = whole[: places[5]] + whole[places[4] : places[5]] + whole[places[5] :]
    assert watched(twice, whole, tmp_path).num_faults == 0
    with_field = next(at for at in places[9:] if whole[at + 3] & 0x20 and whole[at + 4] > 0)
    spliced = bytearray(whole)
    spliced[with_field + 5] |= 0x80
    del spliced[places[places.index(with_field) - 1] : places[places.index(with_field) - 1] + PACKET]
    assert watched(bytes(spliced), whole, tmp_path).num_faults == 0


@pytest.mark.parametrize(
    ("offset", "value", "what"), [(0, 0, "no sync byte"), (1, 0x80, "marked as damaged"), (4, 0xFF, "no start code")]
)
def test_a_damaged_packet_is_a_fault(offset, value, what, streams, tmp_path):
    whole = bytearray(streams["ts"])
    begins = pictures(whole)[20]
    if offset == 4:
        begins = next(at for at in pictures(whole)[20:] if whole[at + 1] & 0x40)
        offset = 4 + (1 + whole[begins + 4] if whole[begins + 3] & 0x20 else 0)
    whole[begins + offset] = value | (whole[begins + offset] if offset == 1 else 0)
    assert watched(bytes(whole), streams["ts"], tmp_path).num_faults >= 1, what


@settings(max_examples=40)
@given(at=st.floats(0.05, 0.9), length=st.integers(1, 300))
def test_a_piece_cut_out_of_a_program_stream_is_a_fault(at, length, streams, tmp_path_factory):
    whole = streams["mpg"]
    start = int(len(whole) * at)
    cut = whole[:start] + whole[start + length :]
    watch = watched(cut, whole, tmp_path_factory.getbasetemp())
    assert watch.num_faults + watch.num_bytes_missing > 0  # in the last packet it is the end that is missing


@pytest.mark.parametrize("name", ["ts", "mpg"])
def test_an_end_in_the_middle_of_a_packet_is_seen(name, streams, tmp_path):
    whole = streams[name]
    for stop in (len(whole) // 2 + 50, len(whole) // 3 + 77):
        assert watched(whole[:stop], whole, tmp_path).num_bytes_missing > 0
    assert watched(whole, whole, tmp_path).num_bytes_missing == 0


def test_bytes_read_twice_or_ahead_are_looked_at_once(streams, tmp_path):
    """FFmpeg looks at the end of a file before it reads it from the start."""
    whole = streams["b_frames_ts"]
    watch = watch_for(whole, tmp_path)
    for start, stop in ((0, 4000), (len(whole) - 2000, len(whole)), (0, 6000), (5000, 9000), (9000, len(whole))):
        watch.feed(start, whole[start:stop])
    assert (watch.num_faults, watch.num_bytes_missing) == (0, 0)

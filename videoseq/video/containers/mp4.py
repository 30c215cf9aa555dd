"""mp4 and mov (ISO/IEC 14496-12): boxes of a 32-bit length and a four-letter type."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import BinaryIO

from videoseq.video.containers.base import Container
from videoseq.video.containers.h26x import is_interlaced

_MAX_BOXES = 20_000  # a damaged file must not keep the walk busy
_MAX_DEPTH = 8
_HDR_TRANSFERS = frozenset([16, 18])  # ITU-T H.273: SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG)


def _boxes(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, first byte and end of the content of each box between two positions; the end may lie past the file's."""
    while start + 8 <= stop:
        file.seek(start)
        header = file.read(16)
        if len(header) < 8:
            return
        length, kind = struct.unpack(">I4s", header[:8])
        content = start + 8
        if length == 1 and len(header) == 16:
            length, content = struct.unpack(">Q", header[8:])[0], start + 16
        elif length == 0:
            length = stop - start
        if start + length < content:
            return
        yield kind, content, start + length
        start += length


# What holds boxes and nothing else, so that the last of them ends where it ends.
_PARENTS = frozenset([b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mvex"])
# What a file written in pieces holds; where its pieces are damaged, FFmpeg passes over them without a word.
_PIECES = frozenset(b"ftyp styp moov moof mdat free skip mfra sidx ssix prft emsg uuid".split())


def read_mp4(file: BinaryIO, size: int) -> Container:
    """What an mp4 of ``size`` bytes claims to be."""
    top = list(islice(_boxes(file, 0, size), _MAX_BOXES))
    found = Container(
        "mp4", has_video=False, has_index=False, num_bytes_announced=max((end for *_, end in top), default=size)
    )
    walk = _Walk(file)
    edits = _Edits()
    for kind, content, end in sorted(top, key=lambda box: box[0] != b"moov"):  # before what may use up the budget
        for inner, body in walk.boxes(kind, content, min(end, size), depth=0):
            found = _with_box(found, inner, body)
            edits.note(inner, body)
    fault = walk.fault
    if found.is_fragmented and not fault:
        strange = next((content for kind, content, _ in top if kind not in _PIECES), None)
        fault = "" if strange is None else f"an unknown box at byte {strange}"
        fault = fault or (f"no box at byte {top[-1][2]}" if top[-1][2] < size else "")
    return replace(found, fault=fault, hides_frames=edits.hide_frames())


class _Walk:
    """Goes through boxes within boxes, so many and no more.

    Attributes:
        fault: Where boxes first did not fill what holds them.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._budget = _MAX_BOXES
        self.fault = ""

    def boxes(self, kind: bytes, content: int, end: int, depth: int) -> Iterator[tuple[bytes, bytes]]:
        """A box and those in it, outer before inner, with the beginning of what each holds."""
        self._budget -= 1
        self._file.seek(content)
        yield kind, self._file.read(max(0, min(end - content, 4096))) if kind not in (b"mdat", b"free") else b""
        if kind not in _PARENTS or depth == _MAX_DEPTH:
            return
        at = content
        for inner, start, stop in _boxes(self._file, content, end):
            if self._budget <= 0:
                return
            if not all(0x20 <= letter < 0x7F or letter == 0xA9 for letter in inner):
                break
            yield from self.boxes(inner, start, min(stop, end), depth + 1)
            at = stop
        if at != end and not self.fault:
            self.fault = f"boxes that do not fill theirs, from byte {at} on"


class _Edits:
    """Whether the edit list of a track leaves out a part of it."""

    def __init__(self) -> None:
        self._movie_scale = 1
        self._scale, self._num_ticks = 1, 0
        self._first_offset = 0  # of a frame's time against its place in decode order
        self._edits: list[tuple[int, int]] = []
        self._hide_frames = False

    def note(self, kind: bytes, body: bytes) -> None:
        """Takes the next box of the walk."""
        wide = 8 if body[:1] == b"\x01" else 4
        if kind == b"trak":
            self.hide_frames()
            self._edits, self._first_offset = [], 0
        elif kind == b"mvhd":
            self._movie_scale = _number(body, 4 + 2 * wide, 4) or 1
        elif kind == b"mdhd":
            self._scale = _number(body, 4 + 2 * wide, 4) or 1
            self._num_ticks = _number(body, 8 + 2 * wide, wide)
        elif kind == b"ctts":
            self._first_offset = _number(body, 12, 4)
        elif kind == b"elst":
            starts = range(8, min(len(body), 8 + _number(body, 4, 4) * (2 * wide + 4)), 2 * wide + 4)
            edits = [(_number(body, at, wide), _number(body, at + wide, wide)) for at in starts]
            self._edits = [edit for edit in edits if edit[1] != (1 << 8 * wide) - 1]  # −1: nothing is shown for a while

    def hide_frames(self) -> bool:
        """Whether any track so far is shown in part only."""
        if self._edits:
            shown, first = self._edits[0]
            whole = (self._num_ticks - first) / self._scale
            is_cut = (shown + 2) / self._movie_scale < whole
            self._hide_frames |= len(self._edits) > 1 or first > self._first_offset or is_cut
        return self._hide_frames


def _number(body: bytes, at: int, length: int) -> int:
    return int.from_bytes(body[at : at + length], "big")


def _with_box(found: Container, kind: bytes, content: bytes) -> Container:
    if kind == b"moov":
        return replace(found, has_index=True)
    if kind == b"mvex":
        return replace(found, is_fragmented=True)
    if kind == b"hdlr" and content[8:12] == b"vide":
        return replace(found, has_video=True)
    if kind == b"stsd" and len(content) > 8 + 36:
        width, height = struct.unpack(">HH", content[40:44])
        entry = content[8:]  # of a sound track the "height" is 0
        color = max(entry.find(b"colrnclx"), entry.find(b"colrnclc"))
        is_hdr = color >= 0 and int.from_bytes(entry[color + 10 : color + 12], "big") in _HDR_TRANSFERS
        field = entry.find(b"fiel")
        has_fields = (field >= 0 and entry[field + 4 : field + 5] == b"\x02") or is_interlaced(entry)
        found = replace(found, is_hdr=found.is_hdr or is_hdr, is_interlaced=found.is_interlaced or has_fields)
        return found.at_least(width, height)
    return found

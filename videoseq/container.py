"""A file's first bytes and boxes → what kind of container it claims to be, before any decoder sees it.

Nothing here decodes, and nothing here is trusted for a frame's index or time. It tells apart why a file does not open
(sound only, an index never written, a playlist in disguise), how large the picture says it is, how many bytes the
container announces, and what a decoder silently loses: high dynamic range, interlacing.

Formats: ISO/IEC 14496-12 (mp4), RFC 8794 and 9559 (EBML, Matroska), RIFF (avi), ISO/IEC 13818-1 (transport and program
streams).
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from videoseq.h26x import is_h264_interlaced, is_mpeg2_interlaced

_HEAD_BYTES = 1 << 20
_MAX_BOXES = 20_000  # a damaged file must not keep the walk busy
_HDR_TRANSFERS = frozenset([16, 18])  # ITU-T H.273: SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG)

_PLAYLIST_STARTS = (
    b"#extm3u", b"ffconcat", b"[playlist]", b"[reference]", b"rtsptext", b"<smil", b"<asx", b"<mpd", b"v=0\n", b"v=0\r",
    b"<smoothstreamingmedia", b"http://", b"https://", b"rtsp://", b"concat:",
)  # fmt: skip
_SOUND_STARTS = (b"ID3", b"fLaC", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9", b"#!AMR", b".snd")


@dataclass(frozen=True)
class Container:
    """What a file claims to be.

    Attributes:
        kind: ``mp4``, ``matroska``, ``avi``, ``mpegts``, ``mpegps``, ``elementary`` (a bare stream without container),
            ``sound``, ``playlist``, ``other`` (a known video container that is not walked), or ``unknown``.
        has_video: Whether a video track is named; None where that cannot be told without decoding.
        has_frames: False where all of the file was seen and no frame is in it.
        has_index: False for an mp4 whose ``moov`` box was never written.
        num_bytes_announced: How long the container says the file is, or None where it does not say.
        width: Widest picture that a track header names, in pixels; 0 where none does.
        height: Its height.
        fault: What is wrong with its boxes, in words; nothing if they fit into each other.
        is_fragmented: Whether an mp4 is written in pieces, as by recorders and for streaming.
        hides_frames: Whether an edit list shows only a part of the frames that are stored.
        packets: Of a transport stream the bytes of a packet, those before the first one, and the pictures' identifier.
        is_hdr: Whether a track is marked with an HDR transfer function.
        is_interlaced: Whether a track is marked as interlaced.
    """

    kind: str
    has_video: bool | None = None
    has_frames: bool = True
    has_index: bool = True
    num_bytes_announced: int | None = None
    width: int = 0
    height: int = 0
    fault: str = ""
    is_fragmented: bool = False
    hides_frames: bool = False
    packets: tuple[int, int, int] | None = None
    is_hdr: bool = False
    is_interlaced: bool = False

    @property
    def loses_frames_silently(self) -> bool:
        """Whether packets can be lost without a trace; there a gap in the times is missing frames, else a pause."""
        return self.kind in ("mpegts", "mpegps") or self.is_fragmented

    @property
    def counts_frames(self) -> bool:
        """Whether its header names exactly the frames that are to be shown."""
        return (self.kind == "mp4" and not self.hides_frames and not self.is_fragmented) or self.kind == "avi"

    @property
    def has_frame_times(self) -> bool:
        """Whether the container stores a time for each frame; avi and bare streams only have a rate."""
        return self.kind not in ("avi", "elementary")


def read_container(file: BinaryIO) -> Container:
    """What an open file claims to be; its position is put back to the start.

    Raises:
        OSError: The file cannot be read.
    """
    head = file.read(_HEAD_BYTES)
    size = file.seek(0, os.SEEK_END)
    try:
        return _recognise(file, head, size)
    finally:
        file.seek(0)


def _recognise(file: BinaryIO, head: bytes, size: int) -> Container:
    text = head[:4096].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_PLAYLIST_STARTS) or (text.startswith(b"<?xml") and (b"<mpd" in text or b"<smil" in text)):
        return Container("playlist")
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"):
        return _read_mp4(file, size)
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return _read_matroska(head, size)
    if head.startswith(b"RIFF"):
        return _read_riff(file, head, size)
    if head.startswith(b"GIF8"):
        return _read_gif(file, size)
    if head.startswith(b"OggS"):
        return Container("other" if b"theora" in head[:4096] or b"OVP80" in head[:4096] else "sound")
    if head.startswith(_SOUND_STARTS):
        return Container("sound")
    found = _recognise_stream(head)
    return replace(found, is_interlaced=is_mpeg2_interlaced(head) or is_h264_interlaced(head))


def _recognise_stream(head: bytes) -> Container:
    """The kinds whose pictures begin without boxes around them."""
    for packet_bytes, offset in ((188, 0), (192, 4), (204, 0)):
        if len(head) > offset and all(b == 0x47 for b in head[offset : offset + 5 * packet_bytes : packet_bytes]):
            return _read_transport_stream(head, packet_bytes, offset)
    if head.startswith(b"\x00\x00\x01\xba"):
        has_video = any(b"\x00\x00\x01" + bytes([stream]) in head for stream in range(0xE0, 0xF0)) or None
        return Container("mpegps", has_video=has_video)
    if head.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01")):
        return Container("elementary")
    known = (b"FLV", b"DKIF", b"\x30\x26\xb2\x75", b"\x06\x0e\x2b\x34", b"\x1f\x07\x00")
    return Container("other" if head.startswith(known) else "unknown")


# mp4: boxes of a 32-bit length and a four-letter type


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


_FAULT = b""
_MAX_DEPTH = 8
# What holds boxes and nothing else, so that the last of them ends where it ends.
_MP4_PARENTS = frozenset([b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mvex"])
_MP4_TOP = frozenset(
    [
        b"ftyp",
        b"styp",
        b"moov",
        b"moof",
        b"mdat",
        b"free",
        b"skip",
        b"wide",
        b"pnot",
        b"mfra",
        b"sidx",
        b"ssix",
        b"prft",
    ]
    + [b"uuid", b"meta", b"emsg", b"pdin", b"udta", b"PICT", b"junk", b"bloc", b"iods"]
)


def _read_mp4(file: BinaryIO, size: int) -> Container:
    found = Container("mp4", has_video=False, has_index=False)
    edits = _Edits()
    for kind, content, end in _walk(file, 0, size, depth=0):
        if kind == _FAULT:
            found = replace(found, fault=found.fault or f"boxes that do not fit into each other at byte {content}")
            continue
        file.seek(content)
        body = file.read(max(0, min(end - content, 4096)))
        found = _with_mp4_box(found, kind, body)
        edits.note(kind, body)
        found = replace(found, num_bytes_announced=max(found.num_bytes_announced or 0, end))
    return replace(found, hides_frames=edits.hide_frames())


def _walk(file: BinaryIO, start: int, stop: int, depth: int) -> Iterator[tuple[bytes, int, int]]:
    """All boxes, outer before inner; where boxes do not fill what holds them, a ``_FAULT`` with its position."""
    at = start
    for number, (kind, content, end) in enumerate(_boxes(file, start, stop)):
        if number == _MAX_BOXES:
            return
        if (depth == 0 and kind not in _MP4_TOP) or not all(0x20 <= letter < 0x7F or letter == 0xA9 for letter in kind):
            yield _FAULT, at, at
        yield kind, content, end
        if kind in _MP4_PARENTS and depth < _MAX_DEPTH:
            yield from _walk(file, content, min(end, stop), depth + 1)
        at = end
    if at < stop or (at > stop and depth > 0):
        yield _FAULT, at, at


class _Edits:
    """Whether the edit list of a track leaves out a part of it."""

    def __init__(self) -> None:
        self._movie_scale = 1
        self._scale, self._num_ticks = 1, 0
        self._first_offset = 0  # of a picture's time against its place in decode order
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


def _with_mp4_box(found: Container, kind: bytes, content: bytes) -> Container:
    if kind == b"moov":
        return replace(found, has_index=True)
    if kind == b"mvex":
        return replace(found, is_fragmented=True)
    if kind == b"hdlr" and content[8:12] == b"vide":
        return replace(found, has_video=True)
    if kind == b"stsd" and len(content) > 8 + 36:
        width, height = struct.unpack(">HH", content[40:44])
        entry = content[8:]  # of a sound track the "height" is 0
        colour = entry.find(b"colrnclx")
        is_hdr = colour >= 0 and int.from_bytes(entry[colour + 10 : colour + 12], "big") in _HDR_TRANSFERS
        field = entry.find(b"fiel")
        is_interlaced = (field >= 0 and entry[field + 4 : field + 5] == b"\x02") or is_h264_interlaced(entry)
        found = replace(found, is_hdr=found.is_hdr or is_hdr, is_interlaced=found.is_interlaced or is_interlaced)
        return _larger(found, width, height)
    return found


def _larger(found: Container, width: int, height: int) -> Container:
    return replace(found, width=width, height=height) if width * height > found.width * found.height else found


# Matroska: elements of a variable-length id and length


def _vint(data: bytes, at: int, *, keep_marker: bool) -> tuple[int, int]:
    """A variable-length integer and the position after it; −1 for a length that is left open."""
    if at >= len(data) or data[at] == 0:
        raise ValueError("no variable-length integer")
    length = 9 - data[at].bit_length()
    raw = int.from_bytes(data[at : at + length], "big")
    value = raw if keep_marker else raw & ((1 << (7 * length)) - 1)
    is_open = not keep_marker and value == (1 << (7 * length)) - 1
    return (-1 if is_open else value), at + length


def _elements(data: bytes, at: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Id, first byte and end of the content of each element; the end may lie past the data."""
    try:
        while at < min(stop, len(data)):
            name, at = _vint(data, at, keep_marker=True)
            length, at = _vint(data, at, keep_marker=False)
            end = stop if length < 0 else at + length
            yield name, at, end
            at = end
    except ValueError:
        return  # damaged: what was found so far stands


_SEGMENT, _TRACKS, _CLUSTER, _TRACK, _TRACK_TYPE = 0x18538067, 0x1654AE6B, 0x1F43B675, 0xAE, 0x83
_VIDEO, _WIDTH, _HEIGHT, _INTERLACED, _COLOUR, _TRANSFER = 0xE0, 0xB0, 0xBA, 0x9A, 0x55B0, 0x55BA
_CODEC_PRIVATE = 0x63A2


def _read_matroska(head: bytes, size: int) -> Container:
    found = Container("matroska")
    for name, content, end in _elements(head, 0, size):
        if name != _SEGMENT:
            continue
        found = replace(found, num_bytes_announced=end if end != size else None)
        if end < size and head[end : end + 1] not in (b"", b"\x00"):
            found = replace(found, fault=f"more data after the segment's end at byte {end}")
        found = replace(found, has_frames=size > len(head))
        for inner, start, stop in _elements(head, content, end):
            if inner == _TRACKS:
                found = _with_tracks(replace(found, has_video=False), head, start, stop)
            if inner == _CLUSTER:
                found = replace(found, has_frames=True)
                break
    return found


def _with_tracks(found: Container, data: bytes, at: int, stop: int) -> Container:
    """The tracks' masters are walked together: an id means the same wherever it stands."""
    width = 0
    for name, content, end in _elements(data, at, stop):
        value = int.from_bytes(data[content : min(end, content + 8)], "big")
        if name in (_TRACK, _VIDEO, _COLOUR):
            found = _with_tracks(found, data, content, end)
        elif name == _TRACK_TYPE and value == 1:
            found = replace(found, has_video=True)
        elif name == _WIDTH:
            width = value
        elif name == _HEIGHT:
            found = _larger(found, width, value)
        elif (name == _INTERLACED and value == 1) or (name == _CODEC_PRIVATE and is_h264_interlaced(data[content:end])):
            found = replace(found, is_interlaced=True)
        elif name == _TRANSFER and value in _HDR_TRANSFERS:
            found = replace(found, is_hdr=True)
    return found


# avi and transport streams


def _read_riff(file: BinaryIO, head: bytes, size: int) -> Container:
    if head[8:12] != b"AVI ":
        return Container("sound" if head[8:12] == b"WAVE" else "unknown")
    announced = 8 + struct.unpack("<I", head[4:8])[0]
    found = Container("avi", has_video=False, num_bytes_announced=announced if announced > 8 else None)
    if 8 < announced < size:
        file.seek(announced + announced % 2)
        if file.read(4) not in (b"RIFF", b"\0\0\0\0", b""):  # large files go on with another RIFF
            found = replace(found, fault=f"no chunk at byte {announced}")
    at = head.find(b"strh")
    while at >= 0:
        if head[at + 8 : at + 12] == b"vids":
            found = replace(found, has_video=True)
            form = head.find(b"strf", at)
            if 0 <= form <= len(head) - 20:
                width, height = struct.unpack("<ii", head[form + 12 : form + 20])
                found = _larger(found, abs(width), abs(height))
        at = head.find(b"strh", at + 4)
    return found


def _read_gif(file: BinaryIO, size: int) -> Container:
    """Follows the blocks of a GIF (GIF89a, appendix B) to its trailer."""
    found = Container("gif", has_video=True)
    file.seek(10)
    at = 13 + _color_table_bytes(file.read(1))
    while at < size:
        file.seek(at)
        start = file.read(10)
        if start[:1] == b";":
            return replace(found, num_bytes_announced=at + 1)
        if start[:1] not in (b"!", b","):
            return replace(found, fault=f"no block at byte {at}")
        at += 2 if start[:1] == b"!" else 11 + _color_table_bytes(start[9:10])
        file.seek(at)
        while (length := file.read(1)) not in (b"", b"\0"):
            file.seek(length[0], os.SEEK_CUR)
        at = file.tell()
    return replace(found, num_bytes_announced=at + 1)


def _color_table_bytes(flags: bytes) -> int:
    return 3 << ((flags[0] & 0x07) + 1) if flags and flags[0] & 0x80 else 0


def _read_transport_stream(head: bytes, packet_bytes: int, offset: int) -> Container:
    """Whether any elementary stream of pictures begins in the first packets (PES stream ids E0 to EF)."""
    stream = io.BytesIO(head[offset:])
    kinds: set[int] = set()
    pictures: int | None = None
    while len(packet := stream.read(packet_bytes)) >= 188:
        has_field, has_payload = packet[3] & 0x20, packet[3] & 0x10
        payload = packet[4 + (1 + packet[4] if has_field else 0) : 188] if has_payload else b""
        if packet[1] & 0x40 and payload.startswith(b"\x00\x00\x01") and len(payload) > 3:
            kinds.add(payload[3])
            if pictures is None and (0xE0 <= payload[3] < 0xF0 or payload[3] == 0xFD):
                pictures = (packet[1] & 0x1F) << 8 | packet[2]
    packets = None if pictures is None else (packet_bytes, offset, pictures)
    return Container("mpegts", has_video=pictures is not None if kinds else None, packets=packets)

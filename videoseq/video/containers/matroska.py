"""Matroska and WebM (RFC 8794, RFC 9559): elements of a variable-length id and a variable-length length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from videoseq.video.containers.base import Container
from videoseq.video.containers.h26x import is_interlaced

_HDR_TRANSFERS = frozenset([16, 18])  # ITU-T H.273: SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG)


def _vint(data: bytes, at: int, *, keep_marker: bool) -> tuple[int, int]:
    """A variable-length integer and the position after it; −1 for a length that is left open."""
    if at >= len(data) or data[at] == 0:
        raise ValueError("no variable-length integer")
    length = 9 - data[at].bit_length()
    raw = int.from_bytes(data[at : at + length], "big")
    value = raw if keep_marker else raw & ((1 << (7 * length)) - 1)
    is_open = not keep_marker and value == (1 << (7 * length)) - 1
    return (-1 if is_open else value), at + length


def _elements(data: bytes, at: int, stop: int, masters: frozenset[int] = frozenset()) -> Iterator[tuple[int, int, int]]:
    """Id, first byte and end of the content of each element; the end may lie past the data.

    Of ``masters`` the elements in them follow, as if they were next to them: so nesting has no depth.
    """
    try:
        while at < min(stop, len(data)):
            name, at = _vint(data, at, keep_marker=True)
            length, at = _vint(data, at, keep_marker=False)
            end = stop if length < 0 else at + length
            yield name, at, end
            at = at if name in masters else end
    except ValueError:
        return  # damaged: keep what was found so far


_SEGMENT, _TRACKS, _CLUSTER, _TRACK, _TRACK_TYPE = 0x18538067, 0x1654AE6B, 0x1F43B675, 0xAE, 0x83
_VIDEO, _WIDTH, _HEIGHT, _INTERLACED, _COLOR, _TRANSFER = 0xE0, 0xB0, 0xBA, 0x9A, 0x55B0, 0x55BA
_CODEC_PRIVATE = 0x63A2


def read_matroska(head: bytes, size: int) -> Container:
    """What a Matroska file of ``size`` bytes that begins with ``head`` claims to be."""
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
    """What the tracks state about their video; an id means the same at every level."""
    width = 0
    for name, content, end in _elements(data, at, stop, frozenset([_TRACK, _VIDEO, _COLOR])):
        value = int.from_bytes(data[content : min(end, content + 8)], "big")
        if name == _TRACK_TYPE and value == 1:
            found = replace(found, has_video=True)
        elif name == _WIDTH:
            width = value
        elif name == _HEIGHT:
            found = found.at_least(width, value)
        elif (name == _INTERLACED and value == 1) or (name == _CODEC_PRIVATE and is_interlaced(data[content:end])):
            found = replace(found, is_interlaced=True)
        elif name == _TRANSFER and value in _HDR_TRANSFERS:
            found = replace(found, is_hdr=True)
    return found

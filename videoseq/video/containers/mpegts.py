"""Transport, program and bare streams, whose frames begin without boxes around them (ISO/IEC 13818-1)."""

from __future__ import annotations

import io
from dataclasses import replace

from videoseq.video.containers.base import Container
from videoseq.video.containers.h26x import is_interlaced


def read_stream(head: bytes) -> Container:
    """What a stream claims to be, from its first bytes."""
    return replace(_recognize(head), is_interlaced=is_interlaced(head))


def _recognize(head: bytes) -> Container:
    for packet_bytes, offset in ((188, 0), (192, 4), (204, 0)):
        syncs = head[offset : offset + 5 * packet_bytes : packet_bytes]
        if len(syncs) > 1 and set(syncs) == {0x47}:
            return _read_transport_stream(head, packet_bytes, offset)
    if head.startswith(b"\x00\x00\x01\xba"):
        has_video = any(b"\x00\x00\x01" + bytes([stream]) in head for stream in range(0xE0, 0xF0)) or None
        return Container("mpegps", has_video=has_video)
    if head.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01")):
        return Container("elementary")
    known = (b"FLV", b"DKIF", b"\x30\x26\xb2\x75", b"\x06\x0e\x2b\x34", b"\x1f\x07\x00")
    return Container("other" if head.startswith(known) else "unknown")


def _read_transport_stream(head: bytes, packet_bytes: int, offset: int) -> Container:
    """Whether any elementary stream of video begins in the first packets (PES stream ids E0 to EF)."""
    stream = io.BytesIO(head[offset:])
    kinds: set[int] = set()
    video: int | None = None
    while len(packet := stream.read(packet_bytes)) >= 188:
        has_field, has_payload = packet[3] & 0x20, packet[3] & 0x10
        payload = packet[4 + (1 + packet[4] if has_field else 0) : 188] if has_payload else b""
        if packet[1] & 0x40 and payload.startswith(b"\x00\x00\x01") and len(payload) > 3:
            kinds.add(payload[3])
            if video is None and (0xE0 <= payload[3] < 0xF0 or payload[3] == 0xFD):
                video = (packet[1] & 0x1F) << 8 | packet[2]
    packets = None if video is None else (packet_bytes, offset, video)
    return Container("mpegts", has_video=video is not None if kinds else None, packets=packets)

"""avi: RIFF chunks of a four-letter name and a 32-bit length."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import BinaryIO

from videoseq.video.containers.base import Container
from videoseq.video.containers.h26x import is_interlaced


def read_riff(file: BinaryIO, head: bytes, size: int) -> Container:
    """What a RIFF file of ``size`` bytes that begins with ``head`` claims to be; it may hold sound alone."""
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
            form = head.find(b"strf", at, at + 256)
            if 0 <= form <= len(head) - 20:
                width, height = struct.unpack("<ii", head[form + 12 : form + 20])
                found = found.at_least(abs(width), abs(height))
        at = head.find(b"strh", at + 4)
    return replace(found, is_interlaced=is_interlaced(head))

"""GIF: blocks of sub-blocks, up to a trailer."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import BinaryIO

from videoseq.video.containers.base import Container


def read_gif(file: BinaryIO, size: int) -> Container:
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

"""A file's first bytes and boxes → what kind of container it claims to be, before any decoder sees it.

Nothing here decodes, and nothing here is trusted for a frame's index or time. It tells apart why a file does not open
(sound only, an index never written, a playlist in disguise), how large the video says it is, whether the container's
parts fit into each other, and what a decoder silently loses: high dynamic range, interlacing.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from videoseq.video.containers.avi import read_riff
from videoseq.video.containers.base import Container
from videoseq.video.containers.gif import read_gif
from videoseq.video.containers.matroska import read_matroska
from videoseq.video.containers.mp4 import read_mp4
from videoseq.video.containers.mpegts import read_stream

_HEAD_BYTES = 1 << 20

_PLAYLIST_STARTS = (
    b"#extm3u", b"ffconcat", b"[playlist]", b"[reference]", b"rtsptext", b"<smil", b"<asx", b"<mpd", b"v=0\n", b"v=0\r",
    b"<smoothstreamingmedia", b"http://", b"https://", b"rtsp://", b"concat:",
)  # fmt: skip
_SOUND_STARTS = (b"ID3", b"fLaC", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9", b"#!AMR", b".snd")


def read_container(file: BinaryIO) -> Container:
    """What an open file claims to be; its position is put back to the start.

    Raises:
        OSError: The file cannot be read.
    """
    head = file.read(_HEAD_BYTES)
    size = file.seek(0, os.SEEK_END)
    try:
        return _recognize(file, head, size)
    finally:
        file.seek(0)


def _recognize(file: BinaryIO, head: bytes, size: int) -> Container:
    text = head[:4096].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_PLAYLIST_STARTS) or (text.startswith(b"<?xml") and (b"<mpd" in text or b"<smil" in text)):
        return Container("playlist")
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"):
        return read_mp4(file, size)
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return read_matroska(head, size)
    if head.startswith(b"RIFF"):
        return read_riff(file, head, size)
    if head.startswith(b"GIF8"):
        return read_gif(file, size)
    if head.startswith(b"OggS"):
        return Container("other" if b"theora" in head[:4096] or b"OVP80" in head[:4096] else "sound")
    if head.startswith(_SOUND_STARTS):
        return Container("sound")
    return read_stream(head)

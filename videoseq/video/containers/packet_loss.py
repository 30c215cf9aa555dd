"""Transport and program streams: are all packets there? FFmpeg skips lost ones silently.

A transport stream (ISO/IEC 13818-1, 2.4.3.2) counts the packets of each of its streams; a program stream (2.5.3) is a
chain of packets, each with its length. Both are followed while the decoder reads the file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

_SYNC = 0x47


class StreamWatch(ABC):
    """Follows the bytes of a file as they are read, each once and in order.

    Attributes:
        num_faults: Packets known to be missing or damaged.
    """

    def __init__(self) -> None:
        self.num_faults = 0
        self._position = 0
        self._rest = b""

    def feed(self, position: int, data: bytes) -> None:
        """Takes bytes read at a position; those seen already, and those read while jumping ahead, are passed over."""
        if position <= self._position < position + len(data):
            fresh = data[self._position - position :]
            self._position += len(fresh)
            self._rest = self._follow(self._rest + fresh)

    @property
    @abstractmethod
    def num_bytes_missing(self) -> int:
        """How many bytes of the packet that was read last are not there; asked at the end of the file."""

    @abstractmethod
    def _follow(self, data: bytes) -> bytes:
        """Looks at bytes that follow on the last; returns those that belong to a packet that has not ended."""


class TransportWatch(StreamWatch):
    """Follows the continuity counters of the video in a transport stream.

    Args:
        packet_bytes: 188, or 192 and 204 with what some recorders add.
        offset: Bytes before the first sync byte.
        stream: The packet identifier of the video.
    """

    def __init__(self, packet_bytes: int, offset: int, stream: int) -> None:
        super().__init__()
        self._packet_bytes = packet_bytes
        self._skip = offset
        self._stream = stream
        self._last_count: int | None = None

    @property
    def num_bytes_missing(self) -> int:
        """How many bytes the last packet lacks."""
        return -len(self._rest) % self._packet_bytes if self._packet_bytes == 188 else 0

    def _follow(self, data: bytes) -> bytes:
        data = data[self._skip :]
        self._skip = 0
        whole = len(data) // self._packet_bytes * self._packet_bytes
        packets = np.frombuffer(data[:whole], np.uint8).reshape(-1, self._packet_bytes)
        is_synchronous = packets[:, 0] == _SYNC
        self.num_faults += int(np.count_nonzero(~is_synchronous | (packets[:, 1] & 0x80 > 0)))
        streams = (packets[:, 1].astype(np.int64) & 0x1F) << 8 | packets[:, 2]
        # Only packets with a payload are counted; one may come twice, and a splice may be announced.
        is_counted = is_synchronous & (streams == self._stream) & (packets[:, 3] & 0x10 > 0)
        counts = (packets[is_counted, 3] & 0x0F).tolist()
        is_splice = ((packets[:, 3] & 0x20 > 0) & (packets[:, 4] > 0) & (packets[:, 5] & 0x80 > 0))[is_counted].tolist()
        for count, may_jump in zip(counts, is_splice, strict=True):
            if self._last_count is not None and not may_jump:
                self.num_faults += (count - self._last_count) % 16 > 1
            self._last_count = count
        starts = packets[is_counted & (packets[:, 1] & 0x40 > 0)]
        self.num_faults += sum(not _begins_a_picture(packet) for packet in starts)
        return data[whole:]


def _begins_a_picture(packet: np.ndarray) -> bool:
    """Whether a packet that is marked as the start of an image has its start code."""
    at = 4 + (1 + int(packet[4]) if packet[3] & 0x20 else 0)
    return packet[at : at + 3].tobytes() == b"\x00\x00\x01"


class ProgramWatch(StreamWatch):
    """Follows a program stream from packet to packet."""

    @property
    def num_bytes_missing(self) -> int:
        """How many bytes the last packet lacks; streams may end with an end code, or with nothing."""
        rest = self._rest + bytes(16)
        length = _program_packet_bytes(rest, 0)
        return max(0, length - len(self._rest)) if length is not None and self._rest else 0

    def _follow(self, data: bytes) -> bytes:
        at = 0
        while len(data) - at >= 16:
            length = _program_packet_bytes(data, at)
            if length is None:
                self.num_faults += 1
                found = data.find(b"\x00\x00\x01\xba", at + 1)
                if found < 0:
                    return data[-3:]
                at = found
            elif at + length > len(data):
                break
            else:
                at += length
        return data[at:]


def _program_packet_bytes(data: bytes, at: int) -> int | None:
    """The stated length of the packet at a position; None if no packet begins there."""
    if data[at : at + 3] != b"\x00\x00\x01":
        return None
    kind = data[at + 3]
    if kind == 0xB9:
        return 4
    if kind == 0xBA:
        return 14 + (data[at + 13] & 0x07) if data[at + 4] >> 6 == 1 else 12
    return 6 + int.from_bytes(data[at + 4 : at + 6], "big") if kind >= 0xBB else None

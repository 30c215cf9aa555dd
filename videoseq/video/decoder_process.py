"""The other end of :mod:`videoseq.video.isolation`: a process that does nothing but decode, and may die of it.

It reads videos one after the other, on requests through a pipe. Images go into shared memory, the rest is JSON:
what comes back from a process that has read a hostile file must not be able to run code.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from videoseq.errors import VideoError, one_line
from videoseq.video.frames import Image
from videoseq.video.packets import read_packets
from videoseq.video.reader import VideoReader

_MAX_STAMPS = 64
_MAX_SILENCE_SECONDS = 1.0


def main(connection: Connection, image_memory: int, memory_bytes: int) -> None:
    """Reads one video after the other until the other side hangs up.

    Args:
        connection: Commands come and stamps go here.
        image_memory: Descriptor of a file in memory that both sides map.
        memory_bytes: What decoding may take beyond what this process has already.
    """
    cv2.setNumThreads(1)  # the conversion of colors is not worth taking a core from the CNN
    log = _DecoderLog()
    _limit_memory(memory_bytes)
    with suppress(EOFError, OSError):  # the other side is gone
        _send(connection, is_ready=True)
        while True:
            order = _receive_order(connection)
            if "packets_of" in order:
                work = partial(_count_packets, connection)
                _answer(connection, Path(order["packets_of"]), work)
            elif "info_of" in order:
                work = partial(_describe, connection, order["max_pixels"])
                _answer(connection, Path(order["info_of"]), work)
            else:
                work = partial(_read, connection, order["max_pixels"], image_memory, log)
                _answer(connection, Path(order["path"]), work)


def _receive_order(connection: Connection) -> dict[str, Any]:
    """The next order; slots freed late, of the video before, are no news."""
    while (message := connection.recv_bytes()) == b"free":
        pass
    order: dict[str, Any] = json.loads(message)
    return order


def _answer(connection: Connection, path: Path, work: Callable[[Path], None]) -> None:
    """Does what was ordered; what goes wrong with the file is the answer."""
    try:
        work(path)
    except VideoError as error:
        _send(connection, error=[error.code, str(error)])
    except MemoryError:
        _send(connection, error=["too_large", f"{path}: its frames need more memory than the decoder may take"])
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        text = one_line(f"{path}: the decoder failed with {type(error).__name__}: {error}")
        _send(connection, error=["decoder_crashed", text])


def _read(connection: Connection, max_pixels: int, image_memory: int, log: _DecoderLog, path: Path) -> None:
    """Sends what the header claims, waits for instructions, then sends frames and the report."""
    with VideoReader(path, max_pixels=max_pixels, read_log=log.read) as reader:
        _send(connection, info=reader.info.as_dict())
        how = _receive_order(connection)
        slots = _Slots(connection, image_memory, how["num_slots"], reader.info.height, reader.info.width)
        for message in _messages(reader, how["sample_hz"], slots):
            _send(connection, **message)
        _send(connection, report=reader.report().as_dict(), fraction=1.0)


def _count_packets(connection: Connection, path: Path) -> None:
    _send(connection, packets=read_packets(path).as_dict())


def _describe(connection: Connection, max_pixels: int, path: Path) -> None:
    with VideoReader(path, max_pixels=max_pixels) as reader:
        _send(connection, info=reader.info.as_dict())


class _Slots:
    """Room for a few images in shared memory, filled in turn."""

    def __init__(self, connection: Connection, image_memory: int, num_slots: int, height: int, width: int) -> None:
        shape = (num_slots, height, width, 3)
        self._images = np.frombuffer(mmap.mmap(image_memory, int(np.prod(shape))), np.uint8).reshape(*shape)
        self._connection = connection
        self._num_free = num_slots
        self._next = 0
        self.current = 0

    def take(self) -> Image:
        """The next slot, as soon as the other side has done with it."""
        while self._num_free == 0 or self._connection.poll():
            self._connection.recv_bytes()
            self._num_free += 1
        self.current = self._next
        self._num_free -= 1
        self._next = (self._next + 1) % len(self._images)
        slot: np.ndarray = self._images[self.current]
        return slot

    def hold(self, image: Image) -> int:
        """The slot taken last, with the image in it; one whose size has changed could not be put there directly."""
        slot = self._images[self.current]
        if image is not slot and not np.shares_memory(image, slot):
            height, width, _ = slot.shape
            slot[:] = cv2.resize(image, (width, height))
        return self.current


def _messages(reader: VideoReader, sample_hz: float | None, slots: _Slots) -> Iterator[dict[str, Any]]:
    """Stamps in batches that end with a sampled frame, whose image then lies in the named slot."""
    stamps: list[tuple[float, int, int]] = []
    last_sent = time.monotonic()
    for frame in reader.sampled(sample_hz, slots.take):
        stamps.append((frame.stamp.seconds, int(frame.stamp.flags), frame.steps))
        now = time.monotonic()
        if frame.image is None and len(stamps) < _MAX_STAMPS and now - last_sent < _MAX_SILENCE_SECONDS:
            continue
        slot = None if frame.image is None else slots.hold(frame.image)
        yield {"stamps": stamps, "slot": slot, "fraction": reader.fraction_read}
        stamps, last_sent = [], now
    if stamps:
        yield {"stamps": stamps, "slot": None, "fraction": 1.0}


class _DecoderLog:
    """What FFmpeg and OpenCV print, caught before it reaches anybody."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None)
        self._read_end, write_end = os.pipe()
        for end in (self._read_end, write_end):
            os.set_blocking(end, False)  # a full pipe loses lines, it must not stop the decoder
        os.dup2(write_end, 1)
        os.dup2(write_end, 2)

    def read(self) -> list[str]:
        """The lines since the last call."""
        self._libc.fflush(None)  # OpenCV prints through the C library's buffer
        try:
            return os.read(self._read_end, 1 << 16).decode("utf-8", "replace").splitlines()
        except BlockingIOError:
            return []


def _limit_memory(memory_bytes: int) -> None:
    """Caps the address space, where the system keeps count of it (Linux)."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        used = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes, used + memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _send(connection: Connection, **message: Any) -> None:  # noqa: ANN401 (any JSON)
    connection.send_bytes(json.dumps(message).encode())

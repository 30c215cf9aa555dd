"""Videos whose pixels spell the frame index, so that a wrong, repeated or missing frame is seen in the picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

WIDTH, HEIGHT = 128, 96
_COLUMNS, _ROWS = 4, 4


def spell(index: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """An RGB image whose 4 × 4 blocks are the bits of ``index``, dark or bright."""
    bits = np.array([(index >> bit) & 1 for bit in range(_COLUMNS * _ROWS)], dtype=np.uint8)
    blocks = np.where(bits.reshape(_ROWS, _COLUMNS), 225, 30).astype(np.uint8)
    gray = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.repeat(gray[:, :, None], 3, axis=2)


def read_spelled(image: np.ndarray) -> int:
    """The index that an image spells."""
    rows = np.array_split(image.mean(axis=2), _ROWS)
    blocks = [block.mean() for row in rows for block in np.array_split(row, _COLUMNS, axis=1)]
    return sum(1 << bit for bit, value in enumerate(blocks) if value > 128)


def write_video(path: Path, images: Iterable[np.ndarray], fps: float = 20.0, fourcc: str = "mp4v") -> Path:
    """A constant-rate video by OpenCV."""
    writer = None
    for image in images:
        if writer is None:
            size = image.shape[1], image.shape[0]
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), fps, size)
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert writer is not None
    writer.release()
    return path


def write_spelled(path: Path, num_frames: int, fps: float = 20.0, fourcc: str = "mp4v") -> Path:
    """A constant-rate video that spells 0, 1, 2, …"""
    return write_video(path, (spell(index) for index in range(num_frames)), fps, fourcc)


def write_timed(path: Path, milliseconds: Sequence[int], codec: str = "libx264", **options: str) -> Path:
    """A video that spells 0, 1, 2, … with a presentation time for each frame, by PyAV."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for index, when in enumerate(milliseconds):
            frame = av.VideoFrame.from_ndarray(spell(index), format="rgb24")
            frame.pts, frame.time_base = when, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path

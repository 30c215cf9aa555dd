"""How videos are opened: decoded in a process of its own wherever the system can."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videoseq.video.frames import FrameReader
    from videoseq.video.info import VideoInfo
    from videoseq.video.isolation import Limits

ISOLATES = os.name == "posix"
"""Whether decoding is isolated by default."""


@dataclass(frozen=True)
class VideoAccess:
    """How videos are opened, how their headers alone are read, and what ``run.json`` records of it."""

    open: Callable[[Path], FrameReader]
    read_info: Callable[[Path], VideoInfo]
    description: dict[str, Any]


@contextmanager
def open_videos(limits: Limits | None = None, *, isolate: bool = ISOLATES) -> Iterator[VideoAccess]:
    """Opens videos inside the block; the decoder process, if there is one, starts now and ends with the block.

    Raises:
        ConfigError: The system cannot isolate decoding, and it was asked for.
    """
    from videoseq.video.isolation import DecoderProcess, Limits
    from videoseq.video.reader import VideoReader

    limits = limits or Limits()
    description = describe_access(limits, isolate=isolate)
    if not isolate:
        open_video = partial(VideoReader, max_pixels=limits.max_pixels)
        yield VideoAccess(open_video, partial(_read_info, open_video), description)
        return
    with DecoderProcess(limits) as decoder:
        yield VideoAccess(decoder.open, decoder.read_info, description)


def _read_info(open_video: Callable[[Path], FrameReader], path: Path) -> VideoInfo:
    with open_video(path) as reader:
        return reader.info


def describe_access(limits: Limits, *, isolate: bool) -> dict[str, Any]:
    """What ``run.json`` records of how videos are opened."""
    return {"isolated": True, **asdict(limits)} if isolate else {"isolated": False, "max_pixels": limits.max_pixels}

"""How the programs open videos: in a process of their own wherever the system can."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from videoseq.frames import FrameReader
    from videoseq.isolation import Limits

ISOLATES = os.name == "posix"
"""Whether decoding is isolated unless somebody says otherwise."""


@contextmanager
def open_videos(limits: Limits | None = None, *, isolate: bool = ISOLATES) -> Iterator[Callable[[Path], FrameReader]]:
    """Gives what opens a video; the process behind it ends with the block.

    Raises:
        ConfigError: Isolation is asked for where the system cannot.
    """
    from videoseq.isolation import DecoderProcess, Limits
    from videoseq.video import VideoReader

    limits = limits or Limits()
    if not isolate:
        yield partial(VideoReader, max_pixels=limits.max_pixels)
        return
    with DecoderProcess(limits) as decoder:
        yield decoder.open

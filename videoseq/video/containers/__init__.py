"""The first bytes and the boxes of a file → what it claims to be, before a decoder sees it: one module per family."""

from __future__ import annotations

from videoseq.video.containers.base import Container
from videoseq.video.containers.read import read_container

__all__ = ["Container", "read_container"]

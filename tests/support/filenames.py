"""File names that people have and programs trip over."""

from __future__ import annotations

import os

ODD_NAMES = ["with blanks.mp4", "-v.mp4", "%03d.mp4", "a:b.mp4", "[1].mp4", "🎬 ünï.mp4", "line\nbreak.mp4"]
NOT_UTF8 = os.fsdecode(b"caf\xe9.mp4")

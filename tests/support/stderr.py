"""What a command said on stderr, without what depends on how fast the machine is."""

from __future__ import annotations

import re

PROGRESS = re.compile(r"\w+: \d+/\d+ files\b")
"""A line that a run says now and then once it takes longer than half a minute."""


def said_but_progress(err: str) -> list[str]:
    """The lines of stderr that are no progress."""
    return [line for line in err.splitlines() if not PROGRESS.match(line)]

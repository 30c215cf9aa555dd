"""A process of our own: the command that runs code in it, and how it has ended."""

from __future__ import annotations

import json
import signal
import sys


def child_command(code: str, *numbers: int) -> list[str]:
    """The command that runs code in a process of its own, with the modules of this one and numbers in ``sys.argv``."""
    # Not "python -m": that would import what lies in the current folder, which may be the recordings' own.
    paths = json.dumps([path for path in sys.path if path])
    code = f"import json, sys; sys.path[:] = json.loads(sys.argv.pop(1))\n{code}"
    return [sys.executable, "-I", "-c", code, paths, *map(str, numbers)]


def how_it_ended(status: int) -> str:
    """A process's exit status in words, to go on a sentence that names it."""
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"

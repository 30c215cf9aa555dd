"""Processes: the command that runs code in one of our own, how one has ended, and whether this one may compute."""

from __future__ import annotations

import json
import os
import signal
import sys

_computing: int | None = None  # the process in which the CNN was made ready first


def child_command(code: str, *numbers: int) -> list[str]:
    """The command that runs code in a process of its own, with the modules of this one and numbers in ``sys.argv``."""
    # Not "python -m": that would import what lies in the current folder, which may be the recordings' own.
    paths = json.dumps([path for path in sys.path if path])
    code = f"import json, sys; sys.path[:] = json.loads(sys.argv.pop(1))\n{code}"
    return [sys.executable, "-I", "-c", code, paths, *map(str, numbers)]


def how_it_ended(status: int) -> str:
    """A process's exit status in words, to go on a sentence that names it."""
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def check_not_forked() -> None:
    """Refuses to compute in a fork of a process that computes: the threads of torch and OpenVINO are missing in it.

    Raises:
        RuntimeError: This process is such a fork; it would wait for those threads without end.
    """
    global _computing
    _computing = _computing or os.getpid()
    if _computing != os.getpid():
        raise RuntimeError(
            f"expected to compute in process {_computing}, got a fork of it, which lacks the threads of the CNN; "
            'start processes with multiprocessing.get_context("spawn"), or load models in the forked processes only'
        )

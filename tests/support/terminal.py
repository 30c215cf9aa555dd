"""The real command on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path


def on_terminal(*args: object, columns: int = 100) -> tuple[int, str, str]:
    """The status of the real command, everything that it shows on a pseudo-terminal, and its standard output."""
    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).with_name("videoseq")), *map(str, args)]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "30"}
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                block = os.read(ours, 65536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not block:
                break
            shown += block
        os.close(ours)
        assert process.stdout is not None
        data = process.stdout.read().decode()
    return process.returncode, shown.decode(), data

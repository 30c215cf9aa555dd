"""A worker that only says that it has worked: for what hands out the work, and would else wait for torch to load."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from videoseq.jobs.result import Result

CHILD = (
    "from multiprocessing.connection import Connection\n"
    "from tests.support.toy_worker import main; main(Connection(int(sys.argv[1])))"
)
"""Goes into the place of ``videoseq.jobs.worker_process._CHILD``."""


def main(connection: Connection) -> None:
    """Ends each job at once, and says its process number; a ``together*`` waits until progress was told of two."""
    with suppress(EOFError, OSError):
        connection.recv()
        connection.send(("started", {"pid": os.getpid()}))
        while True:
            job = connection.recv()
            connection.send(("progress", 1, 0.5))
            if job.video.name.startswith("together"):
                _wait_for_two(job.output_stem.parent)
            connection.send(("result", Result(str(job.video), "complete", message=str(os.getpid()))))


def _wait_for_two(folder: Path) -> None:
    while len(list(folder.glob("together*"))) < 2:
        time.sleep(0.01)

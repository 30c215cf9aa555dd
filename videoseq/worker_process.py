"""One process that labels videos, as its parent sees it.

Nothing here takes long to import: it is started first, so that it imports what does at the same time as its parent.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from typing import Any

from videoseq.inputs import Job
from videoseq.isolation import child_command, how_it_ended

PATIENCE_SECONDS = 10.0
_CHILD = (
    "from multiprocessing.connection import Connection\n"
    "from videoseq.worker import main; main(Connection(int(sys.argv[1])))"
)


class WorkerProcess:
    """A process, and the job that it is at; it waits for a task, then for jobs.

    Attributes:
        job: What it is at.
        has_started: Whether it has said that it is ready to label.
        connection: To it.
    """

    def __init__(self) -> None:
        self.job: Job | None = None
        self.has_started = False
        self.connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and code)
                child_command(_CHILD, theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # an interrupt from the terminal is for the parent to handle
            )

    def prepare(self, task: object) -> None:
        """Says what all of its jobs have in common, a :class:`~videoseq.worker.LabelTask`."""
        with suppress(OSError):  # that it has died shows when it is listened to
            self.connection.send(task)

    def give(self, job: Job) -> bool:
        """Has it begin with a job; whether it is still there to do so."""
        self.job = job
        try:
            self.connection.send(job)
        except OSError:
            return False
        return True

    def receive(self) -> tuple[Any, ...] | None:
        """The next message; None if there is nobody any more to send one."""
        try:
            message: tuple[Any, ...] = self.connection.recv()
        except (EOFError, OSError):
            return None
        return message

    def end(self, patience_seconds: float = PATIENCE_SECONDS) -> str:
        """Waits until the process has ended, which it does when nobody listens, or ends it; says how it ended."""
        self.connection.close()
        try:
            status = self._process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        return how_it_ended(status)


@contextmanager
def started_early(num_workers: int) -> Iterator[list[WorkerProcess]]:
    """Processes that get ready while this one does; those that nobody takes off the list are ended."""
    waiting: list[WorkerProcess] = []
    try:
        if os.name == "posix":  # elsewhere there are none, as will be said where they are asked for work
            waiting.extend(WorkerProcess() for _ in range(num_workers))
        yield waiting
    finally:
        for worker in waiting:
            worker.end()

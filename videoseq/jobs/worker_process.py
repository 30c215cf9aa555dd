"""One worker process as its parent sees it, and the tasks that it can do.

Nothing here takes long to import: while the workers import torch, their parent must not take a core from them.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoseq.config.runtime import RuntimeChoice
from videoseq.jobs.plan import Job
from videoseq.jobs.request import LabelSettings
from videoseq.system.processes import child_command, how_it_ended
from videoseq.video.isolation import Limits

if TYPE_CHECKING:
    from videoseq.config.schema import BackboneSettings

PATIENCE_SECONDS = 10.0
_CHILD = (
    "from multiprocessing.connection import Connection\n"
    "from videoseq.jobs.worker import main; main(Connection(int(sys.argv[1])))"
)


@dataclass(frozen=True)
class LabelTask:
    """What a worker needs to know to label videos.

    Attributes:
        model_path: The model folder.
        model_sha256: Of the model that the parent found there; another one is refused.
        out: The output folder, to which the results' paths are relative.
        choice: What runs the CNN; its cores are shared by all workers.
        settings: What the labels depend on.
        limits: What decoding one file may cost.
        isolate: Whether decoding gets a process of its own.
    """

    model_path: Path
    model_sha256: str
    out: Path
    choice: RuntimeChoice
    settings: LabelSettings
    limits: Limits
    isolate: bool = True


@dataclass(frozen=True)
class FeatureTask:
    """What a worker needs to know to compute features.

    Attributes:
        backbone: The CNN's settings, or the folder of the model that it is part of.
        sample_hz: Steps of the network a second; None for every frame.
        cache: The folder of the :class:`~videoseq.features.store.FeatureStore` that the features go into.
        choice: What runs the CNN; its cores are shared by all workers.
        limits: What decoding one file may cost.
        isolate: Whether decoding gets a process of its own.
        out: The output folder, if features are exported too; None if they are only kept in the cache.
    """

    backbone: BackboneSettings | Path
    sample_hz: float | None
    cache: Path
    choice: RuntimeChoice
    limits: Limits
    isolate: bool = True
    out: Path | None = None


WorkerTask = LabelTask | FeatureTask
"""What workers are told once, before their first job."""


class WorkerProcess:
    """A process and its job; it waits for a task, then for jobs.

    Attributes:
        job: What it works on; None if it is idle.
        num_jobs: How many jobs it was given.
        has_started: Whether it has said that it is ready.
        connection: The pipe to it.
    """

    def __init__(self) -> None:
        self.job: Job | None = None
        self.num_jobs = 0
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

    def prepare(self, task: WorkerTask) -> None:
        """Sends the task, before the first job."""
        with suppress(OSError):  # its death shows when a message is received
            self.connection.send(task)

    def give(self, job: Job) -> bool:
        """Gives it a job; False if it is dead."""
        self.job = job
        self.num_jobs += 1
        try:
            self.connection.send(job)
        except OSError:
            return False
        return True

    def receive(self) -> tuple[Any, ...] | None:
        """The next message; None if the process is dead."""
        try:
            message: tuple[Any, ...] = self.connection.recv()
        except (EOFError, OSError):
            return None
        return message

    def end(self, patience_seconds: float = PATIENCE_SECONDS) -> str:
        """Closes the pipe, waits until the process ends, or kills it; returns how it ended."""
        self.connection.close()
        try:
            status = self._process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        return how_it_ended(status)


@contextmanager
def started_early(num_workers: int) -> Iterator[list[WorkerProcess]]:
    """Processes that start while this one prepares; those that are still in the list at the end are ended."""
    waiting: list[WorkerProcess] = []
    try:
        if os.name == "posix":  # elsewhere WorkerPool refuses them
            waiting.extend(WorkerProcess() for _ in range(num_workers))
        yield waiting
    finally:
        for worker in waiting:
            worker.end()

"""Many videos at the same time, each in a process of its own with a loaded model and a decoder.

The parent hands out one video at a time and receives its result; a worker that dies is replaced. When the parent ends,
for whatever reason, its workers see that their pipe is closed, and end with their decoders.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any

from videoseq.errors import ConfigError, one_line
from videoseq.jobs.plan import Job
from videoseq.jobs.result import Result
from videoseq.jobs.worker_process import PATIENCE_SECONDS, WorkerProcess, WorkerTask
from videoseq.storage.files import remove_leftovers
from videoseq.system.hardware import num_usable_cores

JOBS_PER_WORKER = 500
"""A fresh process frees what libraries leak; at one second per video, starting it costs less than 1 %."""
_MAX_FAILED_STARTS = 3


class WorkerPool:
    """Processes that work on whole videos. Use it as a context manager; a worker is started when there is work for it.

    Args:
        num_workers: How many work at the same time, at most.
        task: What is done with every video.
        waiting: Processes that were :func:`~videoseq.jobs.worker_process.started_early`; used before new
            ones are started.

    Attributes:
        choices: What runs the CNN in each worker; they share the cores.

    Raises:
        ConfigError: On construction, if the system cannot pass an open pipe to another process (Windows).
    """

    def __init__(
        self,
        num_workers: int,
        task: WorkerTask,
        waiting: list[WorkerProcess] | None = None,
        *,
        jobs_per_worker: int = JOBS_PER_WORKER,
    ) -> None:
        if os.name != "posix":
            raise ConfigError("workers: expected Linux or macOS for more than one; leave out --workers here")
        cores, left_over = divmod(task.choice.num_threads or num_usable_cores(), num_workers)
        shares = [max(1, cores + (number < left_over)) for number in range(num_workers)]
        self.choices = [replace(task.choice, num_threads=share) for share in shares]
        self._tasks = [replace(task, choice=choice) for choice in self.choices]
        self._workers: list[WorkerProcess | None] = [None] * num_workers
        self._waiting = waiting if waiting is not None else []
        self._again: list[Job] = []  # jobs whose worker died
        self._was_tried: set[Job] = set()  # jobs on which a worker died
        self._jobs_per_worker = jobs_per_worker
        self._num_failed_starts = 0
        self._has_begun = False

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all workers; unfinished work leaves no files."""
        workers = [worker for worker in self._workers if worker is not None]
        self._workers = [None] * len(self._workers)
        for worker in workers:
            worker.connection.close()
        deadline = time.monotonic() + PATIENCE_SECONDS
        for worker in workers:
            worker.end(max(0.0, deadline - time.monotonic()))

    def results(
        self,
        jobs: Iterable[Job],
        on_progress: Callable[[Job, int, float], None],
        on_start: Callable[[dict[str, Any]], None],
    ) -> Iterator[tuple[Job, Result]]:
        """Each job with its result, in the order in which they end; a job is taken from ``jobs`` when a worker is free.

        Args:
            jobs: The work, begun in this order.
            on_progress: Called with a job, the number of frames read so far, and the fraction of the file's bytes read.
            on_start: Called once, when the first worker has loaded the model, with the model's summary.

        Raises:
            ModelError: The model cannot be loaded, or was replaced by another.
            ConfigError: This machine does not have what was chosen, or worker after worker dies before it is ready.
            OutputError: The outputs cannot be written.
            RuntimeError: There is a bug in a worker; its traceback is in the message.
        """
        remaining = iter(jobs)
        while at_work := self._hand_out(remaining):
            for connection in wait(list(at_work)):
                worker, job = at_work[connection]
                result: Result | None = None
                match worker.receive():
                    case ("started", summary):
                        worker.has_started, self._num_failed_starts = True, 0
                        if worker is self._workers[0] and not self._has_begun:
                            self._has_begun = True
                            on_start(summary)
                    case ("progress", num_frames, fraction):
                        on_progress(job, num_frames, fraction)
                    case ("result", Result() as result):
                        worker.job = None
                    case ("error", BaseException() as error):
                        raise error
                    case _:
                        result = self._handle_death(worker, job)
                if result is not None:
                    self._was_tried.discard(job)
                    yield job, result

    def _hand_out(self, remaining: Iterator[Job]) -> dict[Any, tuple[WorkerProcess, Job]]:
        """Gives a job to every idle worker while there are jobs; returns the busy workers by their connections."""
        for number, worker in enumerate(self._workers):
            if worker is not None and worker.job is not None:
                continue
            job = self._again.pop() if self._again else next(remaining, None)
            if job is None:
                break
            # An idle worker may have died.
            if worker is None or worker.num_jobs >= self._jobs_per_worker or not worker.give(job):
                if worker is not None:
                    worker.end()
                worker = self._workers[number] = self._waiting.pop() if self._waiting else WorkerProcess()
                worker.prepare(self._tasks[number])
                worker.give(job)
        workers = (worker for worker in self._workers if worker is not None)
        return {worker.connection: (worker, worker.job) for worker in workers if worker.job is not None}

    def _handle_death(self, worker: WorkerProcess, job: Job) -> Result | None:
        """Cleans up after a worker that died; returns the job's result, unless it is tried again."""
        cause = worker.end()
        self._workers[self._workers.index(worker)] = None
        remove_leftovers(job.output_stem.parent)
        if not worker.has_started:  # not the video's fault
            self._num_failed_starts += 1
            if self._num_failed_starts == _MAX_FAILED_STARTS:
                raise ConfigError(
                    f"workers: expected {len(self._workers)} of them to load the model, but one after the other "
                    f"{cause}; fewer of them need less memory"
                )
        elif job in self._was_tried:
            message = f"{job.video}: the process that worked on it {cause}, and so did another before"
            return Result(str(job.video), "failed", "worker_died", one_line(message))
        else:
            self._was_tried.add(job)
        self._again.append(job)
        return None

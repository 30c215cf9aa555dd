"""Where the work on many videos is done: in this process, in worker processes, or by actors of a Ray cluster."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from videoseq.errors import ConfigError

if TYPE_CHECKING:
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.jobs.plan import Job
    from videoseq.jobs.pool import WorkerPool
    from videoseq.jobs.ray.pool import RayPool
    from videoseq.jobs.result import Result
    from videoseq.jobs.worker_process import WorkerProcess, WorkerTask


class Engine(str, enum.Enum):
    """What starts the workers: this machine, or Ray."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True)
class WorkerConfig:
    """How many workers there are, and where.

    Attributes:
        num_workers: How many; None for one, or with Ray for as many as the cluster has room for.
        engine: What starts them.
        address: The address of the Ray cluster, as in :class:`videoseq.jobs.ray.pool.RayPool`.
        waiting: Processes that were started already; more are started when there is work for them.

    Raises:
        ConfigError: On construction, if there is an address without Ray.
    """

    num_workers: int | None = 1
    engine: Engine = Engine.LOCAL
    address: str | None = None
    waiting: list[WorkerProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.address is not None and self.engine is not Engine.RAY:
            text = f"address: expected none unless engine is ray, got {self.address!r}"
            raise ConfigError(f"{text}; leave it out, or choose the engine ray")

    @property
    def is_this_process(self) -> bool:
        """Whether this process does all the work."""
        return self.engine is Engine.LOCAL and (self.num_workers or 1) == 1

    @contextmanager
    def started_early(self, num_jobs: int) -> Iterator[WorkerConfig]:
        """The same workers, whose processes already start while this one still prepares; unused ones are ended."""
        from videoseq.jobs.worker_process import started_early

        is_local = self.engine is Engine.LOCAL and not self.is_this_process
        with started_early(min(self.num_workers or 1, num_jobs) if is_local else 0) as waiting:
            yield replace(self, waiting=waiting)

    def open(self, task: WorkerTask, num_jobs: int) -> ThisProcess | WorkerPool | RayPool:
        """The workers for a task, at most as many as there are jobs; a context manager."""
        if self.is_this_process:
            return ThisProcess(task)
        if self.engine is Engine.RAY:
            from videoseq.jobs.ray.pool import RayPool

            return RayPool(self.num_workers, task, self.address)
        from videoseq.jobs.pool import WorkerPool

        return WorkerPool(max(1, min(self.num_workers or 1, num_jobs)), task, self.waiting)


class ThisProcess:
    """This process as the only worker, used like a :class:`~videoseq.jobs.pool.WorkerPool`.

    Args:
        task: What is done with every video.

    Attributes:
        choices: What runs the CNN.
        summary: What ``run.json`` says about the work; known inside the context.
    """

    def __init__(self, task: WorkerTask) -> None:
        self._task = task
        self._stack = ExitStack()
        self.choices: list[RuntimeChoice] = [task.choice]
        self.summary: dict[str, Any] = {}

    def __enter__(self) -> ThisProcess:
        from videoseq.jobs.worker import begin

        with ExitStack() as stack:
            self._work = begin(self._task, stack)
            self._stack = stack.pop_all()
        self.summary = self._work.summary
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def results(
        self,
        jobs: Iterable[Job],
        on_progress: Callable[[Job, int, float], None],
        on_start: Callable[[dict[str, Any]], None],
    ) -> Iterator[tuple[Job, Result]]:
        """Each job with its result; arguments and errors are those of a :class:`~videoseq.jobs.pool.WorkerPool`."""
        on_start(self.summary)
        for job in jobs:
            yield job, self._work.do(job, partial(on_progress, job))

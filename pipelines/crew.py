"""Who works on videos: this process, processes beside it, or actors of a Ray cluster."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from videoseq.jobs.pool import WorkerPool
    from videoseq.jobs.ray.pool import RayPool
    from videoseq.jobs.worker_process import Task, WorkerProcess


class Engine(str, enum.Enum):
    """What processes are started by."""

    LOCAL = "local"
    RAY = "ray"


Workers = Annotated[
    Optional[int],  # noqa: UP045 (typer reads the annotation at run time, on Python 3.10 too)
    typer.Option(
        "--workers",
        min=1,
        help="Videos to work on side by side, each in a process of its own; they share the cores. By default one, or "
        "with Ray as many as the cluster has room for.",
    ),
]
EngineName = Annotated[
    Engine,
    typer.Option("--engine", help="Who works side by side: processes of this machine (local), or actors of Ray (ray)."),
]
Address = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--address",
        help="The Ray cluster to work on: auto, or HOST:PORT of its head. Without it, Ray runs on this machine for as "
        "long as this takes.",
    ),
]


@dataclass(frozen=True)
class Crew:
    """Who works.

    Attributes:
        num_workers: How many, None for one, or with Ray as many as the cluster has room for.
        engine: What they are started by.
        address: The Ray cluster's, as in :class:`videoseq.jobs.ray.pool.RayPool`.
        waiting: Processes that were started already; what is missing is started when there is work.

    Raises:
        ConfigError: On construction, where an address is given without Ray.
    """

    num_workers: int | None = 1
    engine: Engine = Engine.LOCAL
    address: str | None = None
    waiting: list[WorkerProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        from videoseq.errors import ConfigError

        if self.address is not None and self.engine is not Engine.RAY:
            raise ConfigError("--address is of a Ray cluster; say --engine ray too, or leave it out")

    @property
    def is_this_process(self) -> bool:
        """Whether nobody else is needed."""
        return self.engine is Engine.LOCAL and (self.num_workers or 1) == 1

    @contextmanager
    def started_early(self, num_jobs: int) -> Iterator[Crew]:
        """The same, with processes for so many jobs that get ready while this one does; if unneeded, they are ended."""
        from videoseq.jobs.worker_process import started_early

        is_local = self.engine is Engine.LOCAL and not self.is_this_process
        with started_early(min(self.num_workers or 1, num_jobs) if is_local else 0) as waiting:
            yield replace(self, waiting=waiting)

    def open(self, task: Task, num_jobs: int) -> WorkerPool | RayPool:
        """Those who do a task; no more processes than there are jobs."""
        if self.engine is Engine.RAY:
            from videoseq.jobs.ray.pool import RayPool

            return RayPool(self.num_workers, task, self.address)
        from videoseq.jobs.pool import WorkerPool

        return WorkerPool(max(1, min(self.num_workers or 1, num_jobs)), task, self.waiting)

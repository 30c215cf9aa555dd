"""The part of :mod:`videoseq.jobs.ray.pool` that runs on the nodes: an actor works on one video after the other.

Nothing here takes long to import: the driver only needs to know what an actor is. Errors are answers, so that whatever
Ray itself raises means that the actor is gone.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from videoseq.errors import ConfigError, ModelError, OutputError
from videoseq.jobs.plan import Job
from videoseq.jobs.ray.site import Site
from videoseq.jobs.result import Result
from videoseq.jobs.worker_process import WorkerTask
from videoseq.storage.files import staging_prefix

if TYPE_CHECKING:
    from videoseq.jobs.worker import Work

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Started:
    """What an actor says when it is ready.

    Attributes:
        summary: As of :class:`videoseq.jobs.worker.Work`.
        node: The address of the node that it runs on.
        staging: What the names of the files begin with that it is writing.
    """

    summary: dict[str, Any]
    node: str
    staging: str


class Actor:
    """One process of Ray's: a loaded model and its decoder. Two threads: one labels, one tells how far it is."""

    def __init__(self) -> None:
        self._stack = ExitStack()  # ends with the process
        self._work: Work | None = None
        self._progress: tuple[Job | None, int, float] = None, 0, 0.0

    def begin(self, task: WorkerTask, site: Site) -> Started | Exception:
        """Gets ready, once; an error that is returned is no fault of a video."""

        def begin() -> Started:
            import ray

            from videoseq.jobs import worker

            node: str = ray.util.get_node_ip_address()
            site.check(node)
            self._work = worker.begin(task, self._stack)
            return Started(self._work.summary, node, staging_prefix())

        return _answer(begin)

    def do(self, job: Job) -> Result | Exception:
        """How a job ended; an error that is returned is no fault of its video."""
        work = self._work
        assert work is not None

        def note(num_frames: int, fraction: float) -> None:
            self._progress = job, num_frames, fraction

        return _answer(lambda: work.do(job, note))

    def progress(self, seconds: float) -> tuple[Job | None, int, float]:
        """After so many seconds: a job, the number of its frames read by then, and the fraction of its bytes read."""
        time.sleep(seconds)
        return self._progress


def _answer(act: Callable[[], _Answer]) -> _Answer | Exception:
    try:
        return act()
    except (ConfigError, ModelError, OutputError) as error:
        return error
    except Exception:  # noqa: BLE001 (any error is a bug, which the driver reports)
        return RuntimeError(f"in an actor:\n{traceback.format_exc()}")

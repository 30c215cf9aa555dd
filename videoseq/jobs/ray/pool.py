"""Many videos side by side on the nodes of a Ray cluster, each in an actor with a loaded model and a decoder.

What :class:`~videoseq.jobs.pool.WorkerPool` is on one machine. The driver, which is this process, hands out one video
at a time, hears how it ended, and looks for itself whether its labels are there. Ray restarts nothing and retries
nothing: the driver starts another actor where one has died, on whichever node has room, and tries its video once more.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any

from videoseq.errors import ConfigError, one_line
from videoseq.jobs.plan import Job
from videoseq.jobs.ray.actor import Actor, Started
from videoseq.jobs.ray.cluster import connected, import_ray, is_cut_off
from videoseq.jobs.ray.site import Site, marked, outputs_visible
from videoseq.jobs.result import Result
from videoseq.jobs.worker_process import PATIENCE_SECONDS, WorkerTask
from videoseq.storage.files import remove_staged

_MAX_FAILED_STARTS = 3
_ROOM_SECONDS = 600.0  # a cluster that grows when it is asked to takes minutes
_SILENCE_SECONDS = 5.0
_PROGRESS_SECONDS = 1.0
_MAX_PROGRESS_HZ = 200.0  # of all actors together, so that the driver has time for their results


class RayPool:
    """Actors that label whole videos. Use it as a context manager; an actor is started when there is work for it.

    Args:
        num_workers: At most so many actors at once; by default as many as the cluster has room for.
        task: What they have in common. Its cores are those of each actor; by default two, or one where nodes have one.
        address: Of a running cluster: ``auto``, or ``HOST:PORT`` of its head. Without one Ray is started on this
            machine, and ended with the pool.

    Attributes:
        choices: What runs the CNN in each actor; only one entry until the first job is taken, which is when Ray
            starts.

    Raises:
        ConfigError: On construction, if Ray is not installed.
    """

    def __init__(self, num_workers: int | None, task: WorkerTask, address: str | None = None) -> None:
        assert task.out is not None  # where the nodes must look, and the driver looks after them
        self._ray = import_ray()
        self._out = task.out
        self._num_workers = num_workers
        self._task = task
        self._address = address
        self._stack = ExitStack()
        self._site: Site | None = None
        self._actor_class: Any = None
        self._members: list[_Member] = []
        self._pending: dict[Future[Any], _Member] = {}  # who was asked, by the answer
        self._answered: SimpleQueue[Future[Any]] = SimpleQueue()
        self._waiting: deque[Job] = deque()  # jobs that no actor works on
        self._was_tried: set[Job] = set()  # jobs on which an actor died
        self._num_failed_starts = 0
        self._is_silent = False  # whether no actor has answered for a while
        self._alone_since = time.monotonic()
        self.choices = [task.choice]

    def __enter__(self) -> RayPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all actors, and Ray if it was started here; unfinished work leaves no files."""
        self._dismiss(list(self._members))
        self._stack.close()

    def results(
        self,
        jobs: Iterable[Job],
        on_progress: Callable[[Job, int, float], None],
        on_start: Callable[[dict[str, Any]], None],
    ) -> Iterator[tuple[Job, Result]]:
        """Each job with its result, in the order in which they end; a job is taken when an actor is free.

        Args:
            jobs: The work, begun in this order.
            on_progress: Called with a job, the number of frames read so far, and the fraction of its bytes read.
            on_start: Called when the first actor has loaded the model, with the summary of that.

        Raises:
            ModelError: The model cannot be loaded, or was replaced by another, on one of the nodes.
            ConfigError: There is no cluster, no room in it, a node does not share its files with the driver, or actor
                after actor dies before it has begun.
            OutputError: Labels cannot be written.
            RuntimeError: There is a bug in an actor; its traceback is in the message.
        """
        remaining = iter(jobs)
        is_described = False
        while self._hand_out(remaining):
            for member, answer in self._answers():
                job = member.job
                result: Result | None = None
                match answer:
                    case Started():
                        member.began = answer
                        self._num_failed_starts = 0
                        if not is_described:
                            on_start(answer.summary)
                            is_described = True
                    case (Job() as job, int(num_frames), float(fraction)) if job == member.job:
                        on_progress(job, num_frames, fraction)
                    case Result() if job is not None and member.began is not None:
                        result, member.job = self._checked(job, answer, member.began.node), None
                    case self._ray.exceptions.RayError():
                        result = self._handle_death(member, one_line(answer))
                    case Exception():
                        raise answer
                if result is not None and job is not None:
                    self._was_tried.discard(job)
                    yield job, result

    def _hand_out(self, remaining: Iterator[Job]) -> bool:
        """Gives a job to every idle actor and starts missing actors; returns whether work is left."""
        for member in self._members:
            if member.began is not None and member.job is None and self._has_waiting(1, remaining):
                self._give(member, self._waiting.popleft())
        while self._site is None or len(self._members) < len(self.choices):
            num_starting = sum(member.began is None for member in self._members)
            if not self._has_waiting(num_starting + 1, remaining):
                break
            self._site = self._site or self._connect()
            member = _Member(self._actor_class.remote())
            self._members.append(member)
            self._ask(member, "begin", self._task, self._site)
        return bool(self._waiting) or any(member.job is not None for member in self._members)

    def _has_waiting(self, num_jobs: int, remaining: Iterator[Job]) -> bool:
        """Whether so many jobs wait for an actor, when as few as that takes have been asked for."""
        while len(self._waiting) < num_jobs:
            job = next(remaining, None)
            if job is None:
                return False
            self._waiting.append(job)
        return True

    def _give(self, member: _Member, job: Job) -> None:
        member.job = job
        self._ask(member, "do", job)
        if not member.is_watched:
            self._watch(member)

    def _watch(self, member: _Member) -> None:
        """Asks an actor how far it is; it answers after a while."""
        member.is_watched = True
        self._ask(member, "progress", max(_PROGRESS_SECONDS, len(self._members) / _MAX_PROGRESS_HZ))

    def _ask(self, member: _Member, what: str, *arguments: Any) -> None:  # noqa: ANN401 (whatever the actor takes)
        # Not ray.wait: it hangs for ever once the driver's own node is gone, and looks at every answer that is due.
        future: Future[Any] = getattr(member.handle, what).remote(*arguments).future()
        self._pending[future] = member
        future.add_done_callback(self._answered.put)

    def _answers(self) -> Iterator[tuple[_Member, Any]]:
        """What actors have answered, or the error that says that one is no more; waits for it, though not for ever."""
        self._check_company()
        self._is_silent = True
        timeout: float = _SILENCE_SECONDS
        with suppress(Empty):
            while True:
                future = self._answered.get(timeout=timeout)
                timeout, self._is_silent = 0.0, False  # only what is there already
                member = self._pending.pop(future, None)
                if member is None:  # from an actor that was removed a moment ago
                    continue
                answer = future.exception() or future.result()
                if isinstance(answer, tuple):  # of progress
                    member.is_watched = False
                    if member.job is not None:
                        self._watch(member)
                yield member, answer

    def _check_company(self) -> None:
        """Gives up if no actor can answer any more.

        Raises:
            ConfigError: No actor has been ready for long, or the cluster has lost this node.
        """
        if self._is_silent and is_cut_off(self._ray):
            raise ConfigError("ray: the node that this runs on has been lost by its cluster; run this again to go on")
        if any(member.began for member in self._members):
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > _ROOM_SECONDS:
            raise ConfigError(
                f"ray: expected an actor to be ready within {_ROOM_SECONDS:.0f} s, got none; see `ray status` for what "
                "keeps the nodes busy"
            )

    def _connect(self) -> Site:
        """Finds out what room there is, and marks the output folder for the nodes to see."""
        room = self._stack.enter_context(connected(self._ray, self._address))
        choice, needs = room.share(self._task.choice)
        num_fitting = room.num_fitting(**needs)
        if not num_fitting:
            expected = f"{needs['num_cpus']} cores and {needs['num_gpus']} CUDA devices"
            raise ConfigError(f"ray: expected a node with {expected}, got {room}; see --threads and --device")
        self._task = replace(self._task, choice=choice)
        self.choices = [choice] * (self._num_workers or num_fitting)
        self._actor_class = self._ray.remote(Actor).options(
            **needs,
            max_restarts=0,  # the driver counts deaths, and starts another one itself
            max_task_retries=0,
            max_concurrency=2,  # it works, and says how far it is
        )
        self._alone_since = time.monotonic()
        return self._stack.enter_context(marked(self._out))

    def _checked(self, job: Job, result: Result, node: str) -> Result:
        """A result that is true on this machine too: its labels are here, or its video is missing here too.

        Raises:
            ConfigError: A node does not see a video that is here.
        """
        if result.code == "not_found" and os.path.lexists(job.video):
            raise ConfigError(
                f"ray: node {node}: expected {job.video} there too, found nothing; all nodes must share it"
            )
        if outputs_visible(result.outputs, self._out):
            return result
        message = f"{job.video}: node {node} wrote files, but they are not in {self._out} here; it must be shared"
        return Result(result.path, "failed", "outputs_not_seen", one_line(message))

    def _handle_death(self, member: _Member, cause: str) -> Result | None:
        """Cleans up after an actor that died; returns its job's result, unless it is tried again."""
        self._dismiss([member])
        job = member.job
        if member.began is None:  # which is no fault of the video
            self._num_failed_starts += 1
            if self._num_failed_starts == _MAX_FAILED_STARTS:
                raise ConfigError(f"ray: expected actors to load the model, but one after the other died; {cause}")
            return None
        if job is None:
            return None
        if job in self._was_tried:
            message = (
                f"{job.video}: the actor that worked on it died on node {member.began.node}, and so did another before"
            )
            return Result(str(job.video), "failed", "worker_died", one_line(message))
        self._was_tried.add(job)
        self._waiting.appendleft(job)
        return None

    def _dismiss(self, members: list[_Member]) -> None:
        """Ends actors, dead or alive, and removes what they were writing."""
        for member in members:
            self._members.remove(member)
            self._ray.kill(member.handle)
        gone = [future for future, member in self._pending.items() if member in members]
        wait(gone, PATIENCE_SECONDS)  # what was asked of them has failed once they have ended
        for future in gone:
            del self._pending[future]
        for member in members:
            if member.began is not None and member.job is not None:
                remove_staged(member.job.output_stem.parent, member.began.staging)


@dataclass(eq=False)
class _Member:
    """An actor as the driver sees it.

    Attributes:
        handle: Ray's.
        began: What it said when it was ready.
        job: What it is at.
        is_watched: Whether it has been asked how far it is and has not answered yet.
    """

    handle: Any
    began: Started | None = None
    job: Job | None = None
    is_watched: bool = False

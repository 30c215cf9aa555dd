"""What of a run is still to be done, and how each video ended: in the journal, for the listener, and in numbers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from videoseq.jobs.events import Listener
from videoseq.jobs.journal import Journal
from videoseq.jobs.plan import Job, Jobs
from videoseq.jobs.progress import FileProgress
from videoseq.jobs.result import STATES, Result

if TYPE_CHECKING:
    from videoseq.jobs.engine import ThisProcess
    from videoseq.jobs.pool import WorkerPool
    from videoseq.jobs.ray.pool import RayPool


class Record:
    """Looks at each job when it is needed, and records how it ended; a job costs one byte of memory.

    Args:
        jobs: The videos.
        journal: Where their results are written.
        find: A job → its recorded result, or None if there is work to do.
        listener: Hears each result and a summary.
        complete_failure: Adds to a failed result what the next run needs to recognize it.
        error_limit: How many videos may fail before no more are begun; None for any number.

    Attributes:
        counts: Jobs that were reached, by their states.
        num_failed_before: How many of the failed ones were not tried again.
        num_new: Jobs that were worked on.
        video_seconds: The duration of their videos.

    Example:
        >>> results = videoseq.label("recordings", model=model, out="labels")
        >>> results
        Record(1 video: 1 complete, 0 degraded, 0 failed)
        >>> [result.num_frames for result in results]
        [60]
    """

    def __init__(
        self,
        jobs: Jobs,
        journal: Journal,
        find: Callable[[Job], Result | None],
        listener: Listener,
        *,
        complete_failure: Callable[[Result], Result] = lambda result: result,
        error_limit: int | None = None,
    ) -> None:
        self._jobs = jobs
        self._journal = journal
        self._find = find
        self._listener = listener
        self._complete_failure = complete_failure
        self._error_limit = error_limit
        self._was_reached = bytearray(len(jobs))
        self._numbers: dict[Job, int] = {}  # of the jobs that are being worked on
        self._num_errors = 0
        self._start: float | None = None
        self.counts: Counter[str] = Counter()
        self.num_failed_before = 0
        self.num_new = 0
        self.video_seconds = 0.0

    def __iter__(self) -> Iterator[Result]:
        return self.results()

    def __len__(self) -> int:
        return sum(self._was_reached)

    def __repr__(self) -> str:
        states = ", ".join(f"{self.counts[state]} {state}" for state in STATES)
        return f"Record({_videos(len(self))}: {states})"

    def run(self, pool: ThisProcess | WorkerPool | RayPool, stage: str, on_start: Callable[[Any], None]) -> None:
        """Has a pool do what is to be done, and records how each job ends.

        Args:
            pool: The workers.
            stage: What they do, as in :class:`videoseq.jobs.events.Progress`.
            on_start: Called with what the first worker says about the work, when it is ready.
        """
        with FileProgress[Job](self._listener, self.num_jobs, stage) as progress:
            for job, result in pool.results(self._due(progress), progress.show, on_start):
                self._add(job, result)
                progress.end(job, result.num_frames, has_failed=result.state == "failed")
        self._finish()

    def results(self) -> Iterator[Result]:
        """How each job that was reached ended, in their order, read from the journal."""
        for job, was_reached in zip(self._jobs, self._was_reached, strict=True):
            result = self._journal.get(job.video) if was_reached else None
            if result is not None:
                yield result

    @property
    def num_jobs(self) -> int:
        """All jobs."""
        return len(self._was_reached)

    @property
    def num_not_reached(self) -> int:
        """Jobs that were not looked at, because the run stopped early."""
        return self.num_jobs - sum(self._was_reached)

    @property
    def seconds(self) -> float:
        """The time since the first job was begun."""
        return 0.0 if self._start is None else time.monotonic() - self._start

    @property
    def _is_stopped(self) -> bool:
        return self._error_limit is not None and self._num_errors > self._error_limit

    def _due(self, progress: FileProgress[Job]) -> Iterator[Job]:
        """The jobs that are to be done, until too many have failed; the others are recorded as what they are."""
        for number, job in enumerate(self._jobs):
            if self._is_stopped:
                return
            found = self._find(job)
            if found is None:
                self._start = self._start or time.monotonic()
                self._numbers[job] = number
                yield job
            else:
                self._skip(number, found)
                progress.skip(has_failed=found.state == "failed")

    def _add(self, job: Job, result: Result) -> None:
        """Records how a job ended."""
        if result.state == "failed":
            result = self._complete_failure(result)
            self._num_errors += 1
        self._journal.append(result)
        self._was_reached[self._numbers.pop(job)] = True
        self.counts[result.state] += 1
        self.num_new += 1
        self.video_seconds += result.duration_seconds
        self._listener.on_result(result)

    def _finish(self) -> None:
        """Writes down what failed, and tells the listener how it all ended."""
        if self._is_stopped:
            verb = "was" if self.num_not_reached == 1 else "were"
            text = f"stopped there, as asked; {_videos(self.num_not_reached)} {verb} not reached"
            self._listener.on_message(text, event="stopped", not_reached=self.num_not_reached)
        self._journal.write_failures(self.results())
        num_reached = sum(self._was_reached)
        text = f"{_videos(num_reached)}: " + ", ".join(f"{self.counts[state]} {state}" for state in STATES)
        if self.num_failed_before:
            text += f", {self.num_failed_before} of them before; retry_failed (--retry-failed) tries again"
        counts = {state: self.counts[state] for state in STATES}
        more = {"failed_before": self.num_failed_before, "not_reached": self.num_not_reached}
        self._listener.on_message(text, event="summary", is_detail=num_reached == 1, **counts, **more)

    def _skip(self, number: int, result: Result) -> None:
        # Perhaps another shard's result: if this line is lost, it is found there again.
        self._journal.append(result, is_durable=False)
        self._was_reached[number] = True
        self.counts[result.state] += 1
        self.num_failed_before += result.state == "failed"
        self._listener.on_result(result, is_new=False)


def _videos(number: int) -> str:
    return f"{number} video{'' if number == 1 else 's'}"

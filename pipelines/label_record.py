"""What of a run of ``label`` is due and how it ended: in the journal, on the screen, and in the exit status."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import label_speed
from .console import Console, Exit

if TYPE_CHECKING:
    from videoseq.jobs.journal import Journal, Result
    from videoseq.jobs.plan import Job
    from videoseq.jobs.progress import FileProgress

    from .label_run import Request


class Record:
    """Looks at each job when it is asked for, and notes how it ended; a job costs a byte of memory.

    Args:
        request: What is to be done.
        journal: Where it is written down.
        model_sha256: The model that does it.
        decoding: How videos are read, as ``run.json`` says it.
        console: Where it is said.
        bar: Where it is counted.

    Attributes:
        counts: Jobs that were reached, by the state that they are in.
        num_failed_before: How many of those that failed were not tried again.
        has_labelled: Whether there was anything to do.
    """

    def __init__(
        self,
        request: Request,
        journal: Journal,
        model_sha256: str,
        decoding: Mapping[str, Any],
        console: Console,
        bar: FileProgress[Job],
    ) -> None:
        from videoseq.jobs.journal import conditions_digest

        self._request = request
        self._journal = journal
        self._model_sha256 = model_sha256
        self._conditions = conditions_digest(request.settings, decoding)
        self._console = console
        self._bar = bar
        self._was_reached = bytearray(len(request.jobs))
        self._numbers: dict[Job, int] = {}  # of those that are being worked on
        self._num_errors = 0
        self._start: float | None = None
        self._labelled_seconds = 0.0
        self.counts: Counter[str] = Counter()
        self.num_failed_before = 0
        self.has_labelled = False

    def due(self) -> Iterator[Job]:
        """The jobs that are not done; no more once as many have failed as are to stop the run."""
        for number, job in enumerate(self._request.jobs):
            if self._is_stopped:
                return
            found = self._request.recorded(job, self._journal, self._model_sha256, self._conditions)
            if found is None:
                self._start = self._start or time.monotonic()
                self._numbers[job] = number
                yield job
            else:
                self._pass_over(number, found)

    def add(self, job: Job, result: Result) -> None:
        """Notes how a job ended, for good."""
        if result.state == "failed":
            result = replace(result, model_sha256=self._model_sha256, conditions_sha256=self._conditions)
            self._num_errors += 1
        self._journal.append(result)
        self._was_reached[self._numbers.pop(job)] = True
        self.counts[result.state] += 1
        self._labelled_seconds += result.duration_seconds
        self.has_labelled = True
        self._bar.end(job, result.num_frames, has_failed=result.state == "failed")
        self._console.on_result(result)

    def finish(self) -> None:
        """Says how it all ended, and writes down what failed."""
        from videoseq.jobs.journal import STATES

        if self._is_stopped:
            text = f"stopped there, as asked; {self.num_not_reached} videos were not reached"
            self._console.say(text, "stopped", not_reached=self.num_not_reached)
        self._journal.write_failures(self.results())
        num_reached = sum(self._was_reached)
        text = f"{num_reached} videos: " + ", ".join(f"{self.counts[state]} {state}" for state in STATES)
        if self.num_failed_before:
            text += f", {self.num_failed_before} of them before; --retry-failed tries again"
        counts = {state: self.counts[state] for state in STATES}
        more = {"failed_before": self.num_failed_before, "not_reached": self.num_not_reached}
        self._console.say(text, "summary", is_detail=num_reached == 1, **counts, **more)
        if self._start is not None:
            label_speed.remember(self._model_sha256, self._labelled_seconds, time.monotonic() - self._start)

    def results(self) -> Iterator[Result]:
        """How each job ended that was reached, in their order, read from the journal."""
        for job, was_reached in zip(self._request.jobs, self._was_reached, strict=True):
            result = self._journal.get(job.video) if was_reached else None
            if result is not None:
                yield result

    @property
    def num_not_reached(self) -> int:
        """Jobs that were not looked at, because the run was to stop."""
        return len(self._was_reached) - sum(self._was_reached)

    @property
    def exit(self) -> Exit:
        """All done, some failed or degraded or not reached, or all failed."""
        if self.counts["complete"] == len(self._was_reached):  # of a shard that is empty too
            return Exit.DONE
        return Exit.ALL_FAILED if self.counts["failed"] == len(self._was_reached) else Exit.SOME_FAILED

    @property
    def _is_stopped(self) -> bool:
        return self._request.is_to_stop(self._num_errors)

    def _pass_over(self, number: int, result: Result) -> None:
        """Counts a job as what it was found to be; it is said of each that failed, and of the others if asked for."""
        has_failed = result.state == "failed"
        self._journal.append(result, is_durable=False)  # a shard's, perhaps; if it is lost, it is found there again
        self._was_reached[number] = True
        self.counts[result.state] += 1
        self.num_failed_before += has_failed
        self._bar.skip(has_failed=has_failed)
        self._console.on_result(result, is_new=False)

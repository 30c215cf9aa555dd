"""A run of ``label``: what is due, by one model in this process or by workers side by side, and how all of it ended."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import Console, FileBar
from .videos import ISOLATES, describe_access, open_videos

if TYPE_CHECKING:
    from videoseq.inputs import Job
    from videoseq.isolation import Limits
    from videoseq.journal import Journal, LabelSettings, Result
    from videoseq.machine import RuntimeChoice
    from videoseq.ray_engine import RayPool
    from videoseq.worker_process import LabelTask, WorkerProcess
    from videoseq.workers import WorkerPool


class Engine(str, enum.Enum):
    """Who labels side by side."""

    LOCAL = "local"
    RAY = "ray"


class OnCorrupt(str, enum.Enum):
    """What becomes of a damaged video."""

    SALVAGE = "salvage"
    SKIP = "skip"
    FAIL = "fail"


@dataclass(frozen=True)
class Request:
    """What is to be labelled, by which model, into which folder, and how.

    Attributes:
        jobs: The videos.
        inputs: What the user called them.
        model_path: The model folder.
        out: The output folder.
        choice: What runs the CNN.
        on_corrupt: What becomes of a damaged video.
        overwrite: Whether what is labelled already is labelled again.
        reuse_threshold: As in :class:`videoseq.journal.LabelSettings`.
    """

    jobs: Sequence[Job]
    inputs: Sequence[str]
    model_path: Path
    out: Path
    choice: RuntimeChoice
    on_corrupt: OnCorrupt
    overwrite: bool = False
    reuse_threshold: float = 0.0

    @property
    def settings(self) -> LabelSettings:
        """What decides about the labels."""
        from videoseq.journal import LabelSettings

        return LabelSettings(self.on_corrupt is OnCorrupt.SALVAGE, self.choice.precision, self.reuse_threshold)


def run(
    request: Request,
    console: Console,
    limits: Limits | None = None,
    *,
    isolate: bool = ISOLATES,
    num_workers: int | None = 1,
    waiting: list[WorkerProcess] | None = None,
    engine: Engine = Engine.LOCAL,
    address: str | None = None,
) -> list[Result]:
    """Labels what is not labelled yet; returns the result of every job that was reached, in their order.

    Args:
        request: What, by which model, into which folder, and how.
        console: Where it says how it goes.
        limits: What decoding one file may cost.
        isolate: Whether decoding gets a process of its own.
        num_workers: How many videos are labelled side by side; one is labelled in this process, unless Ray is to do it.
            None is one, or as many as the Ray cluster has room for.
        waiting: Processes for them that were started already; what is missing is started when there is work.
        engine: Who labels side by side.
        address: As in :class:`videoseq.ray_engine.RayPool`.
    """
    from videoseq.isolation import Limits

    limits = limits or Limits()
    if engine is Engine.LOCAL and (num_workers or 1) == 1:
        return _one_by_one(request, console, limits, isolate=isolate)

    def open_pool(task: LabelTask) -> WorkerPool | RayPool:
        if engine is Engine.RAY:
            from videoseq.ray_engine import RayPool

            return RayPool(num_workers, task, address)
        from videoseq.workers import WorkerPool

        return WorkerPool(min(num_workers or 1, len(request.jobs)), task, waiting)

    return _side_by_side(request, console, limits, open_pool, isolate=isolate)


def _one_by_one(request: Request, console: Console, limits: Limits, *, isolate: bool) -> list[Result]:
    from videoseq.batch import label_job
    from videoseq.journal import Journal
    from videoseq.labeling import load_model

    with open_videos(limits, isolate=isolate) as videos, console.files(len(request.jobs), "labels") as bar:
        model, settings = load_model(request.model_path, request.choice), request.settings
        journal = Journal(request.out)
        decoding = {**videos.description, "on_corrupt": request.on_corrupt.value}
        sha256 = model.bundle.sha256
        journal.describe_run(request.model_path, sha256, model.summary, request.inputs, settings, decoding)
        record = _Record(request, journal, sha256, console, bar)
        for job in record.due():
            show = partial(bar.show, job)
            record.add(job, label_job(job, request.out, model, settings, show, open_video=videos.open))
    return record.finish()


def _side_by_side(
    request: Request,
    console: Console,
    limits: Limits,
    open_pool: Callable[[LabelTask], WorkerPool | RayPool],
    *,
    isolate: bool,
) -> list[Result]:
    from videoseq.journal import Journal, model_digest
    from videoseq.worker_process import LabelTask

    model_sha256 = model_digest(request.model_path)
    settings = request.settings
    task = LabelTask(request.model_path, model_sha256, request.out, request.choice, settings, limits, isolate)
    with open_pool(task) as pool, console.files(len(request.jobs), "labels") as bar:
        journal = Journal(request.out)
        decoding = {**describe_access(limits, isolate=isolate), "on_corrupt": request.on_corrupt.value}

        def describe(model: Mapping[str, Any]) -> None:
            journal.describe_run(
                request.model_path, model_sha256, model, request.inputs, settings, decoding, len(pool.choices)
            )

        record = _Record(request, journal, model_sha256, console, bar)
        for job, result in pool.results(record.due(), bar.show, describe):
            record.add(job, result)
        if not record.has_labelled:  # no worker was needed, which could have said how it would have gone about it
            from videoseq.labeling import load_model

            describe(load_model(request.model_path, pool.choices[0]).summary)
    return record.finish()


class _Record:
    """What is due and how it ended: in the journal, on the screen, and in the order of the jobs at the end."""

    def __init__(self, request: Request, journal: Journal, model_sha256: str, console: Console, bar: FileBar) -> None:
        self._request = request
        self._journal = journal
        self._model_sha256 = model_sha256
        self._console = console
        self._bar = bar
        self._results: dict[Job, Result] = {}
        self._is_stopped = False
        self.has_labelled = False

    def due(self) -> Iterator[Job]:
        """The jobs that are not done, each looked at when it is asked for; no more after a failure that is to stop."""
        for job in self._request.jobs:
            if self._is_stopped:
                return
            if self._is_done(job):
                self._console.detail(f"{job.video}: labelled already")
                self._results[job] = self._journal.results[str(job.video)]
                self._bar.end(job)
            else:
                yield job

    def add(self, job: Job, result: Result) -> None:
        """Notes how a job ended, for good."""
        self._journal.append(result)
        self._results[job] = result
        self.has_labelled = True
        self._bar.end(job)
        self._console.say(_line(result))
        self._is_stopped |= result.state == "failed" and self._request.on_corrupt is OnCorrupt.FAIL

    def finish(self) -> list[Result]:
        """Says how it all ended; the results of the jobs that were reached, in their order."""
        from videoseq.journal import STATES

        jobs = self._request.jobs
        results = [self._results[job] for job in jobs if job in self._results]
        if self._is_stopped:
            self._console.say(f"stopped there, as asked; {len(jobs) - len(results)} videos were not reached")
        self._journal.write_failures(results)
        if len(results) > 1:
            counts = Counter(result.state for result in results)
            self._console.say(f"{len(results)} videos: " + ", ".join(f"{counts[state]} {state}" for state in STATES))
        return results

    def _is_done(self, job: Job) -> bool:
        request = self._request
        return not request.overwrite and self._journal.is_done(job, self._model_sha256, request.settings)


def _line(result: Result) -> str:
    if result.state == "failed":
        return f"failed: {result.code}: {result.message}"
    line = f"{result.state}: {result.path}: {result.num_frames} frames, {result.duration_seconds:.2f} s"
    return f"{line}; {result.code}: {result.message}" if result.code else line

"""A run of ``label``: what is due, by one model in this process or by workers side by side."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoseq.video.access import ISOLATES, describe_access, open_videos

from .console import Console
from .crew import Crew
from .label_record import Record

if TYPE_CHECKING:
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.jobs.journal import Journal, LabelSettings, Result
    from videoseq.jobs.plan import Job, Jobs
    from videoseq.jobs.shards import Shard
    from videoseq.video.isolation import Limits


class OnCorrupt(str, enum.Enum):
    """What becomes of a damaged video."""

    SALVAGE = "salvage"
    SKIP = "skip"
    FAIL = "fail"


@dataclass(frozen=True)
class Request:
    """What is to be labelled, by which model, into which folder, and how.

    Attributes:
        jobs: The videos; of a shard those that are in it.
        inputs: What the user called them.
        model_path: The model folder.
        out: The output folder.
        choice: What runs the CNN.
        on_corrupt: What becomes of a damaged video.
        overwrite: Whether what is labelled already is labelled again.
        reuse_threshold: As in :class:`videoseq.jobs.journal.LabelSettings`.
        shard: Which share of the work this is, so that others can record theirs in the same folder.
        retry_failed: Whether what has failed before is tried again although nothing has changed.
        max_errors: How many videos may fail in this run before it stops; None for all of them.
    """

    jobs: Jobs
    inputs: Sequence[str]
    model_path: Path
    out: Path
    choice: RuntimeChoice
    on_corrupt: OnCorrupt
    overwrite: bool = False
    reuse_threshold: float = 0.0
    shard: Shard | None = None
    retry_failed: bool = False
    max_errors: int | None = None

    @property
    def settings(self) -> LabelSettings:
        """What decides about the labels."""
        from videoseq.jobs.journal import LabelSettings

        return LabelSettings(self.on_corrupt is OnCorrupt.SALVAGE, self.choice.precision, self.reuse_threshold)

    def decoding(self, access: Mapping[str, Any]) -> dict[str, Any]:
        """What ``run.json`` says of how videos are read, from how they are opened."""
        return {**access, "on_corrupt": self.on_corrupt.value}

    def recorded(self, job: Job, journal: Journal, model_sha256: str, conditions_sha256: str) -> Result | None:
        """How a job has ended that is not to be worked on; None if it is due."""
        if self.overwrite:
            return None
        return journal.find(job, model_sha256, self.settings, None if self.retry_failed else conditions_sha256)

    def is_to_stop(self, num_errors: int) -> bool:
        """Whether so many failures are too many to go on."""
        limit = 0 if self.on_corrupt is OnCorrupt.FAIL else self.max_errors
        return limit is not None and num_errors > limit


def run(
    request: Request,
    console: Console,
    limits: Limits | None = None,
    *,
    isolate: bool = ISOLATES,
    crew: Crew | None = None,
) -> Record:
    """Labels what is not labelled yet; returns how every job that was reached has ended.

    Args:
        request: What, by which model, into which folder, and how.
        console: Where it says how it goes.
        limits: What decoding one file may cost.
        isolate: Whether decoding gets a process of its own.
        crew: Who labels; by default this process.

    Raises:
        OutputError: Another run is at work in the folder, another model has labelled it, or it cannot be written.
    """
    from videoseq.jobs.journal import model_digest
    from videoseq.jobs.run_file import check_same_model
    from videoseq.storage.files import remove_leftovers
    from videoseq.storage.lock import locked_folder
    from videoseq.video.isolation import Limits

    limits, crew = limits or Limits(), crew or Crew()
    with locked_folder(request.out, request.shard.name if request.shard is not None else "", on_notice=console.warn):
        remove_leftovers(request.out)  # of the record; those of labels go when their videos' turn comes
        if not request.overwrite:
            check_same_model(request.out, model_digest(request.model_path))
        if crew.is_this_process:
            return _one_by_one(request, console, limits, isolate=isolate)
        return _side_by_side(request, console, limits, crew, isolate=isolate)


def _one_by_one(request: Request, console: Console, limits: Limits, *, isolate: bool) -> Record:
    from videoseq.inference.model import open_model
    from videoseq.jobs.journal import Journal
    from videoseq.jobs.label_job import label_job

    with open_videos(limits, isolate=isolate) as videos, console.files(len(request.jobs), "labels") as bar:
        model, settings = open_model(request.model_path, request.choice), request.settings
        journal = Journal(request.out, request.shard)
        decoding = request.decoding(videos.description)
        sha256 = model.contents.sha256
        journal.describe_run(request.model_path, sha256, model.summary, request.inputs, settings, decoding)
        record = Record(request, journal, sha256, decoding, console, bar)
        for job in record.due():
            show, seconds = partial(bar.show, job), limits.video_seconds
            result = label_job(job, request.out, model, settings, show, open_video=videos.open, max_seconds=seconds)
            record.add(job, result)
    record.finish()
    return record


def _side_by_side(
    request: Request,
    console: Console,
    limits: Limits,
    crew: Crew,
    *,
    isolate: bool,
) -> Record:
    from videoseq.jobs.journal import Journal, model_digest
    from videoseq.jobs.worker_process import LabelTask

    model_sha256 = model_digest(request.model_path)
    settings = request.settings
    task = LabelTask(request.model_path, model_sha256, request.out, request.choice, settings, limits, isolate)
    with crew.open(task, len(request.jobs)) as pool, console.files(len(request.jobs), "labels") as bar:
        journal = Journal(request.out, request.shard)
        decoding = request.decoding(describe_access(limits, isolate=isolate))

        def describe(model: Mapping[str, Any]) -> None:
            journal.describe_run(
                request.model_path, model_sha256, model, request.inputs, settings, decoding, len(pool.choices)
            )

        record = Record(request, journal, model_sha256, decoding, console, bar)
        for job, result in pool.results(record.due(), bar.show, describe):
            record.add(job, result)
        if not record.has_labelled:  # no worker was needed, which could have said how it would have gone about it
            from videoseq.inference.model import open_model

            describe(open_model(request.model_path, pool.choices[0]).summary)
    record.finish()
    return record

"""A run of labels: every video that is not labeled yet, by one model, in this process or by workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from videoseq.jobs.engine import WorkerConfig
from videoseq.jobs.events import Listener
from videoseq.jobs.journal import Journal, conditions_digest, model_digest
from videoseq.jobs.plan import Job
from videoseq.jobs.record import Record
from videoseq.jobs.request import LabelRequest
from videoseq.jobs.result import Result
from videoseq.jobs.run_file import check_same_model, write_run_file
from videoseq.jobs.speed import remember_speed
from videoseq.jobs.worker_process import LabelTask
from videoseq.storage.files import remove_leftovers
from videoseq.storage.lock import locked_folder


def run_labeling(
    request: LabelRequest, listener: Listener | None = None, workers: WorkerConfig | None = None
) -> Record:
    """Labels what is not labeled yet.

    Args:
        request: What to label, with which model, into which folder, and how.
        listener: Hears what happens.
        workers: Who labels; by default this process.

    Returns:
        How every job that was reached ended.

    Raises:
        ModelError: The model cannot be loaded.
        ConfigError: This machine does not have what was chosen, or workers cannot be started.
        OutputError: Another run uses the folder, another model labeled it, or it cannot be written.
    """
    listener, workers = listener or Listener(), workers or WorkerConfig()
    shard_name = request.shard.name if request.shard is not None else ""
    num_early = 0 if request.out.exists() else len(request.jobs)  # where labels exist, there may be nothing to do
    with (
        workers.started_early(num_early) as started,
        locked_folder(request.out, shard_name, on_notice=listener.on_notice),
    ):
        remove_leftovers(request.out)  # of the record; those of labels are removed when their videos are worked on
        model_sha256 = model_digest(request.model_path)
        if not request.overwrite:
            check_same_model(request.out, model_sha256)
        return _label(request, model_sha256, listener, started)


def find_labels(request: LabelRequest, journal: Journal, model_sha256: str) -> Callable[[Job], Result | None]:
    """A function: a job → its recorded result, if it need not be labeled; None if it is to be labeled."""
    conditions = None if request.retry_failed else conditions_digest(request.settings, request.decoder_options)

    def find(job: Job) -> Result | None:
        return None if request.overwrite else journal.find(job, model_sha256, request.settings, conditions)

    return find


def _label(request: LabelRequest, model_sha256: str, listener: Listener, workers: WorkerConfig) -> Record:
    task = LabelTask(
        request.model_path, model_sha256, request.out, request.choice, request.settings, request.limits, request.isolate
    )
    described: list[Mapping[str, Any]] = []
    with workers.open(task, len(request.jobs)) as pool:
        journal = Journal(request.out, request.shard)

        def describe(model: Mapping[str, Any]) -> None:
            described.append(model)
            write_run_file(
                request.out, request.shard,
                {"model": str(request.model_path), "model_sha256": model_sha256, **model},
                inputs=request.inputs, num_workers=len(pool.choices),
                decoder_options=request.decoder_options, settings=request.settings,
            )  # fmt: skip

        conditions_sha256 = conditions_digest(request.settings, request.decoder_options)
        record = Record(
            request.jobs, journal, find_labels(request, journal, model_sha256), listener,
            complete_failure=partial(replace, model_sha256=model_sha256, conditions_sha256=conditions_sha256),
            error_limit=request.error_limit,
        )  # fmt: skip
        record.run(pool, "labels", describe)
        if not described and not record.num_new:  # no worker was needed, which could have described the model
            from videoseq.inference.model import open_model

            describe(open_model(request.model_path, pool.choices[0]).summary)
    remember_speed(model_sha256, record.video_seconds, record.seconds)
    return record

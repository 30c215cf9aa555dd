"""A run of features: every video whose features are not in the output folder yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from videoseq.jobs.engine import ThisProcess, WorkerConfig
from videoseq.jobs.events import Listener
from videoseq.jobs.journal import Journal
from videoseq.jobs.plan import Job
from videoseq.jobs.record import Record
from videoseq.jobs.request import FeatureRequest, FeatureSettings
from videoseq.jobs.result import Result
from videoseq.jobs.run_file import check_no_labels, write_run_file
from videoseq.jobs.worker_process import FeatureTask
from videoseq.storage.lock import locked_folder


def run_features(
    request: FeatureRequest, listener: Listener | None = None, workers: WorkerConfig | None = None
) -> Record:
    """Computes and exports the features that are missing.

    Args:
        request: Which videos' features, by which CNN, into which folder.
        listener: Hears what happens.
        workers: Who computes them; by default this process.

    Returns:
        How every job ended.

    Raises:
        ConfigError: The folder is one of labels, this machine does not have what was chosen, or workers cannot be
            started.
        OutputError: Another run uses the folder, or it cannot be written.
    """
    listener, workers = listener or Listener(), workers or WorkerConfig()
    check_no_labels(request.out)
    shard_name = request.shard.name if request.shard is not None else ""
    num_early = 0 if request.out.exists() else len(request.jobs)  # where features exist, there may be nothing to do
    with (
        workers.started_early(num_early) as started,
        locked_folder(request.out, shard_name, on_notice=listener.on_notice),
    ):
        return _compute(request, listener, started)


def _compute(request: FeatureRequest, listener: Listener, workers: WorkerConfig) -> Record:
    task = FeatureTask(
        request.backbone, request.sample_hz, request.cache, request.choice, request.limits, request.isolate, request.out
    )
    summary = {}
    if not workers.is_this_process:  # which features exist can only be told by what identifies the CNN
        with ThisProcess(replace(task, isolate=False)) as here:
            summary = here.summary
    with workers.open(task, len(request.jobs)) as pool:
        summary = pool.summary if isinstance(pool, ThisProcess) else summary
        journal = Journal(request.out, request.shard)

        def describe(_summary: Mapping[str, Any]) -> None:
            write_run_file(
                request.out, request.shard, summary, inputs=request.inputs, num_workers=len(pool.choices),
                decoder_options=request.decoder_options,
            )  # fmt: skip

        def find(job: Job) -> Result | None:
            return journal.find(job, summary["features_sha256"], FeatureSettings())

        describe(summary)
        record = Record(request.jobs, journal, find, listener)
        record.run(pool, "features", describe)  # only by then a cluster's number of workers is known
    return record

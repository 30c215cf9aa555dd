"""Videos → feature vectors only, for people who bring their own model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .console import Console
from .label import exit_of
from .videos import ISOLATES, describe_access

if TYPE_CHECKING:
    from videoseq.inputs import Job
    from videoseq.journal import Result
    from videoseq.worker_process import FeatureTask, WorkerProcess


def features(
    inputs: Annotated[list[str], typer.Argument(metavar="VIDEO…", help="Video files, folders of them, or patterns.")],
    out: Annotated[Path, typer.Option(help="Where the features go; the input tree is mirrored there.")],
    backbone: Annotated[
        str, typer.Option(help="The CNN: efficientnet_lite0, …1, …2, or timm:MODEL.")
    ] = "efficientnet_lite0",
    sample_hz: Annotated[float, typer.Option(help="Feature vectors per second of video; 0 for every frame.")] = 10.0,
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    compiled: options.Compile = False,
    workers: options.Workers = 1,
    cache: options.Cache = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write NAME.features.npy, one row per sampled frame, and NAME.features.csv with each row's frame and time.

    A line into results.jsonl says how each video ended. One whose features are there already, by this CNN, is left.
    """
    from videoseq.inputs import plan_jobs
    from videoseq.isolation import Limits
    from videoseq.settings_file import load_settings
    from videoseq.worker_process import FeatureTask, started_early

    console = Console(quiet=quiet, verbose=verbose)
    chosen = [f"backbone.name={backbone}", f"sample_hz={sample_hz if sample_hz else 'null'}"]
    settings = load_settings(overrides=chosen)
    jobs = plan_jobs(inputs, out)
    if not jobs:
        console.end_empty(inputs)
    choice = options.runtime_choice(device, runtime, precision, threads, compiled)
    store = options.cache_folder(cache)
    task = FeatureTask(settings.backbone, settings.sample_hz, store, choice, Limits(), ISOLATES, out)
    num_workers = min(workers, len(jobs))
    # Where something was computed before, there may be nothing to do.
    with started_early(num_workers if num_workers > 1 and not out.exists() else 0) as waiting:
        results = _run(jobs, inputs, out, task, num_workers, waiting, console)
    raise typer.Exit(exit_of(results))


def _run(
    jobs: Sequence[Job],
    inputs: Sequence[str],
    out: Path,
    task: FeatureTask,
    num_workers: int,
    waiting: list[WorkerProcess],
    console: Console,
) -> list[Result]:
    """Computes what is not there yet; the result of every job, in their order."""
    from videoseq.feature_batch import has_features
    from videoseq.journal import STATES, Journal
    from videoseq.worker import begin
    from videoseq.workers import WorkerPool

    results: dict[Job, Result] = {}
    with ExitStack() as stack:
        # Workers have decoders of their own; here it is only to be known what the features will be.
        work = begin(replace(task, isolate=task.isolate and num_workers == 1), stack)
        journal = Journal(out)
        _describe_run(out, work.summary, inputs, task, num_workers)
        bar = stack.enter_context(console.files(len(jobs), "features"))

        def due() -> Iterator[Job]:
            for job in jobs:
                known = journal.results.get(str(job.video))
                if known is not None and has_features(known, job, out, work.summary["features_sha256"]):
                    console.detail(f"{job.video}: its features are there already")
                    results[job] = known
                    bar.end(job)
                else:
                    yield job

        if num_workers > 1:
            pool = stack.enter_context(WorkerPool(num_workers, task, waiting))
            ended = pool.results(due(), bar.show, lambda summary: None)  # noqa: ARG005 (it is known)
        else:
            ended = ((job, work.do(job, partial(bar.show, job))) for job in due())
        for job, result in ended:
            journal.append(result)
            results[job] = result
            bar.end(job)
            console.say(_line(job, result))
    journal.write_failures(results[job] for job in jobs)
    if len(jobs) > 1:
        counts = Counter(result.state for result in results.values())
        console.say(f"{len(jobs)} videos: " + ", ".join(f"{counts[state]} {state}" for state in STATES))
    return [results[job] for job in jobs]


def _describe_run(
    out: Path, summary: dict[str, Any], inputs: Sequence[str], task: FeatureTask, num_workers: int
) -> None:
    from videoseq.files import write_text
    from videoseq.machine import library_versions

    run = {
        "schema_version": 1,
        **summary,
        "workers": num_workers,
        "inputs": list(inputs),
        "decoding": describe_access(task.limits, isolate=task.isolate),
        "versions": library_versions(),
    }
    write_text(out / "run.json", json.dumps(run, indent=1) + "\n")


def _line(job: Job, result: Result) -> str:
    import numpy as np

    from videoseq.feature_store import feature_paths

    if result.state == "failed":
        return f"failed: {result.code}: {result.message}"
    rows, width = np.load(feature_paths(job.target)[0], mmap_mode="r", allow_pickle=False).shape
    line = f"{result.state}: {result.path}: {rows} rows of {width}"
    return f"{line}; {result.code}: {result.message}" if result.code else line

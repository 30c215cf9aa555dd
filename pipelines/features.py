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

from videoseq.storage.cache import cache_folder
from videoseq.video.access import ISOLATES, describe_access

from . import crew as crews
from . import options
from .console import Console, Exit

if TYPE_CHECKING:
    from videoseq.jobs.journal import Result
    from videoseq.jobs.plan import Job, Jobs
    from videoseq.jobs.shards import Shard
    from videoseq.jobs.worker_process import FeatureTask


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
    workers: crews.Workers = None,
    engine: crews.EngineName = crews.Engine.LOCAL,
    address: crews.Address = None,
    shard: options.Shard = None,
    cache: options.Cache = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write NAME.features.npy, one row per sampled frame, and NAME.features.csv with each row's frame and time.

    A line into results.jsonl says how each video ended. One whose features are there already, by this CNN, is left.
    """
    from videoseq.config.yaml_file import load_settings
    from videoseq.jobs.plan import plan_jobs
    from videoseq.jobs.shards import Shard
    from videoseq.jobs.worker_process import FeatureTask
    from videoseq.storage.lock import locked_folder
    from videoseq.video.isolation import Limits

    crew = crews.Crew(workers, engine, address)
    console = Console(quiet=quiet, verbose=verbose)
    chosen = [f"backbone.name={backbone}", f"sample_hz={sample_hz if sample_hz else 'null'}"]
    settings = load_settings(overrides=chosen)
    share = Shard.parse(shard) if shard is not None else None
    _check_folder(out)
    jobs = plan_jobs(inputs, out, share)
    if not jobs.num_found:
        console.end_empty(inputs)
    choice = options.runtime_choice(device, runtime, precision, threads)
    store = cache_folder(cache)
    task = FeatureTask(settings.backbone, settings.sample_hz, store, choice, Limits(), ISOLATES, out)
    # Where something was computed before, there may be nothing to do.
    num_early = 0 if out.exists() else len(jobs)
    with (
        crew.started_early(num_early) as ready,
        locked_folder(out, share.name if share is not None else "", on_notice=console.warn),
    ):
        counts = _run(jobs, inputs, out, share, task, ready, console)
    if counts["complete"] == len(jobs):  # of a shard that is empty too
        raise typer.Exit(Exit.DONE)
    raise typer.Exit(Exit.ALL_FAILED if counts["failed"] == len(jobs) else Exit.SOME_FAILED)


def _run(
    jobs: Jobs,
    inputs: Sequence[str],
    out: Path,
    shard: Shard | None,
    task: FeatureTask,
    crew: crews.Crew,
    console: Console,
) -> Counter[str]:
    """Computes what is not there yet; how many jobs are in which state."""
    from videoseq.jobs.feature_job import has_features
    from videoseq.jobs.journal import STATES, Journal
    from videoseq.jobs.worker import begin

    counts: Counter[str] = Counter()
    ended: Iterator[tuple[Job, Result]]
    with ExitStack() as stack:
        # Workers have decoders of their own; here it is only to be known what the features will be.
        work = begin(replace(task, isolate=task.isolate and crew.is_this_process), stack)
        kind_sha256 = work.summary["features_sha256"]
        journal = Journal(out, shard)
        bar = stack.enter_context(console.files(len(jobs), "features"))

        def describe(num_workers: int) -> None:
            _describe_run(out, shard, work.summary, inputs, task, num_workers)

        def due() -> Iterator[Job]:
            for job in jobs:
                known = next((one for one in journal.recorded(job) if has_features(one, job, out, kind_sha256)), None)
                if known is None:
                    yield job
                    continue
                journal.append(known, is_durable=False)  # another shard's, perhaps
                counts[known.state] += 1
                bar.skip()
                console.detail(f"{job.video}: its features are there already")

        if crew.is_this_process:
            describe(num_workers=1)
            ended = ((job, work.do(job, partial(bar.show, job))) for job in due())
        else:
            pool = crew.open(task, len(jobs))
            stack.enter_context(pool)
            describe(len(pool.choices))
            ended = pool.results(due(), bar.show, lambda _summary: describe(len(pool.choices)))  # Ray knows it by now
        for job, result in ended:
            journal.append(result)
            counts[result.state] += 1
            bar.end(job, result.num_frames, has_failed=result.state == "failed")
            console.say(_line(job, result))
    journal.write_failures(one for job in jobs if (one := journal.get(job.video)) is not None)
    if len(jobs) != 1:
        console.say(f"{len(jobs)} videos: " + ", ".join(f"{counts[state]} {state}" for state in STATES))
    return counts


def _check_folder(out: Path) -> None:
    """Refuses a folder of labels, in whose record lines of these would take the places of lines of those."""
    from videoseq.errors import ConfigError

    for path in sorted(out.glob("run*.json")):
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not ours to judge
            continue
        if isinstance(run, dict) and "model_sha256" in run:
            raise ConfigError(f"{out}: expected no labels there, got those of {run.get('model')}; name another --out")


def _describe_run(
    out: Path,
    shard: Shard | None,
    summary: dict[str, Any],
    inputs: Sequence[str],
    task: FeatureTask,
    num_workers: int,
) -> None:
    from videoseq.jobs.shards import shard_file_name
    from videoseq.storage.files import write_text
    from videoseq.system.hardware import library_versions

    run = {
        "schema_version": 1,
        **summary,
        "workers": num_workers,
        "shard": None if shard is None else str(shard),
        "inputs": list(inputs),
        "decoding": describe_access(task.limits, isolate=task.isolate),
        "versions": library_versions(),
    }
    write_text(out / shard_file_name("run.json", shard), json.dumps(run, indent=1) + "\n")


def _line(job: Job, result: Result) -> str:
    import numpy as np

    from videoseq.features.store import feature_paths

    if result.state == "failed":
        return f"failed: {result.code}: {result.message}"
    rows, width = np.load(feature_paths(job.target)[0], mmap_mode="r", allow_pickle=False).shape
    line = f"{result.state}: {result.path}: {rows} rows of {width}"
    return f"{line}; {result.code}: {result.message}" if result.code else line

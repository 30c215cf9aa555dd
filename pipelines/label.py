"""Videos → labels for every frame of every video; one bad file stops nothing."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .console import Console, Exit, print_json
from .videos import ISOLATES, VideoAccess, open_videos

if TYPE_CHECKING:
    from videoseq.inputs import Job
    from videoseq.journal import Result
    from videoseq.runtimes import RuntimeChoice


class OnCorrupt(str, enum.Enum):
    """What becomes of a damaged video."""

    SALVAGE = "salvage"
    SKIP = "skip"
    FAIL = "fail"


def label(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT…", help="Video files, folders of them, or patterns.")],
    model: Annotated[Path, typer.Option(help="A model folder.")],
    out: Annotated[Path, typer.Option(help="Where the labels go; the input tree is mirrored there.")],
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Label again what is labelled already.")] = False,
    on_corrupt: Annotated[
        OnCorrupt,
        typer.Option(
            help="What to do with a damaged video: label what decodes and call it degraded (salvage), "
            "write nothing for it and go on (skip), or stop there (fail)."
        ),
    ] = OnCorrupt.SALVAGE,
    reuse_threshold: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=255.0,
            help="Grey levels by which a picture may differ on average from the last one that the CNN saw, and share "
            "its features; 0: equal pictures only.",
        ),
    ] = 0.0,
    isolate: options.Isolate = ISOLATES,
    max_pixels: options.MaxPixels = 50_000_000,
    frame_timeout: options.FrameTimeout = 60.0,
    video_timeout: options.VideoTimeout = 43200.0,
    decoder_memory: options.DecoderMemory = 2.0,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Label every frame of every video.

    Writes NAME.frames.csv and NAME.segments.csv for each, and a line into results.jsonl. A video that is labelled
    already, with this model, is not labelled again.
    """
    from videoseq.inputs import plan_jobs
    from videoseq.isolation import Limits

    console = Console(quiet=quiet, verbose=verbose)
    jobs = plan_jobs(inputs, out)
    if not jobs:
        console.end_empty(inputs, json=json)
    limits = Limits(max_pixels, int(decoder_memory * 2**30), frame_timeout, video_timeout)
    with open_videos(limits, isolate=isolate) as videos:
        results = run(
            jobs, inputs, model, out, console,
            choice=options.runtime_choice(device, runtime, precision, threads), reuse_threshold=reuse_threshold,
            overwrite=overwrite, on_corrupt=on_corrupt, videos=videos,
        )  # fmt: skip
    if json:
        print_json([asdict(result) for result in results])
    raise typer.Exit(exit_of(results))


def run(
    jobs: Sequence[Job],
    inputs: Sequence[str],
    model_path: Path,
    out: Path,
    console: Console,
    *,
    choice: RuntimeChoice,
    reuse_threshold: float = 0.0,
    overwrite: bool,
    on_corrupt: OnCorrupt,
    videos: VideoAccess,
) -> list[Result]:
    """Labels what is not labelled yet; returns the result of every job that was reached."""
    from videoseq.batch import label_job
    from videoseq.journal import STATES, Journal, LabelSettings
    from videoseq.labeling import load_model

    model = load_model(model_path, choice)
    journal = Journal(out)
    settings = LabelSettings(on_corrupt is OnCorrupt.SALVAGE, choice.precision, reuse_threshold)
    journal.describe_run(model_path, model, inputs, settings, {**videos.description, "on_corrupt": on_corrupt.value})
    results: list[Result] = []
    for job, show in console.each(jobs, "labels"):
        if not overwrite and journal.is_done(job, model.bundle.sha256, settings):
            console.detail(f"{job.video}: labelled already")
            results.append(journal.results[str(job.video)])
            continue
        result = label_job(job, out, model, settings, show, open_video=videos.open)
        journal.append(result)
        results.append(result)
        console.say(_line(result))
        if result.state == "failed" and on_corrupt is OnCorrupt.FAIL:
            console.say(f"stopped there, as asked; {len(jobs) - len(results)} videos were not reached")
            break
    journal.write_failures(results)
    if len(results) > 1:
        counts = Counter(result.state for result in results)
        console.say(f"{len(results)} videos: " + ", ".join(f"{counts[state]} {state}" for state in STATES))
    return results


def exit_of(results: Sequence[Result]) -> Exit:
    """All done, some failed or degraded, or all failed."""
    states = {result.state for result in results}
    if states == {"failed"}:
        return Exit.ALL_FAILED
    return Exit.DONE if states == {"complete"} else Exit.SOME_FAILED


def _line(result: Result) -> str:
    if result.state == "failed":
        return f"failed: {result.code}: {result.message}"
    line = f"{result.state}: {result.path}: {result.num_frames} frames, {result.duration_seconds:.2f} s"
    return f"{line}; {result.code}: {result.message}" if result.code else line

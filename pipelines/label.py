"""Videos → labels for every frame of every video; one bad file stops nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .console import Console, Exit, print_json
from .label_run import OnCorrupt, Request, run
from .videos import ISOLATES

if TYPE_CHECKING:
    from videoseq.journal import Result


def label(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT…", help="Video files, folders of them, or patterns.")],
    model: Annotated[Path, typer.Option(help="A model folder.")],
    out: Annotated[Path, typer.Option(help="Where the labels go; the input tree is mirrored there.")],
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    compiled: options.Compile = False,
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
    workers: Annotated[
        int,
        typer.Option(min=1, help="Videos to label side by side, each in a process of its own; they share the cores."),
    ] = 1,
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
    from videoseq.worker_process import started_early

    console = Console(quiet=quiet, verbose=verbose)
    jobs = plan_jobs(inputs, out)
    if not jobs:
        console.end_empty(inputs, json=json)
    # Where something was labelled before, there may be nothing to do.
    num_early = min(workers, len(jobs)) if workers > 1 and not out.exists() else 0
    with started_early(num_early) as waiting:
        choice = options.runtime_choice(device, runtime, precision, threads, compiled)
        request = Request(jobs, inputs, model, out, choice, on_corrupt, overwrite, reuse_threshold)
        limits = Limits(max_pixels, int(decoder_memory * 2**30), frame_timeout, video_timeout)
        results = run(request, console, limits, isolate=isolate, num_workers=workers, waiting=waiting)
    if json:
        print_json([asdict(result) for result in results])
    raise typer.Exit(exit_of(results))


def exit_of(results: Sequence[Result]) -> Exit:
    """All done, some failed or degraded, or all failed."""
    states = {result.state for result in results}
    if states == {"failed"}:
        return Exit.ALL_FAILED
    return Exit.DONE if states == {"complete"} else Exit.SOME_FAILED

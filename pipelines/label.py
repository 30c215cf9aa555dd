"""Videos → labels for every frame of every video; one bad file stops nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from . import options
from .console import Console, Exit, print_json
from .label_run import Engine, OnCorrupt, Request, run
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
        Optional[int],  # noqa: UP045 (typer reads the annotation at run time, on Python 3.10 too)
        typer.Option(
            min=1,
            help="Videos to label side by side, each in a process of its own; they share the cores. By default one, or "
            "with Ray as many as the cluster has room for.",
        ),
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option(help="Who labels side by side: processes of this machine (local), or actors of Ray (ray)."),
    ] = Engine.LOCAL,
    address: Annotated[
        Optional[str],  # noqa: UP045 (typer reads the annotation at run time, on Python 3.10 too)
        typer.Option(
            help="The Ray cluster to label on: auto, or HOST:PORT of its head. Without it, Ray runs on this machine "
            "for as long as this takes."
        ),
    ] = None,
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
    from videoseq.errors import ConfigError
    from videoseq.inputs import plan_jobs
    from videoseq.isolation import Limits
    from videoseq.worker_process import started_early

    if address is not None and engine is not Engine.RAY:
        raise ConfigError("--address is of a Ray cluster; say --engine ray too, or leave it out")
    console = Console(quiet=quiet, verbose=verbose)
    jobs = plan_jobs(inputs, out)
    if not jobs:
        console.end_empty(inputs, json=json)
    # Where something was labelled before, there may be nothing to do.
    is_early = engine is Engine.LOCAL and (workers or 1) > 1 and not out.exists()
    with started_early(min(workers or 1, len(jobs)) if is_early else 0) as waiting:
        choice = options.runtime_choice(device, runtime, precision, threads, compiled)
        request = Request(jobs, inputs, model, out, choice, on_corrupt, overwrite, reuse_threshold)
        limits = Limits(max_pixels, int(decoder_memory * 2**30), frame_timeout, video_timeout)
        results = run(
            request, console, limits, isolate=isolate, num_workers=workers, waiting=waiting, engine=engine,
            address=address,
        )  # fmt: skip
    if json:
        print_json([asdict(result) for result in results])
    raise typer.Exit(exit_of(results))


def exit_of(results: Sequence[Result]) -> Exit:
    """All done, some failed or degraded, or all failed."""
    states = {result.state for result in results}
    if states == {"failed"}:
        return Exit.ALL_FAILED
    return Exit.DONE if states == {"complete"} else Exit.SOME_FAILED

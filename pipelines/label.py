"""Videos → labels for every frame of every video; one bad file stops nothing."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from videoseq.video.access import ISOLATES

from . import crew as crews
from . import options
from .console import Console, LogFormat, print_json, print_json_list
from .label_run import OnCorrupt, Request, run

if TYPE_CHECKING:
    from videoseq.video.isolation import Limits


def label(
    model: Annotated[Path, typer.Option(help="A model folder.")],
    out: Annotated[Path, typer.Option(help="Where the labels go; the input tree is mirrored there.")],
    inputs: Annotated[
        Optional[list[str]],  # noqa: UP045 (typer reads the annotation at run time, on Python 3.10 too)
        typer.Argument(metavar="INPUT…", help="Video files, folders of them, or patterns.", show_default=False),
    ] = None,
    from_file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="LIST",
            help="More files and folders, named in a file one a line, or each ended by a NUL byte; - is stdin.",
        ),
    ] = None,
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Label again what is labelled already.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what has failed before, although nothing has changed.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and how long it would take; write nothing.")
    ] = False,
    on_corrupt: Annotated[
        OnCorrupt,
        typer.Option(
            help="What to do with a damaged video: label what decodes and call it degraded (salvage), "
            "write nothing for it and go on (skip), or stop there, as at any other failure (fail)."
        ),
    ] = OnCorrupt.SALVAGE,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Begin no more videos after one has failed.")] = False,
    max_errors: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, help="Begin no more videos after more than so many have failed in this run."),
    ] = None,
    shard: options.Shard = None,
    reuse_threshold: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=255.0,
            help="Grey levels by which a picture may differ on average from the last one that the CNN saw, and share "
            "its features; 0: equal pictures only.",
        ),
    ] = 0.0,
    workers: crews.Workers = None,
    engine: crews.EngineName = crews.Engine.LOCAL,
    address: crews.Address = None,
    isolate: options.Isolate = ISOLATES,
    max_pixels: options.MaxPixels = 50_000_000,
    frame_timeout: options.FrameTimeout = 60.0,
    timeout_per_video: options.TimeoutPerVideo = 604800.0,
    decoder_memory: options.DecoderMemory = 2.0,
    log_format: Annotated[
        LogFormat, typer.Option(help="What is written to stderr: lines for people, or a JSON object a line.")
    ] = LogFormat.TEXT,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Label every frame of every video.

    Writes NAME.frames.csv and NAME.segments.csv for each, and a line into results.jsonl. A video that is labelled
    already, with this model, is not labelled again; nor is one tried again that has failed, until something changes.
    """
    from videoseq.jobs.plan import plan_jobs, read_names
    from videoseq.jobs.shards import Shard
    from videoseq.video.isolation import Limits

    crew = crews.Crew(workers, engine, address)
    console = Console(quiet=quiet, verbose=verbose, log_format=log_format)
    if not inputs and from_file is None:
        raise typer.BadParameter("expected videos, folders or patterns, or a list of them with --from-file")
    named = [*(inputs or []), *([f"--from-file {from_file}"] if from_file is not None else [])]
    share = Shard.parse(shard) if shard is not None else None
    jobs = plan_jobs(inputs or [], out, share, read_names(from_file) if from_file is not None else ())
    if not jobs.num_found:
        console.end_empty(named, json=json)
    for folder in jobs.empty:
        message = f"no video files in {folder}"
        console.say(f"warning: {message}", "warning", code="empty_folder", message=message)
    # Where something was labelled before, there may be nothing to do.
    with crew.started_early(0 if dry_run or out.exists() else len(jobs)) as ready:
        choice = options.runtime_choice(device, runtime, precision, threads)
        request = Request(
            jobs, named, model, out, choice, on_corrupt, overwrite, reuse_threshold, share, retry_failed,
            max_errors=0 if fail_fast else max_errors,
        )  # fmt: skip
        limits = Limits(max_pixels, int(decoder_memory * 2**30), frame_timeout, timeout_per_video)
        if dry_run:
            _show_forecast(request, console, limits, isolate=isolate, json=json)
            return
        record = run(request, console, limits, isolate=isolate, crew=ready)
    if json:
        print_json_list(asdict(result) for result in record.results())
    raise typer.Exit(record.exit)


def _show_forecast(request: Request, console: Console, limits: Limits, *, isolate: bool, json: bool) -> None:
    from .label_dry_run import forecast

    found = forecast(request, console, limits, isolate=isolate)
    if json:
        print_json(found.as_dict())
    else:
        console.show(found.lines())

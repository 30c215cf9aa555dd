"""Videos → labels for every frame of every video; one bad file stops nothing."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from . import options
from .console import Console, LogFormat, print_json, print_json_list
from .label_run import Engine, OnCorrupt, Request, run
from .videos import ISOLATES

if TYPE_CHECKING:
    from videoseq.isolation import Limits


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
    compiled: options.Compile = False,
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
    from videoseq.errors import ConfigError
    from videoseq.inputs import plan_jobs, read_names
    from videoseq.isolation import Limits
    from videoseq.shards import Shard
    from videoseq.worker_process import started_early

    if address is not None and engine is not Engine.RAY:
        raise ConfigError("--address is of a Ray cluster; say --engine ray too, or leave it out")
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
    is_early = engine is Engine.LOCAL and (workers or 1) > 1 and not dry_run and not out.exists()
    with started_early(min(workers or 1, len(jobs)) if is_early else 0) as waiting:
        choice = options.runtime_choice(device, runtime, precision, threads, compiled)
        request = Request(
            jobs, named, model, out, choice, on_corrupt, overwrite, reuse_threshold, share, retry_failed,
            max_errors=0 if fail_fast else max_errors,
        )  # fmt: skip
        limits = Limits(max_pixels, int(decoder_memory * 2**30), frame_timeout, timeout_per_video)
        if dry_run:
            _show_forecast(request, console, limits, isolate=isolate, json=json)
            return
        record = run(
            request, console, limits, isolate=isolate, num_workers=workers, waiting=waiting, engine=engine,
            address=address,
        )  # fmt: skip
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

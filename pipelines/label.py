"""Videos → labels for every frame of every video; one bad file stops nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from videoseq.jobs.engine import Engine, WorkerConfig
from videoseq.jobs.request import LabelRequest, OnCorrupt
from videoseq.video.access import ISOLATES

from . import options
from .console import Console, LogFormat, exit_of_run, percent, print_json, print_json_list

if TYPE_CHECKING:
    from videoseq.jobs.plan import Jobs
    from videoseq.jobs.result import Result

_MAX_CLASSES = 12  # that one line names


def label(
    model: Annotated[Path, typer.Option(help="A model folder.")],
    out: Annotated[Path, typer.Option(help="Where the labels go; the input tree is mirrored there.")] = Path("labels"),
    inputs: Annotated[
        Optional[list[str]],  # noqa: UP045 (typer reads the annotation at run time, on Python 3.10 too)
        typer.Argument(metavar="INPUT…", help="Video files, folders of them, or patterns.", show_default=False),
    ] = None,
    from_file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="LIST",
            help="A file with more files and folders, one per line or each ended by a NUL byte; - is stdin.",
            rich_help_panel=options.MANY,
        ),
    ] = None,
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    reuse_threshold: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=255.0,
            help="Gray levels by which an image may differ on average from the last one that the CNN saw to share its "
            "features; 0: equal images only.",
            rich_help_panel=options.MACHINE,
        ),
    ] = 0.0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Label videos again that are labeled already.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done and how long it would take; write nothing.")
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Try again what failed before, although nothing has changed.",
            rich_help_panel=options.MANY,
        ),
    ] = False,
    fail_fast: Annotated[
        bool,
        typer.Option("--fail-fast", help="Begin no more videos after one has failed.", rich_help_panel=options.MANY),
    ] = False,
    max_errors: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=0,
            help="Begin no more videos after more than this many have failed in this run.",
            rich_help_panel=options.MANY,
        ),
    ] = None,
    workers: options.LabelWorkers = None,
    engine: options.EngineName = Engine.LOCAL,
    address: options.Address = None,
    shard: options.Shard = None,
    on_corrupt: Annotated[
        OnCorrupt,
        typer.Option(
            help="What to do with a damaged video: label the frames that can be decoded and call it degraded "
            "(salvage), write nothing for it and go on (skip), or stop there, as at any other failure (fail).",
            rich_help_panel=options.DAMAGE,
        ),
    ] = OnCorrupt.SALVAGE,
    isolate: options.Isolate = ISOLATES,
    max_pixels: options.MaxPixels = 50_000_000,
    frame_timeout: options.FrameTimeout = 60.0,
    timeout_per_video: options.TimeoutPerVideo = 604800.0,
    decoder_memory: options.DecoderMemory = 2.0,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            help="What is written to stderr: lines for people, or one JSON object per line.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = LogFormat.TEXT,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Label every frame of every video.

    Writes NAME.frames.csv and NAME.segments.csv for each video, and a line into results.jsonl. A video that this model
    has labeled already is not labeled again; one that failed is not tried again until something changes.
    """
    from videoseq.jobs.label_run import run_labeling
    from videoseq.jobs.plan import plan_jobs, read_names
    from videoseq.video.isolation import Limits

    worker_config = WorkerConfig(workers, engine, address)
    console = _LabelConsole(out, quiet=quiet, verbose=verbose, log_format=log_format)
    if not inputs and from_file is None:
        raise typer.BadParameter("expected videos, folders or patterns, or a list of them with --from-file")
    named = [*(inputs or []), *([f"--from-file {from_file}"] if from_file is not None else [])]
    share = options.parse_shard(shard)
    jobs = plan_jobs(inputs or [], out, share, read_names(from_file) if from_file is not None else ())
    _check_found(jobs, named, console, json=json)
    request = LabelRequest(
        jobs, named, model, out, options.runtime_choice(device, runtime, precision, threads),
        Limits(max_pixels, int(decoder_memory * 2**30), frame_timeout, timeout_per_video), isolate, on_corrupt,
        overwrite, reuse_threshold, share, retry_failed, max_errors=0 if fail_fast else max_errors,
    )  # fmt: skip
    if dry_run:
        _print_forecast(request, console, json=json)
        return
    record = run_labeling(request, console, worker_config)
    if json:
        print_json_list(asdict(result) for result in record.results())
    else:
        console.say_what_was_found()
    raise typer.Exit(exit_of_run(record.counts, record.num_jobs))


class _LabelConsole(Console):
    """Counts what was found, to say it at the end."""

    def __init__(self, out: Path, *, quiet: bool, verbose: bool, log_format: LogFormat) -> None:
        from videoseq.jobs.class_counts import ClassCounts

        super().__init__(quiet=quiet, verbose=verbose, log_format=log_format)
        self._out = out
        self._counts = ClassCounts(out)

    def on_result(self, result: Result, *, is_new: bool = True) -> None:
        super().on_result(result, is_new=is_new)
        if is_new and not self.quiet:
            self._counts.add(result)

    def say_what_was_found(self) -> None:
        """Where the files are, and how much of each class is in the videos that were labeled in this run."""
        if not self._counts.num_frames:
            return
        shares, segments = self._counts.shares(), dict(self._counts.segments.most_common())
        text = f"labels are in {self._out}: NAME.frames.csv and NAME.segments.csv for each video"
        self.on_message(text, event="labels", out=str(self._out))
        self.on_message(
            "share of the frames: " + _listed({label: f"{percent(share)} %" for label, share in shares.items()}),
            event="shares",
            share_of_frames=shares,
        )
        self.on_message("segments: " + _listed(segments), event="segments", num_segments=segments)


def _listed(values: Mapping[str, object]) -> str:
    """``walk 3, rest 2 and 5 more classes``."""
    shown = ", ".join(f"{label} {value}" for label, value in list(values.items())[:_MAX_CLASSES])
    num_more = len(values) - _MAX_CLASSES
    return f"{shown} and {num_more} more classes" if num_more > 0 else shown


def _check_found(jobs: Jobs, named: list[str], console: Console, *, json: bool) -> None:
    """Ends the command where there is no video, and warns of folders without one."""
    if not jobs.num_found:
        console.end_empty(named, json=json)
    for folder in jobs.empty:
        message = f"no video files in {folder}"
        console.on_message(f"warning: {message}", event="warning", code="empty_folder", message=message)


def _print_forecast(request: LabelRequest, console: Console, *, json: bool) -> None:
    from videoseq.jobs.forecast import forecast_labeling

    found = forecast_labeling(request, console)
    if json:
        print_json(found.as_dict())
    else:
        console.show(found.lines())

"""``videoseq check``: what is in video files, what can be decoded, and whether annotations fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from . import options
from .check_screen import screen
from .console import Console, Exit, print_json

if TYPE_CHECKING:
    from videoseq.data.check import ClipCheck


def check(
    inputs: Annotated[list[str], typer.Argument(metavar="VIDEO…", help="Video files, folders of them, or patterns.")],
    annotations: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The annotation of the video; for several, a folder with one of each video's name."),
    ] = None,
    fix: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Where repaired copies of annotations go; videos are never written."),
    ] = None,
    multilabel: Annotated[
        bool, typer.Option("--multilabel", help="Let behaviors overlap, as training does with data.task=multilabel.")
    ] = False,
    max_pixels: options.MaxPixels = 50_000_000,
    frame_timeout: options.FrameTimeout = 60.0,
    timeout_per_video: options.TimeoutPerVideo = 604800.0,
    decoder_memory: options.DecoderMemory = 2.0,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Show what videos claim, what they hold, and whether annotations fit them.

    Reads every frame, without a model. Ends with 3 if a video is damaged or an annotation does not fit.
    """
    from videoseq.errors import ConfigError
    from videoseq.jobs.check_run import check_videos, plan_checks
    from videoseq.video.isolation import Limits

    console = Console(quiet=quiet, verbose=verbose)
    if fix is not None and annotations is None:
        raise ConfigError("--fix: expected --annotations too, got none; only annotations are ever repaired")
    jobs = plan_checks(inputs, annotations)
    if not jobs:
        console.end_empty(inputs, json=json)
    root = annotations if annotations is not None and annotations.is_dir() else None
    limits = Limits(max_pixels, int(decoder_memory * 2**30), frame_timeout, timeout_per_video)
    checked = []
    for found in check_videos(jobs, annotations, limits, console, is_multilabel=multilabel):
        checked.append(found)
        if fix is not None:
            _write_repaired(found, fix, root)
        if not json and not quiet:
            console.show(screen(found, shows_all=verbose))
    if json:
        print_json([found.as_dict() for found in checked])
    raise typer.Exit(_exit_of(checked))


def _write_repaired(found: ClipCheck, out: Path, root: Path | None) -> None:
    """Writes the repaired table to ``out``, or below it to the place that the annotation has below ``root``."""
    if found.annotation is None:
        return
    if root is None and out.suffix:
        found.write_repaired(out)
    else:
        found.write_repaired(out / (found.annotation.relative_to(root) if root is not None else found.annotation.name))


def _exit_of(checked: Sequence[ClipCheck]) -> Exit:
    if all(found.video.state == "failed" for found in checked):
        return Exit.ALL_FAILED
    return Exit.DONE if all(found.is_ok for found in checked) else Exit.SOME_FAILED

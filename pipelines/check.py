"""The video doctor: what is in a file, what can be decoded of it, and whether annotations fit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from . import options
from .check_screen import screen
from .console import Console, Exit, print_json

if TYPE_CHECKING:
    from videoseq.annotations.repair import Fit
    from videoseq.jobs.plan import Job
    from videoseq.video.check import VideoCheck
    from videoseq.video.frames import Progress
    from videoseq.video.isolation import DecoderProcess


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
        bool, typer.Option("--multilabel", help="Let behaviours overlap, as training does with data.task=multilabel.")
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
    from videoseq.jobs.plan import plan_jobs
    from videoseq.video.isolation import DecoderProcess, Limits

    console = Console(quiet=quiet, verbose=verbose)
    if fix is not None and annotations is None:
        raise ConfigError("--fix: expected --annotations too, got none; only annotations are ever repaired")
    is_folder = annotations is not None and annotations.is_dir()
    jobs = plan_jobs(inputs, annotations if annotations is not None and is_folder else Path())
    if not jobs:
        console.end_empty(inputs, json=json)
    if annotations is not None and not is_folder and len(jobs) > 1:
        raise ConfigError(f"--annotations: expected a folder for {len(jobs)} videos, got {annotations}")
    limits = Limits(max_pixels, int(decoder_memory * 2**30), frame_timeout, timeout_per_video)
    with DecoderProcess(limits) as decoder:
        checked = []
        for job, show in console.each(jobs, "checking"):
            annotation = _annotation_of(job) if is_folder else annotations
            found = _examine(job, annotation, decoder, show, is_multilabel=multilabel)
            checked.append(found)
            if found.fit is not None and fix is not None:
                _write_fix(found, fix, annotations if is_folder else None)
            if not json and not quiet:
                console.show(screen(found, shows_all=verbose))
    if json:
        print_json([found.as_dict() for found in checked])
    raise typer.Exit(_exit_of(checked))


@dataclass(frozen=True)
class Checked:
    """A video, the annotation that belongs to it, and what is wrong with either."""

    video: VideoCheck
    annotation: Path | None
    fit: Fit | None
    annotation_error: str

    @property
    def is_well(self) -> bool:
        """Whether nothing is missing and the annotation, if there is one, fits."""
        findings = self.fit.findings if self.fit else ()
        return self.video.state == "complete" and not self.annotation_error and not any(f.is_error for f in findings)

    def as_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        described = self.video.as_dict()
        if self.annotation is not None:
            findings = [asdict(finding) for finding in self.fit.findings] if self.fit else []
            described["annotation"] = {
                "path": str(self.annotation), "error": self.annotation_error, "findings": findings,
            }  # fmt: skip
        return described


def _examine(
    job: Job, annotation: Path | None, decoder: DecoderProcess, show: Progress, *, is_multilabel: bool
) -> Checked:
    from videoseq.annotations.repair import check_fit
    from videoseq.errors import AnnotationError
    from videoseq.video.check import check_video

    video = check_video(job.video, decoder, show)
    if annotation is None or video.facts is None or video.info is None:
        return Checked(video, annotation, None, "")
    try:
        times = video.seconds, video.facts.duration_seconds, video.info.fps_from_header
        fit = check_fit(annotation, *times, is_multilabel=is_multilabel)
    except AnnotationError as error:
        return Checked(video, annotation, None, str(error))
    return Checked(video, annotation, fit, "")


def _annotation_of(job: Job) -> Path | None:
    """The annotation in the folder that has the video's name."""
    from videoseq.annotations.formats import ANNOTATION_SUFFIXES

    beside = (job.target.with_suffix(suffix) for suffix in sorted(ANNOTATION_SUFFIXES))
    return next((path for path in beside if path.is_file()), None)


def _write_fix(found: Checked, out: Path, root: Path | None) -> None:
    """Writes the repaired table, unless nothing was repaired; below ``out`` it lies as below ``root``."""
    from videoseq.annotations.repair import write_repaired
    from videoseq.errors import ConfigError

    assert found.annotation is not None
    assert found.fit is not None
    below = found.annotation.relative_to(root) if root is not None else found.annotation.name
    target = out if root is None and out.suffix else out / below
    if target.exists() and target.samefile(found.annotation):
        raise ConfigError(f"--fix: expected another place than {found.annotation}; the original is kept")
    if found.fit.is_repaired:
        write_repaired(found.fit, target)


def _exit_of(checked: Sequence[Checked]) -> Exit:
    if all(found.video.state == "failed" for found in checked):
        return Exit.ALL_FAILED
    return Exit.DONE if all(found.is_well for found in checked) else Exit.SOME_FAILED

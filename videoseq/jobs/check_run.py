"""Checks many videos, each with its annotation, by one decoder process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from videoseq.annotations.formats import find_annotation
from videoseq.data.check import ClipCheck, check_clip
from videoseq.errors import ConfigError
from videoseq.jobs.events import Listener
from videoseq.jobs.plan import Jobs, plan_jobs
from videoseq.jobs.progress import each_file
from videoseq.video.isolation import DecoderProcess, Limits


def plan_checks(videos: list[str], annotations: Path | None) -> Jobs:
    """The videos to check; each is named after its annotation where ``annotations`` is a folder.

    Raises:
        ConfigError: ``annotations`` is a file, and there are several videos.
    """
    is_folder = annotations is not None and annotations.is_dir()
    jobs = plan_jobs(videos, annotations if annotations is not None and is_folder else Path())
    if annotations is not None and not is_folder and len(jobs) > 1:
        raise ConfigError(f"annotations: expected a folder for {len(jobs)} videos, got {annotations}")
    return jobs


def check_videos(
    jobs: Jobs, annotations: Path | None, limits: Limits, listener: Listener, *, is_multilabel: bool = False
) -> Iterator[ClipCheck]:
    """What is known of each video, and what is wrong with it or its annotation, one after the other.

    Args:
        jobs: Of :func:`plan_checks`.
        annotations: The annotation of the only video, or the folder of all annotations.
        limits: What decoding one video may cost.
        listener: Hears the progress.
        is_multilabel: Whether behaviors may overlap.
    """
    is_folder = annotations is not None and annotations.is_dir()
    with DecoderProcess(limits) as decoder:
        for job, show in each_file(jobs, len(jobs), "checking", listener):
            annotation = find_annotation(job.output_stem) if is_folder else annotations
            yield check_clip(job.video, annotation, decoder, show, is_multilabel=is_multilabel)

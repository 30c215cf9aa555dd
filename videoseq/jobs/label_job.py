"""One video of many: whatever is wrong with it becomes its result, and stops nothing."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from videoseq.errors import ModelError, OutputError, VideoError, one_line
from videoseq.inference.model import Model, label_video
from videoseq.jobs.journal import PASSING_CODES, LabelSettings, Result, digests
from videoseq.jobs.plan import Job
from videoseq.storage.files import remove_leftovers
from videoseq.video.frames import FrameReader, Progress
from videoseq.video.info import ReadReport
from videoseq.video.reader import VideoReader, content_sha256
from videoseq.video.safe_file import FileWatch


def label_job(
    job: Job,
    out: Path,
    model: Model,
    settings: LabelSettings,
    on_progress: Progress | None = None,
    *,
    open_video: Callable[[Path], FrameReader] = VideoReader,
    max_seconds: float = math.inf,
) -> Result:
    """Labels one video.

    Args:
        job: The video and its place.
        out: The output folder, to which the result's paths are relative.
        model: The model.
        settings: How to label.
        on_progress: Called as frames go by.
        open_video: How the video is opened.
        max_seconds: What labelling it may take, from opening it to its last label.

    Raises:
        OutputError: The labels cannot be written; that is no fault of the video.
    """
    remove_leftovers(job.target.parent)
    watch = FileWatch(job.video)
    try:
        job.check_link()
        report = label_video(
            job.video, model, job.target, on_progress, open_video=open_video, max_seconds=max_seconds,
            accepts_damage=settings.accepts_damage, reuse_threshold=settings.reuse_threshold,
        )  # fmt: skip
        video_sha256 = content_sha256(job.video)
        watch.check()
    except VideoError as error:
        return _failure(job, error.code, error, watch)
    except ModelError as error:
        return _failure(job, "model_error", f"{job.video}: {error}", watch)
    except OutputError as error:
        if getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG:
            raise
        return _failure(job, "name_too_long", error, watch)
    return Result(
        path=str(job.video),
        **described(report),
        video_sha256=video_sha256,
        model_sha256=model.contents.sha256,
        runtime=model.runtime.description,
        precision=model.runtime.precision,
        reuse_threshold=settings.reuse_threshold,
        outputs=_digests(job, out),
    )


def _failure(job: Job, code: str, message: object, watch: FileWatch) -> Result:
    """How a video failed, with its bytes' digest where another try would come to the same."""
    result = Result(str(job.video), "failed", code, one_line(message))
    if code not in PASSING_CODES and code != "refused_link":  # which is not to be read
        with suppress(VideoError):
            video_sha256 = content_sha256(job.video)
            watch.check()
            return replace(result, video_sha256=video_sha256)
    return result


def _digests(job: Job, out: Path) -> dict[str, str]:
    try:
        return digests(job, out)
    except OSError as error:  # what was just written
        raise OutputError(f"{job.target}: its labels could not be read back; {error.strerror}") from error


def described(report: ReadReport) -> dict[str, Any]:
    """What a result says of how its video was read."""
    first = report.notices[0] if report.notices else None
    return {
        "state": report.state,
        "code": first.code if first else "",
        "message": one_line(first.message) if first else "",
        "num_frames": report.num_frames,
        "duration_seconds": report.duration_seconds,
        "time_source": report.time_source,
        "start_offset_seconds": report.start_offset_seconds,
        "rotation_degrees": report.rotation_degrees,
        "coverage": report.coverage,
        "spans": [span.as_dict() for span in report.spans],
        "notices": [notice.as_dict() for notice in report.notices],
    }

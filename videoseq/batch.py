"""One video of many: whatever is wrong with it becomes its result, and stops nothing."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

from videoseq.errors import ModelError, OutputError, VideoError, one_line
from videoseq.facts import ReadFacts
from videoseq.features import Progress
from videoseq.files import remove_leftovers
from videoseq.frames import FrameReader
from videoseq.inputs import Job
from videoseq.journal import LabelSettings, Result, digests
from videoseq.labeling import Model, label_video
from videoseq.safe_file import FileWatch
from videoseq.video import VideoReader, content_sha256


def label_job(
    job: Job,
    out: Path,
    model: Model,
    settings: LabelSettings,
    on_progress: Progress | None = None,
    *,
    open_video: Callable[[Path], FrameReader] = VideoReader,
) -> Result:
    """Labels one video.

    Args:
        job: The video and its place.
        out: The output folder, to which the result's paths are relative.
        model: The model.
        settings: How to label.
        on_progress: Called as frames go by.
        open_video: How the video is opened.

    Raises:
        OutputError: The labels cannot be written; that is no fault of the video.
    """
    remove_leftovers(job.target.parent)
    watch = FileWatch(job.video)
    try:
        job.check_link()
        facts = label_video(
            job.video, model, job.target, on_progress, open_video=open_video,
            accepts_damage=settings.accepts_damage, reuse_threshold=settings.reuse_threshold,
        )  # fmt: skip
        video_sha256 = content_sha256(job.video)
        watch.check()
    except VideoError as error:
        return Result(str(job.video), "failed", error.code, one_line(error))
    except ModelError as error:
        return Result(str(job.video), "failed", "model_error", one_line(f"{job.video}: {error}"))
    except OutputError as error:
        if getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG:
            raise
        return Result(str(job.video), "failed", "name_too_long", one_line(error))
    return Result(
        path=str(job.video),
        **described(facts),
        video_sha256=video_sha256,
        model_sha256=model.bundle.sha256,
        runtime=model.runtime.description,
        precision=model.runtime.precision,
        reuse_threshold=settings.reuse_threshold,
        outputs=digests(job, out),
    )


def described(facts: ReadFacts) -> dict[str, Any]:
    """What a result says of how its video was read."""
    first = facts.notices[0] if facts.notices else None
    return {
        "state": facts.state,
        "code": first.code if first else "",
        "message": one_line(first.message) if first else "",
        "num_frames": facts.num_frames,
        "duration_seconds": facts.duration_seconds,
        "time_source": facts.time_source,
        "start_offset_seconds": facts.start_offset_seconds,
        "rotation_degrees": facts.rotation_degrees,
        "coverage": facts.coverage,
        "spans": [span.as_dict() for span in facts.spans],
        "notices": [notice.as_dict() for notice in facts.notices],
    }

"""One video of many, labels or features: whatever is wrong with it becomes its result and stops nothing else."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from videoseq.errors import ModelError, Notice, OutputError, VideoError, one_line
from videoseq.features.runtimes import Runtime
from videoseq.features.store import FeatureStore, feature_paths, features_sha256
from videoseq.inference.likeness import LikenessMeter, likeness_notices
from videoseq.inference.model import Model, label_video
from videoseq.inference.paths import label_paths
from videoseq.jobs.plan import Job
from videoseq.jobs.request import LabelSettings
from videoseq.jobs.result import PASSING_CODES, Result, output_digests
from videoseq.storage.files import remove_leftovers
from videoseq.video.frames import FrameReader, OnFrames
from videoseq.video.info import ReadReport
from videoseq.video.reader import VideoReader, content_sha256
from videoseq.video.safe_file import FileWatch


def run_label_job(
    job: Job,
    out: Path,
    model: Model,
    settings: LabelSettings,
    on_progress: OnFrames | None = None,
    *,
    open_video: Callable[[Path], FrameReader] = VideoReader,
    max_seconds: float = math.inf,
) -> Result:
    """Labels one video.

    Args:
        job: The video and the path of its outputs.
        out: The output folder, to which the result's paths are relative.
        model: The model.
        settings: What the labels depend on.
        on_progress: Called as frames are read.
        open_video: Opens the video.
        max_seconds: How long it may take, from opening the video to its last label.

    Raises:
        OutputError: The labels cannot be written, which is not the video's fault.
    """
    remove_leftovers(job.output_stem.parent)
    watch = FileWatch(job.video)

    def label() -> Result:
        meter = LikenessMeter(model.contents.known_groups)
        report = label_video(
            job.video, model, job.output_stem, on_progress, open_video=open_video, max_seconds=max_seconds,
            accepts_damage=settings.accepts_damage, reuse_threshold=settings.reuse_threshold, on_chunk=meter.add,
        )  # fmt: skip
        distance = meter.finish()
        video_sha256 = content_sha256(job.video)
        watch.check()
        return Result(
            path=str(job.video),
            **_described(report, likeness_notices(job.video, distance)),
            training_distance=distance.value if distance else None,
            nearest_training_group=distance.nearest_group if distance else "",
            video_sha256=video_sha256,
            model_sha256=model.contents.sha256,
            runtime=model.runtime.description,
            precision=model.runtime.precision,
            reuse_threshold=settings.reuse_threshold,
            outputs=_digests_of_written(job, label_paths(job.output_stem), out),
        )

    result = _result_of(job, label)
    if result.state != "failed" or result.code in PASSING_CODES or result.code == "refused_link":  # may not be read
        return result
    with suppress(VideoError):
        video_sha256 = content_sha256(job.video)
        watch.check()
        return replace(result, video_sha256=video_sha256)
    return result


def run_feature_job(
    job: Job,
    store: FeatureStore,
    runtime: Runtime,
    sample_hz: float | None,
    on_progress: OnFrames | None = None,
    *,
    out: Path | None = None,
) -> Result:
    """Computes one video's features, unless the store has them.

    Args:
        job: The video and the path of its outputs.
        store: Where features are kept.
        runtime: What runs the CNN.
        sample_hz: Feature vectors per second; None for every frame.
        on_progress: Called as frames are read.
        out: The output folder, if the features are to be exported too.

    Raises:
        OutputError: The features cannot be written, which is not the video's fault.
    """

    def compute() -> Result:
        features = store.get(job.video, runtime, sample_hz, on_progress)
        outputs: dict[str, str] = {}
        if out is not None:
            remove_leftovers(job.output_stem.parent)
            features.export(job.output_stem)
            outputs = _digests_of_written(job, feature_paths(job.output_stem), out)
        assert features.report is not None
        return Result(
            path=str(job.video),
            **_described(features.report),
            video_sha256=features.video_sha256,
            model_sha256=features_sha256(runtime, sample_hz),
            runtime=runtime.description,
            precision=runtime.precision,
            outputs=outputs,
        )

    return _result_of(job, compute)


def _result_of(job: Job, work: Callable[[], Result]) -> Result:
    """The result of the work, or how the video failed."""
    try:
        job.check_link()
        return work()
    except VideoError as error:
        return _failure(job, error.code, error)
    except ModelError as error:
        return _failure(job, "model_error", f"{job.video}: {error}")
    except OutputError as error:
        if getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG:
            raise
        return _failure(job, "name_too_long", error)


def _failure(job: Job, code: str, message: object) -> Result:
    return Result(str(job.video), "failed", code, one_line(message))


def _digests_of_written(job: Job, paths: Iterable[Path], out: Path) -> dict[str, str]:
    try:
        return output_digests(paths, out)
    except OSError as error:
        raise OutputError(f"{job.output_stem}: its outputs could not be read back; {error.strerror}") from error


def _described(report: ReadReport, more: Sequence[Notice] = ()) -> dict[str, Any]:
    """What a result records of how its video was read, and notices of its labels, which say nothing of the file."""
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
        "notices": [notice.as_dict() for notice in (*report.notices, *more)],
    }

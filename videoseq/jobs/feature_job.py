"""One video's features of many: computed, kept, exported; what is wrong with it becomes its result."""

from __future__ import annotations

import errno
from pathlib import Path

from videoseq.errors import OutputError, VideoError, one_line
from videoseq.features.runtimes import Runtime
from videoseq.features.store import FeatureStore, feature_paths, features_sha256
from videoseq.jobs.journal import Result
from videoseq.jobs.label_job import described
from videoseq.jobs.plan import Job
from videoseq.storage.files import file_sha256, remove_leftovers
from videoseq.video.frames import Progress
from videoseq.video.reader import content_sha256


def feature_job(
    job: Job,
    store: FeatureStore,
    runtime: Runtime,
    sample_hz: float | None,
    on_progress: Progress | None = None,
    *,
    out: Path | None = None,
) -> Result:
    """Computes one video's features, unless the store has them.

    Args:
        job: The video and its place.
        store: Where they are kept.
        runtime: What runs the CNN.
        sample_hz: Steps of the network a second; None for every frame.
        on_progress: Called as frames go by.
        out: Where they are exported to as well, below which the job's target lies.

    Raises:
        OutputError: They cannot be written; that is no fault of the video.
    """
    try:
        job.check_link()
        features = store.get(job.video, runtime, sample_hz, on_progress)
        if out is not None:
            remove_leftovers(job.target.parent)
            features.export(job.target)
        outputs = {} if out is None else _digests(job, out)
    except VideoError as error:
        return Result(str(job.video), "failed", error.code, one_line(error))
    except OutputError as error:
        if getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG:
            raise
        return Result(str(job.video), "failed", "name_too_long", one_line(error))
    except OSError as error:  # what was just written
        raise OutputError(f"{job.target}: its features could not be read back; {error.strerror}") from error
    assert features.report is not None
    return Result(
        path=str(job.video),
        **described(features.report),
        video_sha256=features.video_sha256,
        model_sha256=features_sha256(runtime, sample_hz),
        runtime=runtime.description,
        precision=runtime.precision,
        outputs=outputs,
    )


def has_features(result: Result | None, job: Job, out: Path, kind_sha256: str) -> bool:
    """Whether a job's exported features are there, unchanged, of the same video.

    Args:
        result: What was recorded of it.
        job: The video and its place.
        out: The folder that they were exported to.
        kind_sha256: Of what kind they are to be (:func:`videoseq.features.store.features_sha256`).
    """
    if result is None or result.state == "failed" or result.model_sha256 != kind_sha256:
        return False
    try:
        return result.video_sha256 == content_sha256(job.video) and result.outputs == _digests(job, out)
    except (VideoError, OSError):  # one of the files is gone
        return False


def _digests(job: Job, out: Path) -> dict[str, str]:
    return {path.relative_to(out).as_posix(): file_sha256(path) for path in feature_paths(job.target)}

"""What labeling would do, and how long it would take: nothing is written, and of new videos only headers are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from videoseq.errors import VideoError
from videoseq.jobs.events import Listener
from videoseq.jobs.journal import Journal, model_digest
from videoseq.jobs.label_run import find_labels
from videoseq.jobs.plan import Job
from videoseq.jobs.progress import FileProgress, clock_time
from videoseq.jobs.request import LabelRequest
from videoseq.jobs.speed import last_speed
from videoseq.video.access import VideoAccess, open_videos


@dataclass
class Forecast:
    """What would be done.

    Attributes:
        num_due: Files that would be labeled.
        num_labeled: Files that are labeled already.
        num_failed_before: Files that failed before and would not be tried again.
        num_without_duration: Files that would be labeled and whose header does not say how long they are.
        seconds_from_headers: The duration of the other ones, as their headers claim.
        video_seconds_per_second: How fast the model was in its last run, if that is known.
    """

    num_due: int = 0
    num_labeled: int = 0
    num_failed_before: int = 0
    num_without_duration: int = 0
    seconds_from_headers: float = 0.0
    video_seconds_per_second: float | None = None

    @property
    def estimated_seconds(self) -> float | None:
        """How long it would take; None if the speed or all durations are unknown."""
        if self.video_seconds_per_second is None or self.num_without_duration == self.num_due > 0:
            return None
        return self.seconds_from_headers / self.video_seconds_per_second

    def as_dict(self) -> dict[str, Any]:
        """The forecast for programs."""
        return {
            "to_be_labeled": self.num_due,
            "labeled_already": self.num_labeled,
            "failed_before": self.num_failed_before,
            "hours_from_headers": self.seconds_from_headers / 3600,
            "without_duration_in_header": self.num_without_duration,
            "estimated_seconds": self.estimated_seconds,
        }

    def lines(self) -> list[str]:
        """The forecast for people."""
        hours = f"{self.seconds_from_headers / 3600:.2f} hours of video according to their headers"
        unknown = f", and {self.num_without_duration} whose headers do not say" if self.num_without_duration else ""
        retry = "; retry_failed (--retry-failed) would try them again" if self.num_failed_before else ""
        return [
            f"to be labeled: {self.num_due}; {hours}{unknown}",
            f"labeled already: {self.num_labeled}",
            f"failed before: {self.num_failed_before}{retry}",
            f"estimated time: {self._time()}",
        ]

    def _time(self) -> str:
        if self.estimated_seconds is None:
            return "not known yet: label something for 30 s first"
        speed = f"{self.video_seconds_per_second:.1f} times as fast as it plays"
        return f"{clock_time(self.estimated_seconds)}, {speed}, as in the last run with this model on this machine"


def forecast_labeling(request: LabelRequest, listener: Listener | None = None) -> Forecast:
    """Looks at every job as :func:`videoseq.jobs.label_run.run_labeling` would before labeling it.

    Raises:
        ModelError: There is no model.
        OutputError: The record of the output folder cannot be read.
    """
    listener = listener or Listener()
    model_sha256 = model_digest(request.model_path)
    find = find_labels(request, Journal(request.out, request.shard, is_read_only=True), model_sha256)
    found = Forecast(video_seconds_per_second=last_speed(model_sha256))
    with (
        open_videos(request.limits, isolate=request.isolate) as videos,
        FileProgress[Job](listener, len(request.jobs), "looking") as progress,
    ):
        for job in request.jobs:
            recorded = find(job)
            if recorded is None:
                found.num_due += 1
                seconds = _seconds_from_header(job, videos)
                found.num_without_duration += seconds is None
                found.seconds_from_headers += seconds or 0.0
            elif recorded.state == "failed":
                found.num_failed_before += 1
            else:
                found.num_labeled += 1
            state = "to be labeled" if recorded is None else recorded.state
            text = f"{job.video}: {state}"
            listener.on_message(text, event="file", is_detail=True, path=str(job.video), would_be=state)
            progress.skip()
    return found


def _seconds_from_header(job: Job, videos: VideoAccess) -> float | None:
    try:
        job.check_link()
        return videos.read_info(job.video).duration_seconds_from_header
    except VideoError:
        return None

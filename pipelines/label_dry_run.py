"""What ``label`` would do: nothing is written, and of the videos that are due only the headers are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from videoseq.jobs.progress import clock_time
from videoseq.video.access import open_videos

from . import label_speed
from .console import Console

if TYPE_CHECKING:
    from videoseq.jobs.plan import Job
    from videoseq.video.access import VideoAccess
    from videoseq.video.isolation import Limits

    from .label_run import Request


@dataclass
class Forecast:
    """What would be done.

    Attributes:
        num_due: Files that would be labelled.
        num_labelled: Files that are labelled already.
        num_failed_before: Files that have failed, and would not be tried again.
        num_without_duration: Files that would be labelled whose header does not say how long they are, or not legibly.
        seconds_from_headers: What the headers of the others claim together.
        video_seconds_per_second: How fast the model was the last time, if that is known.
    """

    num_due: int = 0
    num_labelled: int = 0
    num_failed_before: int = 0
    num_without_duration: int = 0
    seconds_from_headers: float = 0.0
    video_seconds_per_second: float | None = None

    @property
    def estimated_seconds(self) -> float | None:
        """What it would take at that speed; None where that is not known, or no duration is."""
        if self.video_seconds_per_second is None or self.num_without_duration == self.num_due > 0:
            return None
        return self.seconds_from_headers / self.video_seconds_per_second

    def as_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {
            "to_be_labelled": self.num_due,
            "labelled_already": self.num_labelled,
            "failed_before": self.num_failed_before,
            "hours_from_headers": self.seconds_from_headers / 3600,
            "without_duration_in_header": self.num_without_duration,
            "estimated_seconds": self.estimated_seconds,
        }

    def lines(self) -> list[str]:
        """What people see."""
        hours = f"{self.seconds_from_headers / 3600:.2f} hours of video by their headers"
        unknown = f", and {self.num_without_duration} whose headers do not say" if self.num_without_duration else ""
        retry = "; --retry-failed would try them again" if self.num_failed_before else ""
        return [
            f"to be labelled: {self.num_due}; {hours}{unknown}",
            f"labelled already: {self.num_labelled}",
            f"failed before: {self.num_failed_before}{retry}",
            f"estimated time: {self._time()}",
        ]

    def _time(self) -> str:
        if self.estimated_seconds is None:
            return "unknown; a run of half a minute or more with this model will tell"
        speed = f"{self.video_seconds_per_second:.1f} times as fast as it plays"
        return f"{clock_time(self.estimated_seconds)}, {speed}, as in the last run with this model on this machine"


def forecast(request: Request, console: Console, limits: Limits, *, isolate: bool) -> Forecast:
    """Looks at every job, as a run would before labelling it.

    Raises:
        ModelError: There is no model.
        OutputError: The record of the output folder cannot be read.
    """
    from videoseq.jobs.journal import Journal, conditions_digest, model_digest

    model_sha256 = model_digest(request.model_path)
    journal = Journal(request.out, request.shard, is_read_only=True)
    found = Forecast(video_seconds_per_second=label_speed.recall(model_sha256))
    with open_videos(limits, isolate=isolate) as videos, console.files(len(request.jobs), "looking") as bar:
        conditions = conditions_digest(request.settings, request.decoding(videos.description))
        for job in request.jobs:
            recorded = request.recorded(job, journal, model_sha256, conditions)
            if recorded is None:
                found.num_due += 1
                seconds = _seconds_from_header(job, videos)
                found.num_without_duration += seconds is None
                found.seconds_from_headers += seconds or 0.0
            elif recorded.state == "failed":
                found.num_failed_before += 1
            else:
                found.num_labelled += 1
            what = "to be labelled" if recorded is None else recorded.state
            console.say(f"{job.video}: {what}", "file", is_detail=True, path=str(job.video), would_be=what)
            bar.skip()
    return found


def _seconds_from_header(job: Job, videos: VideoAccess) -> float | None:
    from videoseq.errors import VideoError

    try:
        job.check_link()
        return videos.read_info(job.video).duration_seconds_from_header
    except VideoError:
        return None

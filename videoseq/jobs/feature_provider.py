"""Features of many videos: from the cache, or computed in this process or by several worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from videoseq.config.runtime import RuntimeChoice
from videoseq.data.dataset import Clip, Dataset, load_clips
from videoseq.errors import Notice, VideoError
from videoseq.features.runtimes import Runtime
from videoseq.features.store import FeatureStore, VideoFeatures
from videoseq.jobs.events import Listener
from videoseq.jobs.plan import Job
from videoseq.jobs.pool import WorkerPool
from videoseq.jobs.progress import FileProgress
from videoseq.jobs.worker_process import FeatureTask
from videoseq.storage.cache import cache_folder
from videoseq.video.access import ISOLATES, open_videos
from videoseq.video.isolation import Limits

if TYPE_CHECKING:
    from videoseq.config.schema import BackboneSettings, OnBadClip


@dataclass(frozen=True)
class Resources:
    """What features are computed with, and who hears how far that is.

    Attributes:
        choice: What runs the CNN; worker processes share its cores.
        cache: The folder of the :class:`~videoseq.features.store.FeatureStore`.
        num_workers: Processes that compute features side by side; 1 for this process alone.
        listener: Hears the progress, and notices.
    """

    choice: RuntimeChoice = field(default_factory=RuntimeChoice)
    cache: Path = field(default_factory=cache_folder)
    num_workers: int = 1
    listener: Listener = field(default_factory=Listener)


@dataclass(frozen=True)
class FeatureProvider:
    """Features of videos by one CNN.

    Attributes:
        runtime: Runs the CNN in this process.
        sample_hz: Feature vectors per second of video; None for one of every frame.
        backbone: From what a worker process loads the same CNN: its settings, or the folder of a model; None for a CNN
            that only this process has.
        resources: What the features are computed with.
    """

    runtime: Runtime
    sample_hz: float | None
    backbone: BackboneSettings | Path | None = None
    resources: Resources = field(default_factory=Resources)

    @contextmanager
    def open(self, videos: Sequence[Path], stage: str = "features") -> Iterator[Callable[[Path], VideoFeatures]]:
        """A function that gives the features of each of these videos, once.

        It raises :class:`~videoseq.errors.VideoError` for a video that cannot be read.

        Args:
            videos: The videos.
            stage: What the progress is called.

        Raises:
            ConfigError: Worker processes cannot be started here, or die while they start.
            OutputError: The cache cannot be written.
        """
        known: dict[Path, VideoFeatures | VideoError] = {}
        resources, listener = self.resources, self.resources.listener
        if self.backbone is not None and resources.num_workers > 1:
            known = self._fill_cache(self.backbone, videos, stage)
            listener = Listener()  # nothing is left to compute
        with open_videos() as access, FileProgress[Path](listener, len(videos), stage) as progress:
            store = FeatureStore(resources.cache, access.open)

            def features_of(video: Path) -> VideoFeatures:
                found = known.get(video)
                try:
                    if isinstance(found, VideoError):
                        raise found
                    found = found or store.get(video, self.runtime, self.sample_hz, partial(progress.show, video))
                except VideoError:
                    progress.end(video, has_failed=True)
                    raise
                progress.end(video)
                frames, rows = len(found.seconds), len(found.features)
                resources.listener.on_message(f"{video}: {frames} frames, {rows} sampled", is_detail=True)
                return found

            yield features_of

    def load_clips(self, dataset: Dataset, on_bad_clip: OnBadClip = "fail") -> tuple[list[Clip], list[Notice]]:
        """The clips of a dataset, as :func:`videoseq.data.dataset.load_clips`; the listener hears the notices too."""
        with self.open(dataset.videos) as features_of:
            clips, notices = load_clips(dataset, features_of, on_bad_clip)
        notices += self.runtime.notices
        for notice in notices:
            self.resources.listener.on_notice(notice)
        return clips, notices

    def _fill_cache(
        self, backbone: BackboneSettings | Path, videos: Sequence[Path], stage: str
    ) -> dict[Path, VideoFeatures | VideoError]:
        """Has workers compute what the cache lacks; returns what it had, and what is wrong with videos that failed."""
        resources = self.resources
        store = FeatureStore(resources.cache)
        task = FeatureTask(backbone, self.sample_hz, resources.cache, resources.choice, Limits(), ISOLATES)
        known: dict[Path, VideoFeatures | VideoError] = {}

        def missing() -> Iterator[Job]:
            for video in videos:
                found: VideoFeatures | VideoError | None
                try:
                    found = store.find(video, self.runtime, self.sample_hz)
                except VideoError as error:
                    found = error
                if found is None:
                    yield Job(video, video)
                else:
                    known[video] = found
                    progress.skip(has_failed=isinstance(found, VideoError))

        with (
            WorkerPool(min(resources.num_workers, len(videos) or 1), task) as pool,
            FileProgress[Job](resources.listener, len(videos), stage) as progress,
        ):
            for job, result in pool.results(missing(), progress.show, lambda summary: None):  # noqa: ARG005 (not shown)
                progress.end(job, result.num_frames, has_failed=result.state == "failed")
                if result.state == "failed":
                    known[job.video] = VideoError(result.code, result.message)
        return known

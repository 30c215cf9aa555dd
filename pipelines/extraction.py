"""Features that workers compute side by side, before they are read one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videoseq.video.access import ISOLATES

if TYPE_CHECKING:
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.config.schema import BackboneSettings
    from videoseq.errors import VideoError
    from videoseq.features.runtimes import Runtime
    from videoseq.features.store import FeatureStore, VideoFeatures
    from videoseq.jobs.plan import Job

    from .console import Console


@dataclass(frozen=True)
class Workers:
    """Processes that compute features.

    Attributes:
        number: How many work side by side.
        backbone: The CNN's settings, or the folder of the model that it is part of.
        choice: What runs the CNN; its cores are those of all of them together.
    """

    number: int
    backbone: BackboneSettings | Path
    choice: RuntimeChoice


def extract(
    what: str,
    videos: Sequence[Path],
    workers: Workers,
    runtime: Runtime,
    sample_hz: float | None,
    store: FeatureStore,
    console: Console,
) -> tuple[dict[Path, VideoFeatures], dict[Path, VideoError]]:
    """Has the store filled; gives what was in it already, and what was wrong with videos that have no features.

    Args:
        what: What the progress bar calls it.
        videos: Whose features are asked for.
        workers: Who computes them; none is started where nothing is missing.
        runtime: What would run the CNN in this process.
        sample_hz: Steps of the network a second; None for every frame.
        store: Where they are kept.
        console: Where it says how it goes.

    Raises:
        ConfigError: Workers are not to be had here, or die before they have begun.
        OutputError: The store cannot be written.
    """
    from videoseq.errors import VideoError
    from videoseq.jobs.plan import Job
    from videoseq.jobs.pool import WorkerPool
    from videoseq.jobs.worker_process import FeatureTask
    from videoseq.video.isolation import Limits

    found: dict[Path, VideoFeatures] = {}
    failed: dict[Path, VideoError] = {}
    task = FeatureTask(workers.backbone, sample_hz, store.root, workers.choice, Limits(), ISOLATES)
    with WorkerPool(min(workers.number, len(videos) or 1), task) as pool, console.files(len(videos), what) as bar:

        def due() -> Iterator[Job]:
            for video in videos:
                job = Job(video, video)
                with suppress(VideoError):  # who asks for its features is told
                    features = store.find(video, runtime, sample_hz)
                    if features is None:
                        yield job
                        continue
                    found[video] = features
                bar.end(job)

        for job, result in pool.results(due(), bar.show, lambda summary: None):  # noqa: ARG005 (it says nothing new)
            bar.end(job)
            if result.state == "failed":
                failed[job.video] = VideoError(result.code, result.message)
    return found, failed

"""A dataset's clips with features and targets, which ``train`` and ``evaluate`` both begin with; notices are said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from videoseq.video.access import open_videos

from .extraction import Workers, extract

if TYPE_CHECKING:
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.config.schema import OnBadClip, TrainSettings
    from videoseq.data.dataset import Clip, Dataset
    from videoseq.errors import Notice, VideoError
    from videoseq.evaluation.results import Evaluation
    from videoseq.features.backbones import Backbone
    from videoseq.features.runtimes import Runtime
    from videoseq.features.store import VideoFeatures
    from videoseq.models.model_folder import ModelFolder
    from videoseq.report.mistakes import WrongSpan
    from videoseq.training.finetuning import Finetuner

    from .console import Console


def load(
    dataset: Dataset,
    *,
    runtime: Runtime,
    sample_hz: float | None,
    cache: Path,
    console: Console,
    on_bad_clip: OnBadClip = "fail",
    workers: Workers | None = None,
) -> tuple[list[Clip], list[Notice]]:
    """The labelled clips of a dataset, features computed or taken from the cache, with a progress bar."""
    from videoseq.data.dataset import load_clips

    with shown_features("features", dataset.videos, runtime, sample_hz, cache, console, workers) as features_of:
        clips, notices = load_clips(dataset, features_of, on_bad_clip)
    notices += runtime.notices
    for notice in notices:
        console.warn(notice)
    return clips, notices


def measure_agreement(
    clips: Sequence[Clip],
    contents: ModelFolder,
    runtime: Runtime,
    cache: Path,
    console: Console,
    workers: Workers | None = None,
) -> float:
    """On which share of frames a model's labels are the same with this runtime's features as with the clips' own."""
    from videoseq.evaluation.precision import label_agreement

    what, videos = f"in {runtime.precision}", [clip.entry.video for clip in clips]
    sample_hz = contents.config.sample_hz
    with shown_features(what, videos, runtime, sample_hz, cache, console, workers) as features_of:
        pairs = ((clip.features, features_of(clip.entry.video)) for clip in clips)
        return label_agreement(contents.head, pairs, contents.classes)


@contextmanager
def finetuning(
    clips: Sequence[Clip],
    backbone: Backbone,
    settings: TrainSettings,
    choice: RuntimeChoice,
    cache: Path,
    console: Console,
) -> Iterator[Finetuner | None]:
    """What fine-tunes the CNN inside, if the settings ask for it: reads the clips' pictures, with a progress bar."""
    if settings.backbone.trainable == 0:
        yield None
        return
    from videoseq.features.runtimes import select_runtime
    from videoseq.jobs.plan import Job
    from videoseq.system.torch_devices import choose_device
    from videoseq.training.finetuning import Finetuner
    from videoseq.training.image_store import PictureStore

    with PictureStore(cache, backbone.identity.preprocessing) as pictures:
        with open_videos() as videos:
            jobs = [Job(clip.entry.video, clip.entry.video) for clip in clips]
            for clip, (job, show) in zip(clips, console.each(jobs, "pictures"), strict=True):
                with videos.open(job.video) as reader:
                    pictures.add(clip, reader, settings.sample_hz, show)
        console.say(f"{pictures.num_pictures} pictures are kept in {cache} until training ends")

        def make_runtime(tuned: Backbone) -> Runtime:
            return select_runtime(tuned, choice)

        finetuner = Finetuner(backbone, pictures, settings, make_runtime, choose_device(choice.device))
        with console.progress("pictures") as bar:
            task = bar.add_task("frozen blocks", total=pictures.num_pictures, note="") if bar else None

            def show_done(num_pictures: int) -> None:
                if bar is not None and task is not None:
                    bar.update(task, completed=num_pictures)

            finetuner.prepare(show_done)
        yield finetuner


def read_pictures(evaluation: Evaluation, console: Console) -> dict[WrongSpan, bytes]:
    """Frames of the longest spans that the model labelled wrongly, for its report."""
    from videoseq.report import mistakes

    console.detail("reading pictures of the longest mistakes")
    with open_videos() as videos:
        return mistakes.read_pictures(mistakes.wrong_spans(evaluation.clips), evaluation.clips, videos.open)


@contextmanager
def shown_features(
    what: str,
    videos: Sequence[Path],
    runtime: Runtime,
    sample_hz: float | None,
    cache: Path,
    console: Console,
    workers: Workers | None,
) -> Iterator[Callable[[Path], VideoFeatures]]:
    """Gives what gives a video's features: from the cache, computed, or by now computed by workers; with a bar."""
    from videoseq.features.store import FeatureStore

    found: dict[Path, VideoFeatures] = {}
    failed: dict[Path, VideoError] = {}
    if workers is not None:
        found, failed = extract(what, videos, workers, runtime, sample_hz, FeatureStore(cache), console)
    with open_videos() as access, console.progress("frames") as bar:
        store = FeatureStore(cache, access.open)
        task = bar.add_task(what, total=len(videos), note="") if bar else None

        def features_of(video: Path) -> VideoFeatures:
            if video in failed:
                raise failed[video]

            def show(num_frames: int, fraction: float) -> None:
                if bar is not None and task is not None:
                    done = int(bar.tasks[0].completed)
                    bar.update(task, completed=done + min(fraction, 0.999), note=f"{video.name} {num_frames}")

            features = found.get(video) or store.get(video, runtime, sample_hz, show)
            if bar is not None and task is not None:
                bar.update(task, completed=int(bar.tasks[0].completed) + 1)
            console.detail(f"{video}: {len(features.seconds)} frames, {len(features.features)} sampled")
            return features

        yield features_of

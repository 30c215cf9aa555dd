"""Real clips with their features and the ways to divide them, for the benchmarks that judge labels.

They are expected in $VIDEOSEQ_DATA (default ../shared/data). Each group of a dataset is left out once, whole; where
there are many, several at a time. One mouse has no groups: one stretch of time after the other is left out. Of Intel's
videos the first 60 % train and the rest tests.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from videoseq.annotations.targets import find_classes
from videoseq.annotations.types import Annotation, ClassNames, Interval
from videoseq.config.runtime import RuntimeChoice
from videoseq.data.dataset import Clip, load_clips, load_dataset
from videoseq.data.dataset import Dataset as AnnotatedVideos
from videoseq.data.manifest import ClipEntry
from videoseq.data.splits import leave_groups_out
from videoseq.features.backbones import Backbone
from videoseq.features.runtimes import select_runtime
from videoseq.features.store import FeatureStore
from videoseq.storage.cache import cache_folder
from videoseq.video.reader import VideoReader

DATA = Path(os.environ.get("VIDEOSEQ_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
SAMPLE_HZ = 10.0
TRAINING_SHARE = 0.6
_MAX_FOLDS = 6


@dataclass(frozen=True)
class Fold:
    """What to learn from, and which clips' frames from which one on to be judged by."""

    train: Sequence[Clip]
    test: Sequence[Clip]
    first_test_frame: int = 0


@dataclass(frozen=True)
class Dataset:
    """Clips with the ways to divide them: by groups, which show how networks do on new ones, or by time."""

    classes: ClassNames
    folds: list[Fold]
    has_groups: bool = False


def load(dataset: AnnotatedVideos, backbone: Backbone) -> list[Clip]:
    """Clips with float32 features, computed or taken from the cache."""
    runtime = select_runtime(backbone, RuntimeChoice(precision="float32"))
    store = FeatureStore(cache_folder(None), VideoReader)
    return load_clips(dataset, lambda video: store.get(video, runtime, SAMPLE_HZ))[0]


def by_group(folder: str, backbone: Backbone) -> Dataset:
    """Each group left out once."""
    annotated = load_dataset(DATA / folder / "manifest.csv")
    clips, classes = load(annotated, backbone), annotated.classes
    folds = leave_groups_out(clips, len(classes), _MAX_FOLDS)
    return Dataset(classes, [Fold(fold.train, fold.held_out) for fold in folds], has_groups=True)


def by_time(folder: str, backbone: Backbone) -> Dataset:
    """Each clip of one recording left out once."""
    annotated = load_dataset(DATA / folder / "manifest.csv")
    clips = load(annotated, backbone)
    folds = [Fold([clip for clip in clips if clip is not test], [test]) for test in clips]
    return Dataset(annotated.classes, folds)


def beginning_and_rest(labels: str, backbone: Backbone) -> Dataset:
    """The first frames of one video to learn from, the others to be judged by."""
    path = DATA / "intel" / "labels" / labels
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    intervals = tuple(Interval(int(a), int(b), label, number) for number, (a, b, label) in enumerate(rows, start=2))
    annotation = Annotation(path, "frames", intervals)
    video = DATA / "intel" / "videos" / f"{labels.rpartition('.')[0].removesuffix('_hand')}.mp4"
    entry, classes = ClipEntry(video, path, None, video.name), find_classes([annotation])
    (clip,) = load(AnnotatedVideos((entry,), (annotation,), classes), backbone)
    return Dataset(classes, [Fold([beginning(clip)], [clip], int(TRAINING_SHARE * len(clip.targets)))])


def beginning(clip: Clip) -> Clip:
    """The frames that are learned from where one video is all there is."""
    cut = int(TRAINING_SHARE * len(clip.targets))
    stored = clip.features
    part = replace(
        stored,
        seconds=stored.seconds[:cut], flags=stored.flags[:cut], steps=stored.steps[:cut],
        features=stored.features[: int(np.count_nonzero(stored.steps[:cut]))],
    )  # fmt: skip
    return replace(clip, features=part, targets=clip.targets[:cut])


TASKS: dict[str, Callable[[Backbone], Dataset]] = {
    "urfd": partial(by_group, "urfd"),
    "person": partial(beginning_and_rest, "one-by-one-person-detection.csv"),
    "bottle": partial(beginning_and_rest, "bottle-detection_hand.csv"),
    "overhead": partial(by_group, "overhead_room"),
    "thermal": partial(by_group, "thermal_room"),
    "handwash": partial(by_group, "handwash"),
    "two people": partial(by_group, "two_people"),
    "mouse": partial(by_time, "mouse"),
}
"""By name, what loads its clips and divides them."""


def load_datasets(backbone: Backbone, names: Sequence[str] = tuple(TASKS)) -> dict[str, Dataset]:
    """Those of the names."""
    return {name: TASKS[name](backbone) for name in names}

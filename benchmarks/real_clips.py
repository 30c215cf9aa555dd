"""Real clips, their features and the ways to divide them, for the benchmarks that judge labels.

They are expected in $VIDEOSEQ_DATA (default ../shared/data): `urfd/manifest.csv`, of which one group at a time is left
out, and `intel/`, of whose videos the first 60 % train and the rest tests.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from videoseq.annotations.targets import find_classes
from videoseq.annotations.types import Annotation, ClassNames, Interval
from videoseq.config.runtime import RuntimeChoice
from videoseq.data.dataset import Clip, load_clips, load_dataset
from videoseq.data.dataset import Dataset as AnnotatedVideos
from videoseq.data.manifest import ClipEntry
from videoseq.features.backbones import Backbone
from videoseq.features.runtimes import select_runtime
from videoseq.features.store import FeatureStore
from videoseq.storage.cache import cache_folder
from videoseq.video.reader import VideoReader

DATA = Path(os.environ.get("VIDEOSEQ_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
INTEL = {"person": "one-by-one-person-detection.csv", "bottle": "bottle-detection_hand.csv"}
SAMPLE_HZ = 10.0
TRAINING_SHARE = 0.6


@dataclass(frozen=True)
class Fold:
    """What to learn from, and which clips' frames from which one on to be judged by."""

    train: list[Clip]
    test: list[Clip]
    first_test_frame: int = 0


@dataclass(frozen=True)
class Dataset:
    """Clips with the ways to divide them."""

    classes: ClassNames
    folds: list[Fold]


def load(dataset: AnnotatedVideos, backbone: Backbone) -> list[Clip]:
    """Clips with float32 features, computed or taken from the cache."""
    runtime = select_runtime(backbone, RuntimeChoice(precision="float32"))
    store = FeatureStore(cache_folder(None), VideoReader)
    return load_clips(dataset, lambda video: store.get(video, runtime, SAMPLE_HZ))[0]


def urfd(backbone: Backbone) -> Dataset:
    """One group left out at a time."""
    annotated = load_dataset(DATA / "urfd" / "manifest.csv")
    clips, classes = load(annotated, backbone), annotated.classes
    groups = sorted({clip.entry.group for clip in clips})
    folds = [
        Fold([c for c in clips if c.entry.group != group], [c for c in clips if c.entry.group == group])
        for group in groups
    ]
    return Dataset(classes, folds)


def intel(labels: str, backbone: Backbone) -> Dataset:
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


def load_datasets(backbone: Backbone) -> dict[str, Dataset]:
    """All of them by name."""
    return {"urfd": urfd(backbone), **{name: intel(labels, backbone) for name, labels in INTEL.items()}}

"""A dataset of annotated videos, and its clips: each video's features with one target per frame."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from videoseq.annotations.formats import read_annotation
from videoseq.annotations.multilabel import check_separable, make_multilabel_targets
from videoseq.annotations.targets import find_classes, make_targets
from videoseq.annotations.types import IGNORE_INDEX, Annotation, ClassNames
from videoseq.config.schema import OnBadClip, Task
from videoseq.data.manifest import ClipEntry, check_split, find_clips
from videoseq.errors import AnnotationError, Notice, VideoError
from videoseq.features.store import VideoFeatures


@dataclass(frozen=True)
class Dataset:
    """Annotated videos: the annotations are read, no video is opened.

    Attributes:
        entries: One for each video.
        annotations: Of each entry.
        classes: All classes; every label is one of them.
        background: The class of frames that no row covers; None leaves them unlabeled.
        task: Whether a frame has one class or any number of them.
        split: The split that all entries are of, if only one was asked for; empty for all.
        source: The folder or manifest; None for a dataset that was not read from one.

    Example:
        >>> dataset = videoseq.load_dataset("clips", background="other")
        >>> dataset.classes
        ('bright', 'dark', 'other')
    """

    entries: tuple[ClipEntry, ...]
    annotations: tuple[Annotation, ...]
    classes: ClassNames
    background: str | None = None
    task: Task = "multiclass"
    split: str = ""
    source: Path | None = None

    def __repr__(self) -> str:
        return f"Dataset({len(self.entries)} videos, {len(self.groups)} groups, classes: {', '.join(self.classes)})"

    @property
    def videos(self) -> list[Path]:
        """The video files."""
        return [entry.video for entry in self.entries]

    @property
    def groups(self) -> list[str]:
        """The groups, sorted: what stays together in every split."""
        return sorted({entry.group for entry in self.entries})


def load_dataset(
    path: str | os.PathLike[str],
    *,
    task: Task = "multiclass",
    background: str | None = None,
    classes: Sequence[str] | None = None,
    split: str = "",
) -> Dataset:
    """Reads the annotations of a folder or manifest; takes no longer than reading text.

    Args:
        path: A folder of annotated videos, or a manifest CSV.
        task: ``multiclass`` for one class per frame, ``multilabel`` for any number of them.
        background: The class of frames that no row covers; by default they stay unlabeled.
        classes: In the order of the logits; by default all labels that occur, sorted.
        split: Only videos of this split: ``train``, ``val`` or ``test``; by default all.

    Raises:
        ConfigError: There is no such split or task.
        AnnotationError: There are no such videos, a file cannot be read, or a label is not among ``classes``.

    Example:
        >>> videoseq.load_dataset("clips")
        Dataset(6 videos, 6 groups, classes: bright, dark)
    """
    check_split(split)
    entries = [entry for entry in find_clips(Path(path)) if not split or entry.split == split]
    if not entries:
        raise AnnotationError(f"{path}: expected clips of the split {split}, got none")
    annotations = [read_annotation(entry.annotation, task) for entry in entries]
    names = find_classes(annotations, background) if classes is None else ClassNames(classes)
    if task == "multilabel":
        check_separable(names)
    if background is not None:
        names.index_of(background, "data.background")
    for annotation in annotations:
        for interval in annotation.intervals:
            names.index_of(interval.label, f"{annotation.path}: row {interval.row}")
    return Dataset(tuple(entries), tuple(annotations), names, background, task, split, Path(path))


@dataclass(frozen=True, eq=False)
class Clip:
    """An annotated video ready for training.

    Attributes:
        entry: Where it is from.
        features: Of its sampled frames.
        targets: Of every native frame: a class index, or in multilabel a 0 or 1 for each class.
    """

    entry: ClipEntry
    features: VideoFeatures
    targets: Int64[np.ndarray, "frames ..."]

    def __post_init__(self) -> None:
        if len(self.targets) != len(self.features.seconds):
            raise ValueError(f"expected {len(self.features.seconds)} targets, got {len(self.targets)}")

    @property
    def is_multilabel(self) -> bool:
        """Whether a frame may have several classes, or none."""
        return self.targets.ndim == 2

    @property
    def is_labeled(self) -> Bool[np.ndarray, " frames"]:
        """Which frames have a target."""
        of_frames: np.ndarray = (self.targets.reshape(len(self.targets), -1) != IGNORE_INDEX).all(axis=1)
        return of_frames

    def class_counts(self, num_classes: int) -> Int64[np.ndarray, " classes"]:
        """Labeled frames of each class."""
        if self.is_multilabel:
            counts: np.ndarray = (self.targets == 1).sum(axis=0)
            return counts
        return np.bincount(self.targets[self.targets != IGNORE_INDEX], minlength=num_classes)


def load_clips(
    dataset: Dataset, features_of: Callable[[Path], VideoFeatures], on_bad_clip: OnBadClip = "fail"
) -> tuple[list[Clip], list[Notice]]:
    """The clips of a dataset that have a labeled frame, and what a user should know about the others.

    Args:
        dataset: The annotated videos.
        features_of: Gives a video's features, from a store or by computing them.
        on_bad_clip: Whether a video that cannot be read is an error, or leaves its clip out with a notice.

    Raises:
        VideoError: Videos cannot be read; the message names all of them. With ``skip``: none can be read.
        AnnotationError: An annotation does not fit its video, or the same video is in two splits under two names.
    """
    clips: list[Clip] = []
    notices: list[Notice] = []
    by_content: dict[str, ClipEntry] = {}
    read = {video: _features_or_error(video, features_of) for video in dataset.videos}
    errors = [found for found in read.values() if isinstance(found, VideoError)]
    if errors and (on_bad_clip == "fail" or len(errors) == len(read)):
        raise _unreadable(errors, len(read))
    notices += [Notice("clip_skipped", f"{error}; its clip is left out") for error in errors]
    for entry, annotation in zip(dataset.entries, dataset.annotations, strict=True):
        features = read[entry.video]
        if isinstance(features, VideoError):
            continue
        twin = by_content.setdefault(features.video_sha256, entry)
        if twin is not entry:
            text = f"{entry.video} and {twin.video} are the same video"
            if (twin.split, twin.group) != (entry.split, entry.group):
                raise AnnotationError(f"{text} in two splits or groups; leave one out, or give both one group")
            notices.append(Notice("duplicate_video", text))
        video = features.seconds, features.duration_seconds
        if dataset.task == "multilabel":
            targets, found = make_multilabel_targets(annotation, *video, dataset.classes)
        else:
            targets, found = make_targets(annotation, *video, dataset.classes, dataset.background)
        notices += [*features.notices, *found]
        if (targets != IGNORE_INDEX).any():
            clips.append(Clip(entry, features, targets))
        else:
            notices.append(Notice("clip_without_labels", f"{entry.annotation}: labels no frame of {entry.video}"))
    return clips, notices


def _features_or_error(video: Path, features_of: Callable[[Path], VideoFeatures]) -> VideoFeatures | VideoError:
    try:
        return features_of(video)
    except VideoError as error:
        return error


def _unreadable(errors: Sequence[VideoError], num_clips: int) -> VideoError:
    """One error that names all videos."""
    advice = "repair or remove them, or set data.on_bad_clip=skip"
    named = "; ".join(map(str, errors))
    return VideoError(errors[0].code, f"{len(errors)} of {num_clips} clips cannot be read: {named}; {advice}")

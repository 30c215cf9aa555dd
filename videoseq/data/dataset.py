"""Annotated clips: which videos with which targets.

A dataset is a manifest CSV (``video,annotation`` and optionally ``split``, ``group``, ``subject``), or a folder: with
a ``manifest.csv`` in it, or with each video's annotation of the same name beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from videoseq.annotations.formats import find_annotation
from videoseq.annotations.formats.csv_table import misspelt, read_rows
from videoseq.annotations.multilabel import make_multilabel_targets
from videoseq.annotations.targets import make_targets
from videoseq.annotations.types import IGNORE_INDEX, Annotation, ClassNames
from videoseq.config.schema import OnBadClip, Task
from videoseq.errors import AnnotationError, Notice, VideoError, did_you_mean
from videoseq.features.store import ClipFeatures
from videoseq.video.reader import VIDEO_SUFFIXES

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ClipEntry:
    """One line of a dataset.

    Attributes:
        video: The video file.
        annotation: The file with its labels.
        split: ``train``, ``val``, ``test``, or None where the dataset leaves it open.
        group: What must stay on one side of a split: a subject, an animal, a room. By default the video itself.
    """

    video: Path
    annotation: Path
    split: str | None
    group: str


def read_dataset(path: Path) -> list[ClipEntry]:
    """The annotated clips of a folder or manifest, in their order.

    Raises:
        AnnotationError: There are none, a column or file is missing, or a video stands in it twice.
    """
    if path.is_dir():
        manifest = path / "manifest.csv"
        entries = _read_manifest(manifest) if manifest.exists() else _pair_files(path)
    elif path.exists():
        entries = _read_manifest(path)
    else:
        raise AnnotationError(f"{path}: expected a folder of clips or a manifest CSV, found nothing there")
    _check_entries(path, entries)
    return entries


def _read_manifest(path: Path) -> list[ClipEntry]:
    columns, rows = read_rows(path)
    for needed in ("video", "annotation"):
        if needed not in columns:
            raise AnnotationError(
                f"{path}: expected the columns video,annotation, got {','.join(columns)}"
                f"{misspelt(columns, ['video', 'annotation'])}"
            )
    entries = []
    for number, cells in rows:
        video, annotation = (path.parent / cells.get(column, "") for column in ("video", "annotation"))
        split = cells.get("split") or None
        if split is not None and split not in SPLITS:
            raise AnnotationError(
                f"{path}: row {number}: split: expected {', '.join(SPLITS)}, got {split!r}{did_you_mean(split, SPLITS)}"
            )
        for column, file in (("video", video), ("annotation", annotation)):
            if not file.is_file():
                raise AnnotationError(f"{path}: row {number}: {column}: expected a file, found none at {file}")
        entries.append(ClipEntry(video, annotation, split, cells.get("group") or cells.get("subject") or str(video)))
    return entries


def _pair_files(folder: Path) -> list[ClipEntry]:
    entries: list[ClipEntry] = []
    for video in sorted(folder.rglob("*")):
        if video.suffix.lower() in VIDEO_SUFFIXES and video.is_file():
            annotation = find_annotation(video)
            if annotation is not None:
                if entries and entries[-1].annotation == annotation:
                    pair = f"{entries[-1].video} and {video.name} share the annotation {annotation.name}"
                    raise AnnotationError(f"{pair}; keep one of the videos, or write a manifest")
                entries.append(ClipEntry(video, annotation, None, str(video)))
    return entries


def _check_entries(path: Path, entries: Sequence[ClipEntry]) -> None:
    if not entries:
        raise AnnotationError(
            f"{path}: expected annotated clips (clip.mp4 with clip.csv beside it, or a manifest.csv), got none"
        )
    by_video: dict[Path, ClipEntry] = {}
    split_of_group: dict[str, str | None] = {}
    for entry in entries:
        twin = by_video.setdefault(entry.video.resolve(), entry)
        if twin is not entry:
            where = f"in the splits {twin.split} and {entry.split}" if twin.split != entry.split else "twice"
            raise AnnotationError(f"{path}: {entry.video} stands there {where}; a video belongs to one split, once")
        split = split_of_group.setdefault(entry.group, entry.split)
        if split != entry.split:
            raise AnnotationError(
                f"{path}: group {entry.group!r} is in the splits {split} and {entry.split}; a group is never divided"
            )
    if len({entry.split is None for entry in entries}) > 1:
        raise AnnotationError(f"{path}: split: expected a value in every row or in none")


@dataclass(frozen=True, eq=False)
class Clip:
    """An annotated video ready for training.

    Attributes:
        entry: Where it is from.
        features: Of its sampled frames.
        targets: Of every native frame: a class index, or in multilabel a 0 or 1 for each class.
    """

    entry: ClipEntry
    features: ClipFeatures
    targets: Int64[np.ndarray, "frames ..."]

    def __post_init__(self) -> None:
        if len(self.targets) != len(self.features.seconds):
            raise ValueError(f"expected {len(self.features.seconds)} targets, got {len(self.targets)}")

    @property
    def is_multilabel(self) -> bool:
        """Whether a frame may have several classes, or none."""
        return self.targets.ndim == 2

    @property
    def is_labelled(self) -> Bool[np.ndarray, " frames"]:
        """Which frames have a target."""
        of_frames: np.ndarray = (self.targets.reshape(len(self.targets), -1) != IGNORE_INDEX).all(axis=1)
        return of_frames

    def class_counts(self, num_classes: int) -> Int64[np.ndarray, " classes"]:
        """Labelled frames of each class."""
        if self.is_multilabel:
            counts: np.ndarray = (self.targets == 1).sum(axis=0)
            return counts
        return np.bincount(self.targets[self.targets != IGNORE_INDEX], minlength=num_classes)


def load_clips(
    entries: Sequence[ClipEntry],
    annotations: Sequence[Annotation],
    features_of: Callable[[Path], ClipFeatures],
    classes: ClassNames,
    background: str | None = None,
    task: Task = "multiclass",
    on_bad_clip: OnBadClip = "fail",
) -> tuple[list[Clip], list[Notice]]:
    """The clips of a dataset that have a labelled frame, and what a user should know about the others.

    Args:
        entries: The dataset.
        annotations: Of each entry.
        features_of: Gives a video's features, from a store or by computing them.
        classes: The classes; a label outside them is an error.
        background: The class of frames that no row covers; without it they stay unlabelled.
        task: Whether a frame has one class or any number of them, and then no background.
        on_bad_clip: Whether a video that cannot be read is an error, or leaves its clip out with a notice.

    Raises:
        VideoError: Videos cannot be read, all of which are named; a dataset with a hole in it is not trained on
            silently. With ``skip``: none can be read.
        AnnotationError: An annotation does not fit its video, or the same video is in two splits under two names.
    """
    clips: list[Clip] = []
    notices: list[Notice] = []
    by_content: dict[str, ClipEntry] = {}
    read = {entry.video: _features_or_error(entry.video, features_of) for entry in entries}
    errors = [found for found in read.values() if isinstance(found, VideoError)]
    if errors and (on_bad_clip == "fail" or len(errors) == len(read)):
        raise _unreadable(errors, len(read))
    notices += [Notice("clip_skipped", f"{error}; its clip is left out") for error in errors]
    for entry, annotation in zip(entries, annotations, strict=True):
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
        if task == "multilabel":
            targets, found = make_multilabel_targets(annotation, *video, classes)
        else:
            targets, found = make_targets(annotation, *video, classes, background)
        notices += [*features.notices, *found]
        if (targets != IGNORE_INDEX).any():
            clips.append(Clip(entry, features, targets))
        else:
            notices.append(Notice("clip_without_labels", f"{entry.annotation}: labels no frame of {entry.video}"))
    return clips, notices


def _features_or_error(video: Path, features_of: Callable[[Path], ClipFeatures]) -> ClipFeatures | VideoError:
    try:
        return features_of(video)
    except VideoError as error:
        return error


def _unreadable(errors: Sequence[VideoError], num_clips: int) -> VideoError:
    """One error that names all videos."""
    advice = "mend or remove them, or set data.on_bad_clip=skip"
    named = "; ".join(map(str, errors))
    return VideoError(errors[0].code, f"{len(errors)} of {num_clips} clips cannot be read: {named}; {advice}")

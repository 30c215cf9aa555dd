"""Which videos belong with which annotations: a manifest CSV, or a folder of both.

A manifest has the columns ``video,annotation`` and optionally ``split``, ``group``, ``subject``. A folder has a
``manifest.csv`` in it, or next to each video an annotation of the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from videoseq.annotations.formats import find_annotation
from videoseq.annotations.formats.csv_table import misspelled, read_rows
from videoseq.errors import AnnotationError, ConfigError, did_you_mean
from videoseq.video.reader import VIDEO_SUFFIXES

SPLITS = ("train", "val", "test")


def check_split(split: str) -> None:
    """Checks the name of a split; empty is all clips.

    Raises:
        ConfigError: There is no such split.
    """
    if split and split not in SPLITS:
        raise ConfigError(f"split: expected {', '.join(SPLITS)}, got {split!r}{did_you_mean(split, SPLITS)}")


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


def find_clips(path: Path) -> list[ClipEntry]:
    """The annotated clips of a folder or manifest, in their order.

    Raises:
        AnnotationError: There are none, a column or file is missing, or a video is in it twice.
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
                f"{misspelled(columns, ['video', 'annotation'])}"
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
            f"{path}: expected annotated clips (clip.mp4 with clip.csv next to it, or a manifest.csv), got none"
        )
    by_video: dict[Path, ClipEntry] = {}
    split_of_group: dict[str, str | None] = {}
    for entry in entries:
        twin = by_video.setdefault(entry.video.resolve(), entry)
        if twin is not entry:
            where = f"in the splits {twin.split} and {entry.split}" if twin.split != entry.split else "twice"
            raise AnnotationError(f"{path}: {entry.video} is listed {where}; a video belongs to one split, once")
        split = split_of_group.setdefault(entry.group, entry.split)
        if split != entry.split:
            raise AnnotationError(
                f"{path}: group {entry.group!r} is in the splits {split} and {entry.split}; a group is never divided"
            )
    if len({entry.split is None for entry in entries}) > 1:
        raise AnnotationError(f"{path}: split: expected a value in every row or in none")

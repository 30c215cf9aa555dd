"""Two annotators' datasets → the videos that both annotated, each with both annotations, and what only one has.

Videos are the same if their paths are, after following links, or else if their bytes are, because two people often work
on copies. Annotations without a video, as a second annotator sends them, belong to the other's video of the same name.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from videoseq.annotations.formats import ANNOTATION_SUFFIXES
from videoseq.annotations.formats.csv_table import read_rows
from videoseq.data.manifest import ClipEntry, check_split, find_clips
from videoseq.errors import AnnotationError
from videoseq.video.reader import VIDEO_SUFFIXES, content_sha256


@dataclass(frozen=True)
class Pair:
    """A video that both annotated.

    Attributes:
        entry: The video with the annotation that counts as the truth.
        labels: The other's annotation.
    """

    entry: ClipEntry
    labels: Path


@dataclass(frozen=True)
class Matched:
    """What two annotators have in common, and what only one has.

    Attributes:
        pairs: The videos that both annotated.
        only_targets: What only the first has: videos, and annotations of no video that is known.
        only_labels: The same of the second.
    """

    pairs: tuple[Pair, ...]
    only_targets: tuple[Path, ...]
    only_labels: tuple[Path, ...]


@dataclass
class _Source:
    """What one annotator has: videos with annotations, and annotations that name no video."""

    root: Path
    entries: list[ClipEntry]
    loose: list[Path]

    @property
    def is_one_annotation(self) -> bool:
        return not self.entries and len(self.loose) == 1

    def left(self) -> tuple[Path, ...]:
        return (*(entry.video for entry in self.entries), *self.loose)


def match_annotators(targets: Path, labels: Path, split: str = "") -> Matched:
    """The videos that both annotated.

    Each side is a dataset (:func:`videoseq.data.manifest.find_clips`), a folder of annotations, or one annotation. Not
    both may be without videos. One annotation belongs to the only video of the other side, whatever its name.

    Args:
        targets: The annotations that count as the truth where a metric needs one.
        labels: The other's.
        split: Only clips of this split, as ``targets`` has it; all by default.

    Raises:
        ConfigError: There is no such split.
        AnnotationError: A side cannot be read, or they have no video in common.
        VideoError: A video cannot be read.
    """
    check_split(split)
    one, other = _read_source(targets), _read_source(labels)
    if not one.entries and not other.entries:
        raise AnnotationError(f"{labels} and {targets}: expected videos in one of the two, got only annotations")
    pairs = [Pair(entry, twin.annotation) for entry, twin in _take_same_videos(one, other)]
    pairs += [Pair(entry, annotation) for entry, annotation in _take_same_names(one, other)]
    pairs += [
        Pair(replace(entry, annotation=annotation), entry.annotation)
        for entry, annotation in _take_same_names(other, one)
    ]
    if not pairs:
        raise AnnotationError(
            f"{labels} and {targets}: expected the same videos in both, got none in common; "
            f"the one has {other.left()[0]}, the other {one.left()[0]}"
        )
    if split:
        pairs = [pair for pair in pairs if pair.entry.split == split]
        one.entries = [entry for entry in one.entries if entry.split == split]
        if not pairs:
            raise AnnotationError(f"{targets}: expected clips of the split {split} that both annotated, got none")
    return Matched(tuple(pairs), one.left(), other.left())


def _read_source(path: Path) -> _Source:
    if path.is_dir():
        return _read_folder(path)
    if path.exists() and not {"video", "annotation"} & set(read_rows(path)[0]):
        return _Source(path.parent, [], [path])
    return _Source(path.parent, find_clips(path), [])


def _read_folder(path: Path) -> _Source:
    """A folder's clips; without a manifest also its annotations that have no video of the same name."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    if (path / "manifest.csv").exists():
        return _Source(path, find_clips(path), [])
    annotations = [file for file in files if file.suffix.lower() in ANNOTATION_SUFFIXES]
    if not annotations:
        raise AnnotationError(
            f"{path}: expected annotated clips, a manifest.csv or annotations, got none; a model has model.json in it"
        )
    annotated = {file.with_suffix("") for file in annotations}
    has_clips = any(file.suffix.lower() in VIDEO_SUFFIXES and file.with_suffix("") in annotated for file in files)
    entries = find_clips(path) if has_clips else []
    used = {entry.annotation for entry in entries}
    return _Source(path, entries, [file for file in annotations if file not in used])


def _take_same_videos(one: _Source, other: _Source) -> list[tuple[ClipEntry, ClipEntry]]:
    """Takes from both sides the videos that they share: by path, then those that are left by content."""
    paths = [[entry.video.resolve() for entry in source.entries] for source in (one, other)]
    found = _take_equal(one, other, *paths)
    contents = [_contents(source.entries, rest.entries) for source, rest in ((one, other), (other, one))]
    return found + _take_equal(one, other, *contents)


def _take_equal(
    one: _Source, other: _Source, keys: Iterable[Hashable], other_keys: Iterable[Hashable]
) -> list[tuple[ClipEntry, ClipEntry]]:
    """Takes the entries with equal keys from both sides; None is equal to nothing."""
    twins = {key: entry for key, entry in zip(other_keys, other.entries, strict=True) if key is not None}
    found = [(entry, twins.pop(key)) for entry, key in zip(one.entries, keys, strict=True) if key in twins]
    one.entries = _without(one.entries, [entry for entry, _ in found])
    other.entries = _without(other.entries, [twin for _, twin in found])
    return found


def _contents(entries: Sequence[ClipEntry], others: Sequence[ClipEntry]) -> list[str | None]:
    """The SHA-256 of each video, or None where no other has its size, so that most need not be read."""
    sizes = {entry.video.stat().st_size for entry in others}
    return [content_sha256(entry.video) if entry.video.stat().st_size in sizes else None for entry in entries]


def _take_same_names(videos: _Source, annotations: _Source) -> list[tuple[ClipEntry, Path]]:
    """Takes videos of one side and the loose annotations of their names of the other."""
    if len(videos.entries) == 1 and annotations.is_one_annotation:
        found = [(videos.entries[0], annotations.loose[0])]
    else:
        by_name = _by_name(annotations, videos)
        names = _names([entry.video for entry in videos.entries], videos.root, by_stem=_have_stems(annotations, videos))
        found = [(entry, by_name[name]) for entry, name in zip(videos.entries, names, strict=True) if name in by_name]
    videos.entries = _without(videos.entries, [entry for entry, _ in found])
    taken = {annotation for _, annotation in found}
    annotations.loose = [path for path in annotations.loose if path not in taken]
    return found


def _by_name(annotations: _Source, videos: _Source) -> dict[str, Path]:
    by_name: dict[str, Path] = {}
    names = _names(annotations.loose, annotations.root, by_stem=_have_stems(annotations, videos))
    for name, path in zip(names, annotations.loose, strict=True):
        twin = by_name.setdefault(name, path)
        if twin is not path:
            raise AnnotationError(f"{twin} and {path.name}: expected one annotation per name, got two; keep one")
    return by_name


def _have_stems(annotations: _Source, videos: _Source) -> bool:
    """Whether names alone tell files apart on both sides; else the folders that they lie in count too."""
    stems = ([path.stem for path in annotations.loose], [entry.video.stem for entry in videos.entries])
    return all(number == 1 for side in stems for number in Counter(side).values())


def _names(paths: Sequence[Path], root: Path, *, by_stem: bool) -> list[str]:
    return [path.stem if by_stem else os.path.relpath(path.with_suffix(""), root) for path in paths]


def _without(entries: Sequence[ClipEntry], taken: Sequence[ClipEntry]) -> list[ClipEntry]:
    gone = set(taken)
    return [entry for entry in entries if entry not in gone]

"""Annotated clips → sequences for the network: which clips, in which split, and batches that carry state.

A dataset is a manifest CSV (``video,annotation`` and optionally ``split``, ``group``, ``subject``), or a folder: with
a ``manifest.csv`` in it, or with each video's annotation of the same name beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor
from torch.utils.data import IterableDataset

from videoseq.annotations import IGNORE_INDEX
from videoseq.errors import AnnotationError, did_you_mean
from videoseq.features import ClipFeatures
from videoseq.formats import ANNOTATION_SUFFIXES
from videoseq.formats.csv_table import read_rows
from videoseq.sampling import step_rows
from videoseq.video import VIDEO_SUFFIXES

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
                f"{path}: expected the columns video,annotation, got {','.join(columns)}{did_you_mean(needed, columns)}"
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
    entries = []
    for video in sorted(folder.rglob("*")):
        if video.suffix.lower() in VIDEO_SUFFIXES and video.is_file():
            beside = (video.with_suffix(suffix) for suffix in sorted(ANNOTATION_SUFFIXES))
            annotation = next((file for file in beside if file.is_file()), None)
            if annotation is not None:
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
    """An annotated video ready for training: its features and one target per native frame."""

    entry: ClipEntry
    features: ClipFeatures
    targets: Int64[np.ndarray, " frames"]

    def __post_init__(self) -> None:
        if len(self.targets) != len(self.features.seconds):
            raise ValueError(f"expected {len(self.features.seconds)} targets, got {len(self.targets)}")

    def class_counts(self, num_classes: int) -> Int64[np.ndarray, " classes"]:
        """Labelled frames of each class."""
        return np.bincount(self.targets[self.targets != IGNORE_INDEX], minlength=num_classes)


def choose_validation_groups(
    clips: Sequence[Clip], num_classes: int, fraction: float, seed: int, num_draws: int = 200
) -> set[str]:
    """Groups to validate on: of seeded random draws the one that covers the most classes on both sides.

    Ties are broken by how near the share of frames comes to ``fraction``. With fewer than two groups there is no
    validation split and the set is empty.
    """
    counts: dict[str, np.ndarray] = {}
    for clip in clips:
        counts[clip.entry.group] = counts.get(clip.entry.group, 0) + clip.class_counts(num_classes)
    groups = sorted(counts)
    if len(groups) < 2 or fraction == 0.0:
        return set()
    table = np.stack([counts[group] for group in groups])
    generator = np.random.default_rng(seed)
    best: tuple[tuple[float, float], set[str]] | None = None
    for _ in range(num_draws):
        order = generator.permutation(len(groups))
        share = np.cumsum(table[order].sum(axis=1)) / max(1, table.sum())
        size = 1 + int(np.argmin(np.abs(share[:-1] - fraction)))
        val, train = table[order[:size]].sum(axis=0), table[order[size:]].sum(axis=0)
        score = (float(np.count_nonzero(np.minimum(val, train))), -abs(float(share[size - 1]) - fraction))
        if best is None or score > best[0]:
            best = score, {groups[i] for i in order[:size]}
    assert best is not None
    return best[1]


class StepSequence(NamedTuple):
    """A clip as the network meets it: one row per step."""

    features: Float32[np.ndarray, "sampled features"]
    rows: Int64[np.ndarray, " steps"]
    targets: Int64[np.ndarray, " steps"]


_Chunk = tuple[StepSequence, slice]
"""Part of a sequence: these of its steps."""


def to_sequence(clip: Clip) -> StepSequence:
    """The steps of a clip: which feature row each sees, and the target of the frame it is taken at.

    Catch-up steps, which repeat earlier features, have no frame of their own and no target.
    """
    rows, step_of_frame = step_rows(clip.features.steps)
    targets = np.full(len(rows), IGNORE_INDEX, dtype=np.int64)
    is_sampled = clip.features.steps > 0
    targets[step_of_frame[is_sampled]] = clip.targets[is_sampled]
    return StepSequence(clip.features.features, rows - 1, targets)


class LaneBatch(NamedTuple):
    """The next chunk of several videos side by side.

    Attributes:
        features: What the network sees.
        targets: Class indices, ``IGNORE_INDEX`` where unlabelled and where a video has ended.
        is_start: Lanes in which this chunk is a video's first, so that the state is reset.
    """

    features: Float[Tensor, "lanes steps features"]
    targets: Int64[Tensor, "lanes steps"]
    is_start: Bool[Tensor, " lanes"]


class LaneBatches(IterableDataset[LaneBatch]):
    """Ordered chunks of whole videos, several lanes side by side, for truncated backpropagation through time.

    A lane plays one video from its first step to its last, then takes the next one; padding stands only after a
    video's end, where a causal network cannot be disturbed by it. With ``shuffle`` each pass draws a new order and,
    for each video, a new length of its first chunk, from the seed and the number of the pass.
    """

    def __init__(self, clips: Sequence[Clip], lanes: int, chunk_steps: int, *, shuffle: bool, seed: int = 0) -> None:
        super().__init__()
        self._sequences = [to_sequence(clip) for clip in clips]
        self._lanes = min(lanes, len(clips))
        self._chunk_steps = chunk_steps
        self._shuffle = shuffle
        self._seed = seed
        self._num_passes = 0

    def __iter__(self) -> Iterator[LaneBatch]:
        generator = np.random.default_rng((self._seed, self._num_passes))
        self._num_passes += 1
        order = generator.permutation(len(self._sequences)) if self._shuffle else range(len(self._sequences))
        waiting = iter([self._chunks(self._sequences[i], generator) for i in order])
        playing: list[Iterator[_Chunk] | None] = [None] * self._lanes
        while True:
            chunks: list[_Chunk | None] = [None] * self._lanes
            for lane in range(self._lanes):
                chunks[lane], playing[lane] = _next_chunk(playing[lane], waiting)
            if all(chunk is None for chunk in chunks):
                return
            yield self._stack(chunks)

    def _chunks(self, sequence: StepSequence, generator: np.random.Generator) -> Iterator[_Chunk]:
        start = 0
        stop = int(generator.integers(1, self._chunk_steps + 1)) if self._shuffle else self._chunk_steps
        while start < len(sequence.rows):
            yield sequence, slice(start, stop)
            start, stop = stop, stop + self._chunk_steps

    def _stack(self, chunks: Sequence[_Chunk | None]) -> LaneBatch:
        width = self._sequences[0].features.shape[1]
        features = np.zeros((self._lanes, self._chunk_steps, width), dtype=np.float32)
        targets = np.full((self._lanes, self._chunk_steps), IGNORE_INDEX, dtype=np.int64)
        is_start = np.zeros(self._lanes, dtype=bool)
        for lane, chunk in enumerate(chunks):
            if chunk is not None:
                sequence, span = chunk
                rows = sequence.rows[span]
                features[lane, : len(rows)] = sequence.features[rows]
                targets[lane, : len(rows)] = sequence.targets[span]
                is_start[lane] = span.start == 0
        return LaneBatch(torch.from_numpy(features), torch.from_numpy(targets), torch.from_numpy(is_start))


def _next_chunk(
    playing: Iterator[_Chunk] | None, waiting: Iterator[Iterator[_Chunk]]
) -> tuple[_Chunk | None, Iterator[_Chunk] | None]:
    """A lane's next chunk: of the video it plays, else of the next one waiting, else nothing."""
    chunk = next(playing, None) if playing is not None else None
    while chunk is None and (playing := next(waiting, None)) is not None:
        chunk = next(playing, None)
    return chunk, playing

"""What annotated clips hold, class by class, and what in them makes a model worse than it will look."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from videoseq.annotations.segments import find_runs
from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.data.dataset import Clip
from videoseq.errors import Notice

_SIMILAR = 0.85  # of difflib's ratio: above it two names are more likely one name misspelled
_FEW_BOUTS = 5


@dataclass(frozen=True)
class ClassOverview:
    """How much of one class was annotated.

    Attributes:
        name: The class.
        num_frames: Its labeled frames.
        share: Of all labeled frames.
        num_bouts: Its uninterrupted stretches.
        median_bout_seconds: Their median duration; None without any.
        groups: The groups in which it occurs, sorted.
    """

    name: str
    num_frames: int
    num_bouts: int
    median_bout_seconds: float | None
    groups: tuple[str, ...]
    share: float


def describe_clips(clips: Sequence[Clip], classes: ClassNames) -> list[ClassOverview]:
    """How much of each class the clips hold."""
    num_frames = np.zeros(len(classes), dtype=np.int64)
    bouts: list[list[float]] = [[] for _ in classes]
    groups: list[set[str]] = [set() for _ in classes]
    for clip in clips:
        num_frames += clip.class_counts(len(classes))
        edges = np.append(clip.features.seconds, clip.features.duration_seconds)
        for index, start, stop in _bouts_of(clip):
            bouts[index].append(float(edges[stop] - edges[start]))
            groups[index].add(clip.entry.group)
    num_labeled = max(1, sum(int(clip.is_labeled.sum()) for clip in clips))
    return [
        ClassOverview(
            name,
            int(num_frames[i]),
            len(bouts[i]),
            float(np.median(bouts[i])) if bouts[i] else None,
            tuple(sorted(groups[i])),
            int(num_frames[i]) / num_labeled,
        )
        for i, name in enumerate(classes)
    ]


def _bouts_of(clip: Clip) -> Iterator[tuple[int, int, int]]:
    """Class, first frame and the frame after the last of each uninterrupted stretch of a class."""
    if not clip.is_multilabel:
        found = find_runs(clip.targets)
        yield from zip(*(column.tolist() for column in found.where(found.value != IGNORE_INDEX)), strict=True)
        return
    for index, target in enumerate(clip.targets.T):
        found = find_runs(target)
        _, starts, stops = found.where(found.value == 1)
        yield from ((index, start, stop) for start, stop in zip(starts.tolist(), stops.tolist(), strict=True))


def dataset_notices(overview: Sequence[ClassOverview]) -> list[Notice]:
    """What a user should repair, or at least know, before believing a model that was trained on such clips."""
    notices = []
    num_groups = len({group for one in overview for group in one.groups})
    for one in overview:
        if one.num_frames and num_groups > 1 and len(one.groups) == 1:
            text = f"only in the group {one.groups[0]}, so a model may learn the group; annotate it in another one"
            notices.append(Notice("class_in_one_group", f"{one.name}: {text}"))
        if 0 < one.num_bouts < _FEW_BOUTS:
            text = f"{one.num_bouts} bouts; expected {_FEW_BOUTS} or more to learn from; annotate more of them"
            notices.append(Notice("few_bouts", f"{one.name}: {text}"))
    for first, second in combinations([one.name for one in overview], 2):
        if _are_similar(first, second):
            text = f"the classes {first!r} and {second!r} may be one, spelled in two ways"
            notices.append(Notice("similar_classes", text))
    return notices


def _are_similar(first: str, second: str) -> bool:
    """Whether two names look like one; those that differ by a number, or by one being the other and more, are meant."""
    one, other = (re.sub(r"\d+", "0", re.sub(r"[\s_-]+", " ", name.casefold())).strip() for name in (first, second))
    if one == other:
        return re.sub(r"\D+", "", first) == re.sub(r"\D+", "", second)
    return difflib.SequenceMatcher(None, one, other).ratio() > _SIMILAR

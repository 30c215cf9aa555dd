"""Which clips train a model and which measure it: splits, and folds of groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int64

from videoseq.annotations.types import ClassNames
from videoseq.config.schema import DataSettings
from videoseq.data.dataset import Clip
from videoseq.data.manifest import ClipEntry
from videoseq.errors import AnnotationError, Notice


def split_clips(clips: Sequence[Clip], classes: ClassNames, settings: DataSettings, seed: int) -> dict[str, list[Clip]]:
    """The clips of ``train``, ``val`` and ``test``; validation is drawn from training where the dataset has none."""
    splits: dict[str, list[Clip]] = {"train": [], "val": [], "test": []}
    for clip in clips:
        splits[clip.entry.split or "train"].append(clip)
    if not splits["val"]:
        groups = choose_validation_groups(splits["train"], len(classes), settings.validation_fraction, seed)
        splits["val"] = [clip for clip in splits["train"] if clip.entry.group in groups]
        splits["train"] = [clip for clip in splits["train"] if clip.entry.group not in groups]
    return splits


def choose_validation_groups(
    clips: Sequence[Clip], num_classes: int, fraction: float, seed: int, num_draws: int = 200
) -> set[str]:
    """Groups to validate on: of seeded random draws the one that leaves training the most classes and covers the most.

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
    best: tuple[tuple[int, int, float], set[str]] | None = None
    for _ in range(num_draws):
        order = generator.permutation(len(groups))
        share = np.cumsum(table[order].sum(axis=1)) / max(1, table.sum())
        size = 1 + int(np.argmin(np.abs(share[:-1] - fraction)))
        val, train = table[order[:size]].sum(axis=0), table[order[size:]].sum(axis=0)
        num_learned, num_validated = (np.count_nonzero(counts) for counts in (train, np.minimum(val, train)))
        score = (int(num_learned), int(num_validated), -abs(float(share[size - 1]) - fraction))
        if best is None or score > best[0]:
            best = score, {groups[i] for i in order[:size]}
    assert best is not None
    return best[1]


@dataclass(frozen=True, eq=False)
class Fold:
    """Some groups left out.

    Attributes:
        train: Clips of all other groups.
        held_out: Clips of these.
        groups: Their names, sorted.
    """

    train: list[Clip]
    held_out: list[Clip]
    groups: tuple[str, ...]


def leave_groups_out(
    clips: Sequence[Clip], num_classes: int, max_folds: int | Literal["groups"] = "groups"
) -> list[Fold]:
    """Every group left out once, one at a time; where there are more than ``max_folds``, several at a time.

    Groups are dealt out from the largest on, each to the fold that has least of the classes that the group has: a class
    that few groups have is then left out bit by bit and not at once. Folds come in the order of their groups' names.

    Raises:
        AnnotationError: There is one group only, or the dataset names splits.
    """
    counts: dict[str, np.ndarray] = {}
    for clip in clips:
        counts[clip.entry.group] = counts.get(clip.entry.group, 0) + clip.class_counts(num_classes)
    check_folds([clip.entry for clip in clips])
    total = np.maximum(np.sum(list(counts.values()), axis=0), 1)
    shares = {group: of_group / total for group, of_group in counts.items()}
    num_folds = len(counts) if max_folds == "groups" else min(max_folds, len(counts))
    folds: list[list[str]] = [[] for _ in range(num_folds)]
    for group in sorted(shares, key=lambda group: (-shares[group].sum(), group)):
        min(folds, key=lambda fold: (sum(shares[one] @ shares[group] for one in fold), len(fold))).append(group)
    return [
        Fold(
            [clip for clip in clips if clip.entry.group not in groups],
            [clip for clip in clips if clip.entry.group in groups],
            groups,
        )
        for groups in sorted(tuple(sorted(fold)) for fold in folds)
    ]


def check_folds(entries: Sequence[ClipEntry]) -> None:
    """Raises an error if no folds can be made of a dataset.

    Raises:
        AnnotationError: There is one group only, or the dataset names splits.
    """
    if len({entry.group for entry in entries}) < 2:
        raise AnnotationError("cross-validation: expected clips of two groups or more, got one group")
    if any(entry.split is not None for entry in entries):
        raise AnnotationError("cross-validation: expected a dataset without splits, got some; leave out the column")


def count_classes(clips: Sequence[Clip], num_classes: int) -> Int64[np.ndarray, " classes"]:
    """Labeled frames of each class."""
    counts = np.zeros(num_classes, dtype=np.int64)
    for clip in clips:
        counts += clip.class_counts(num_classes)
    return counts


def split_notices(
    counts: Mapping[str, np.ndarray], measured_on: str, classes: ClassNames, *, chooses: bool
) -> list[Notice]:
    """What a user should know of the labeled frames of each split, and of what the numbers are measured on."""
    notices = []
    if not counts["val"].any():
        text = "one group only, or none kept: nothing was validated; annotate clips of a second group"
        notices.append(Notice("no_validation_split", text))
    if measured_on == "val" and chooses:
        text = (
            "the numbers are of the clips that chose the epoch, so a little too good; mark clips as test to know better"
        )
        notices.append(Notice("measured_on_validation", text))
    if measured_on == "train":
        text = "the numbers are of the training clips themselves and say nothing about new videos"
        notices.append(Notice("measured_on_training", text))
    for split in ("train", "val"):
        missing = [name for name, count in zip(classes, counts[split], strict=True) if count == 0]
        if missing and counts[split].any():
            notices.append(
                Notice(f"class_missing_in_{split}", f"no frame of {', '.join(missing)} in the {split} split")
            )
    return notices

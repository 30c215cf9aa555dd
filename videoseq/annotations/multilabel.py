"""Behaviors that overlap: annotations → for every frame, which classes it has.

An interval means that a class is present, and where no interval covers a frame the class is absent: every frame of an
annotated clip is labeled, and one that no row covers has no class. In a file with a row per frame a row without a
label says the same, and a frame without a row is unlabeled. A label may name several classes: ``groom|sit``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int64

from videoseq.annotations.targets import check_overlaps, frames_covered
from videoseq.annotations.types import IGNORE_INDEX, Annotation, ClassNames, Interval
from videoseq.errors import AnnotationError, Notice

SEPARATOR = "|"
"""Between the classes of a frame, in files; no class's name may hold it."""


def joined(names: Iterable[str]) -> str:
    """The classes of a frame as one label; empty where there is none."""
    return SEPARATOR.join(names)


def check_separable(classes: ClassNames) -> ClassNames:
    """The same classes, if their names can be joined and split again.

    Raises:
        AnnotationError: A name holds the separator.
    """
    for name in classes:
        if SEPARATOR in name:
            raise AnnotationError(
                f"classes: {name!r} has a {SEPARATOR!r} in it, which stands between the classes of a frame; rename it"
            )
    return classes


def split_labels(annotation: Annotation) -> Annotation:
    """The same with an interval for each class that a label names, as in ``groom|sit``.

    Raises:
        AnnotationError: A label names a blank one.
    """
    return replace(annotation, intervals=tuple(_split(annotation)))


def make_multilabel_targets(
    annotation: Annotation, seconds: Float[np.ndarray, " frames"], duration_seconds: float, classes: ClassNames
) -> tuple[Int64[np.ndarray, "frames classes"], list[Notice]]:
    """Which classes each frame of the annotated video has.

    Args:
        annotation: What was written down, its labels split.
        seconds: The time of every frame of the video.
        duration_seconds: The time of the end of its last frame.
        classes: The classes; a label outside them is an error.

    Returns:
        1 where a frame has the class, 0 where it has not, a row of ``IGNORE_INDEX`` where it is unlabeled; and what a
        user should know about the fit.

    Raises:
        AnnotationError: A class is unknown, or an interval starts after the end.
    """
    targets = np.zeros((len(seconds), len(classes)), dtype=np.int64)
    if annotation.described is not None:
        targets[:] = IGNORE_INDEX
        for run in annotation.described:
            targets[run.start : run.stop] = 0
    notices = [
        notice
        for label in sorted(annotation.labels)
        for notice in check_overlaps(replace(annotation, intervals=_of_class(annotation, label)))
    ]
    for interval, where, covered in frames_covered(annotation, seconds, duration_seconds, notices):
        targets[covered, classes.index_of(interval.label, where)] = 1
    return targets, notices


def _split(annotation: Annotation) -> Iterator[Interval]:
    for interval in annotation.intervals:
        names = [name.strip() for name in interval.label.split(SEPARATOR)]
        if not all(names):
            raise AnnotationError(
                f"{annotation.path}: row {interval.row}: expected classes with {SEPARATOR!r} between them, "
                f"got {interval.label!r}"
            )
        for name in dict.fromkeys(names):
            yield replace(interval, label=name)


def _of_class(annotation: Annotation, label: str) -> tuple[Interval, ...]:
    return tuple(interval for interval in annotation.intervals if interval.label == label)

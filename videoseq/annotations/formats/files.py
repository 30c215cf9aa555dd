"""An annotation in a file, whatever its format: found next to a video, read, written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from videoseq.annotations.formats import csv_table
from videoseq.annotations.multilabel import split_labels
from videoseq.annotations.segments import Segment
from videoseq.annotations.types import Annotation, Interval
from videoseq.config.schema import Task
from videoseq.errors import AnnotationError, ConfigError, did_you_mean
from videoseq.storage.files import check_free

ANNOTATION_SUFFIXES = frozenset([".csv", ".tsv"])


def find_annotation(path: Path) -> Path | None:
    """The annotation file with the same folder and name as ``path`` and a suffix of its own; None if there is none."""
    candidates = (path.with_suffix(suffix) for suffix in sorted(ANNOTATION_SUFFIXES))
    return next((file for file in candidates if file.is_file()), None)


def read_annotation(path: str | os.PathLike[str], task: Task = "multiclass") -> Annotation:
    """The annotation in a file, whose format is known from the suffix and the header.

    Args:
        path: The file.
        task: With ``multilabel``, a label may name several classes
            (:func:`videoseq.annotations.multilabel.split_labels`).

    Raises:
        ConfigError: There is no such task.
        AnnotationError: The format is unknown, or the file cannot be read as what it claims to be.

    Example:
        >>> annotation = videoseq.read_annotation("clips/clip0.csv")
        >>> annotation.unit, annotation.intervals[0].label
        ('seconds', 'dark')
    """
    known = get_args(Task)
    if task not in known:
        raise ConfigError(f"task: expected {' or '.join(known)}, got {task!r}{did_you_mean(task, known)}")
    path = Path(path)
    _check_suffix(path)
    annotation = csv_table.read(path)
    return split_labels(annotation) if task == "multilabel" else annotation


def write_annotation(
    path: str | os.PathLike[str],
    annotation: Annotation | Iterable[Segment | Interval],
    *,
    overwrite: bool = False,
) -> None:
    """Writes an annotation file, which :func:`read_annotation` reads back.

    Args:
        path: The file, a ``.csv`` or ``.tsv``.
        annotation: An annotation; or segments, of a model's labels for example, or intervals in seconds.
        overwrite: Whether a file of this name may be replaced.

    Raises:
        AnnotationError: The format is unknown.
        OutputError: There is such a file already, or it cannot be written; what it held is kept.

    Example:
        >>> labels = model.label("clip.mp4")
        >>> videoseq.write_annotation("draft.csv", labels.segments())
        >>> videoseq.read_annotation("draft.csv").unit
        'seconds'
    """
    path = Path(path)
    _check_suffix(path)
    if isinstance(annotation, Annotation):
        intervals, unit = annotation.intervals, annotation.unit
    else:
        intervals, unit = tuple(one if isinstance(one, Interval) else _interval(one) for one in annotation), "seconds"
    check_free(path, overwrite=overwrite)
    csv_table.write(path, intervals, unit)


def _interval(segment: Segment) -> Interval:
    return Interval(segment.start_seconds, segment.stop_seconds, segment.label, row=0)


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in ANNOTATION_SUFFIXES:
        known = ", ".join(sorted(ANNOTATION_SUFFIXES))
        raise AnnotationError(f"{path}: expected an annotation file ({known}), got {path.suffix or 'no suffix'}")

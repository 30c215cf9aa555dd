"""Other tools' files ↔ annotations: one small module per format."""

from __future__ import annotations

from pathlib import Path

from videoseq.annotations.formats import csv_table
from videoseq.annotations.multilabel import split_labels
from videoseq.annotations.types import Annotation
from videoseq.config.schema import Task
from videoseq.errors import AnnotationError

__all__ = ["ANNOTATION_SUFFIXES", "find_annotation", "read_annotation"]

_READERS = {".csv": csv_table.read, ".tsv": csv_table.read}
ANNOTATION_SUFFIXES = frozenset(_READERS)


def find_annotation(path: Path) -> Path | None:
    """The annotation file with the same folder and name as ``path`` and a suffix of its own; None if there is none."""
    candidates = (path.with_suffix(suffix) for suffix in sorted(ANNOTATION_SUFFIXES))
    return next((file for file in candidates if file.is_file()), None)


def read_annotation(path: Path, task: Task = "multiclass") -> Annotation:
    """The annotation in a file, its format told by the suffix and the header.

    Args:
        path: The file.
        task: With ``multilabel``, a label may name several classes
            (:func:`videoseq.annotations.multilabel.split_labels`).

    Raises:
        AnnotationError: The format is unknown, or the file cannot be read as what it claims to be.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(sorted(ANNOTATION_SUFFIXES))
        raise AnnotationError(f"{path}: expected an annotation file ({known}), got {path.suffix or 'no suffix'}")
    return split_labels(reader(path)) if task == "multilabel" else reader(path)

"""Annotation CSV, two kinds, recognized by their header.

Intervals have the columns ``start_s,stop_s,label`` or ``start_frame,stop_frame,label``, half-open; frames win where
both are there, being exact. Per frame there are ``frame,label``, frames counted from 0 in decode order. Other columns
are left alone; an empty label means unlabeled. videoseq's own ``frames.csv`` and ``segments.csv`` are such files.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from videoseq.annotations.segments import find_runs
from videoseq.annotations.types import Annotation, Interval
from videoseq.errors import AnnotationError, did_you_mean
from videoseq.storage.files import staged_file

_KINDS = (("start_frame", "stop_frame", "label"), ("start_s", "stop_s", "label"), ("frame", "label"))

Row = tuple[int, dict[str, str]]
"""A line number, the header being line 1, and the cells by column."""


def read(path: Path) -> Annotation:
    """The annotation in a CSV file.

    Raises:
        AnnotationError: It cannot be read, lacks a column, or a cell is not a number; the message names the row.
    """
    columns, rows = read_rows(path)
    kind = find_kind(path, columns)
    if kind == ("frame", "label"):
        return _from_frames(path, _labels_of_frames(path, rows))
    return Annotation(path, "frames" if "start_frame" in kind else "seconds", tuple(_intervals(path, kind, rows)))


def write(path: Path, intervals: Iterable[Interval], unit: Literal["seconds", "frames"]) -> None:
    """Writes intervals, which :func:`read` reads back; seconds to the microsecond.

    Raises:
        OutputError: It cannot be written; an older file of the same name is kept.
    """
    columns, digits = (_KINDS[0], ".0f") if unit == "frames" else (_KINDS[1], ".6f")
    with staged_file(path) as file:
        table = csv.writer(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", lineterminator="\n")
        table.writerow(columns)
        table.writerows((format(one.start, digits), format(one.stop, digits), one.label) for one in intervals)


def find_kind(path: Path, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that a table is read by, as its header tells.

    Raises:
        AnnotationError: No kind of table has such a header; the message names the nearest column.
    """
    kind = next((kind for kind in _KINDS if set(kind) <= set(columns)), None)
    if kind is None:
        expected = " or ".join(",".join(kind) for kind in reversed(_KINDS))
        known = {name for kind in _KINDS for name in kind}
        hint = misspelled(columns, known)
        raise AnnotationError(f"{path}: expected the columns {expected}, got {','.join(columns)}{hint}")
    return kind


def read_rows(path: Path) -> tuple[list[str], list[Row]]:
    """The header and the rows of a CSV file; the header shows whether commas, semicolons or tabs separate them.

    Raises:
        AnnotationError: It is unreadable, not UTF-8, empty, repeats a column, or a row has more cells than columns.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise AnnotationError(f"{path}: expected an annotation file, found nothing there") from None
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{path}: expected UTF-8 text, got byte 0x{error.object[error.start]:02x} at {error.start}"
        ) from None
    except OSError as error:
        raise AnnotationError(f"{path}: could not be read; {error.strerror}") from None
    lines = list(_records(path, text))
    if not lines:
        raise AnnotationError(f"{path}: expected a header and rows, got an empty file")
    columns = [cell.strip() for cell in lines[0][1]]
    named = [column for column in columns if column]
    if len(set(named)) < len(named):
        raise AnnotationError(f"{path}: expected each column once, got {','.join(columns)}")
    for number, cells in lines[1:]:
        if len(cells) > len(columns):
            raise AnnotationError(
                f"{path}: row {number}: expected {len(columns)} cells, got {len(cells)}; quote what holds a delimiter"
            )
    return columns, [(number, dict(zip(columns, map(str.strip, cells), strict=False))) for number, cells in lines[1:]]


def parse_number(column: str, text: str) -> float | None:
    """A cell as a finite number of at least 0, whole where its column counts frames; None where it is none."""
    try:
        value = math.nan if "_" in text else float(text)  # Python reads 1_0 as 10; other programs do not
    except ValueError:
        value = math.nan
    is_whole = not column.endswith("frame") or value == math.floor(value) if math.isfinite(value) else False
    return value if is_whole and value >= 0 else None


def misspelled(columns: Iterable[str], known: Iterable[str]) -> str:
    """A hint at the first column that is nearly one of those ``known`` and missing, else nothing."""
    missing = set(known) - set(columns)
    hints = ((name, did_you_mean(name, missing)) for name in columns if name not in set(known))
    return next((f"; {name!r}{hint}" for name, hint in hints if hint), "")


def _records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The records that are not blank, each with the line it begins at."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", header)
    delimiter = next((mark for mark in ",;\t" if mark in bare), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise AnnotationError(f"{path}: row {number}: not valid CSV; {error}") from None
        if any(cell.strip() for cell in cells):
            yield number, cells


def _intervals(path: Path, kind: tuple[str, ...], rows: Iterable[Row]) -> Iterator[Interval]:
    for number, cells in rows:
        if label := cells.get("label", ""):
            start, stop = (_number(path, number, column, cells.get(column, "")) for column in kind[:2])
            yield Interval(start, stop, label, number)


def _labels_of_frames(path: Path, rows: Iterable[Row]) -> dict[int, tuple[str, int]]:
    """The label of each frame that has a row, perhaps an empty one, and the row."""
    labels: dict[int, tuple[str, int]] = {}
    for number, cells in rows:
        frame = int(_number(path, number, "frame", cells.get("frame", "")))
        if frame in labels:
            raise AnnotationError(
                f"{path}: row {number}: frame {frame} stands in row {labels[frame][1]} already; a frame has one label"
            )
        labels[frame] = (cells.get("label", ""), number)
    return labels


def _from_frames(path: Path, labels: Mapping[int, tuple[str, int]]) -> Annotation:
    """Rows of single frames as intervals of equal labels."""
    frames = sorted(labels)
    positions = np.array(frames, dtype=object)  # a cell may name a frame beyond 64 bits
    runs = find_runs(np.array([labels[frame][0] for frame in frames], dtype=object), positions)
    described = find_runs(np.zeros(len(frames)), positions)
    return Annotation(
        path,
        "frames",
        tuple(
            Interval(start, stop, label, labels[start][1]) for label, start, stop in zip(*runs, strict=True) if label
        ),
        described=tuple(map(range, described.start, described.stop)),
    )


def _number(path: Path, row: int, column: str, text: str) -> float:
    value = parse_number(column, text)
    if value is None:
        kind = "a frame number" if column.endswith("frame") else "seconds as a number"
        raise AnnotationError(f"{path}: row {row}: {column}: expected {kind}, 0 or more, got {text!r}")
    return value

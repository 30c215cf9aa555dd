"""Whether an annotation CSV fits its video, and how to repair it.

What :mod:`videoseq.annotations.formats.csv_table` refuses with the first error is read leniently here, found in full,
and repaired where the repair is certain: counting first, then times, then labels that contradict each other. Every step
sees the table as the steps before it left it, and all steps run again until nothing is left to repair: a row that was
dropped may have hidden how the others were counted. Rows are named by their line in the file, the header being line 1.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path

import numpy as np
from jaxtyping import Float

from videoseq.annotations.formats.csv_table import find_kind, read_rows
from videoseq.annotations.repair import counting, intervals
from videoseq.annotations.repair.table import Finding, Row, Table
from videoseq.storage.files import staged_file

_COMMON_FPS = (24.0, 25.0, 30.0, 50.0, 60.0, 24000 / 1001, 30000 / 1001, 60000 / 1001)
_STEPS = (
    counting.check_numbers,
    counting.check_spelling,  # before what compares labels
    counting.check_duplicates,
    counting.check_stops,  # before the first frame: frames from 1 with inclusive stops are both
    counting.check_first_frame,
    counting.check_rate,
    intervals.check_pairs,
    intervals.check_direction,
    intervals.check_end,
    intervals.check_length,
    intervals.check_overlaps,
    intervals.check_gaps,
    intervals.check_times,
)


@dataclass(frozen=True)
class Fit:
    """How an annotation fits its video.

    Attributes:
        findings: What was repaired, and what is left in the repaired table; none where all is well and every frame has
            its row. Checking the repaired table finds what is left, and nothing else.
        columns: The header; of several columns without a name only the last is kept.
        rows: The rows of the repaired table by column; what no finding mentions is as it was in the file.
        is_repaired: Whether the rows differ from the file's.
    """

    findings: tuple[Finding, ...]
    columns: list[str]
    rows: list[dict[str, str]]
    is_repaired: bool


def check_fit(
    path: Path,
    seconds: Float[np.ndarray, " frames"],
    duration_seconds: float,
    fps_from_header: float | None,
    *,
    is_multilabel: bool = False,
) -> Fit:
    """What is wrong with an annotation CSV, and the table with all repaired that is certain.

    Judgment is needed where a wrong table could be a right one of something else:

    - *One-based*: no row has the number 0 and the last label ends exactly one frame after the video's end; intervals
      must begin at 1 as well, single frames need not.
    - *Inclusive stops*: two intervals or more, each starting one frame after the stop of the one before, and either
      the last stop is the last frame's number, counted from 0 or, beginning at 1, from 1, or there are three holes.
    - *Another rate*: the labels' end over the video's is within 0.5 % of the true mean rate over a usual one or the
      header's (inversely for frame numbers), and further than that from 1; also, the rows run on from 0 without a
      hole, or several start after the video's end. If the labels end more than a frame after the video, that is an
      error, repaired where the rate is constant. If they end before it, they may be meant to: it is only mentioned.
    - *Another video*: where every row starts after the video's end, none is dropped.

    Args:
        path: The annotation.
        seconds: The time of every frame of the video, of which there is at least one.
        duration_seconds: The time of the end of its last frame, after 0.
        fps_from_header: The rate that the container claims, if it does.
        is_multilabel: Whether behaviors may overlap, and a frame that no interval covers has none.

    Raises:
        AnnotationError: The file cannot be read as a table, or lacks a column.
    """
    columns, rows = read_rows(path)
    kind = find_kind(path, columns)
    usual_fps = [fps for fps in (*_COMMON_FPS, fps_from_header or 0.0) if 0 < fps < math.inf]
    found: list[Finding] = []
    repaired = rows
    # This ends: repairs take away rows, blanks, spellings or time. Only included stops move later, to close holes
    # that no repair opens again.
    while True:
        table = Table(
            kind[:-1], list(starmap(Row, repaired)), seconds, duration_seconds, usual_fps, is_multilabel=is_multilabel
        )
        left = [finding for step in _STEPS for finding in step(table)]
        found += left
        before, repaired = repaired, [(row.line, row.repaired(table.columns)) for row in table.rows]
        if repaired == before:
            break
    findings = tuple(finding for finding in dict.fromkeys(found) if finding.fix or finding in left)
    return Fit(findings, list(dict.fromkeys(columns)), [cells for _, cells in repaired], repaired != rows)


def write_repaired(fit: Fit, path: Path) -> None:
    """Writes the repaired table as CSV with commas, in full or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    with staged_file(path) as file:
        writer = csv.DictWriter(file, fit.columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(fit.rows)

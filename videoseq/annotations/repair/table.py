"""An annotation's rows while they are being repaired, and what is found wrong with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from videoseq.annotations.formats.csv_table import parse_number
from videoseq.annotations.targets import end_tolerance
from videoseq.annotations.types import Interval

_VARIABLE_FRAMES = 2  # frames that stray further than this from a constant rate have a variable one


@dataclass(frozen=True)
class Finding:
    """Something in which an annotation does not fit its video.

    Attributes:
        code: A stable word for programs, such as ``overlap``.
        message: One line for people, naming the rows.
        fix: What the repaired table does about it, or nothing where a person must decide.
        is_error: Whether training would refuse the file or silently learn wrong labels; else it is worth knowing.
    """

    code: str
    message: str
    fix: str
    is_error: bool


class Row:
    """A row while it is being repaired; a number is NaN where its cell is blank or holds none."""

    def __init__(self, line: int, cells: dict[str, str]) -> None:
        self.line = line
        self.cells = cells
        self.label = cells.get("label", "")
        self.start = self.stop = math.nan

    @property
    def interval(self) -> Interval:
        """The row as an interval, in the unit of its columns."""
        return Interval(self.start, self.stop, self.label, self.line)

    def repaired(self, columns: Sequence[str]) -> dict[str, str]:
        """The cells as they are to be written; what no repair has touched keeps its text."""
        cells = dict(self.cells)
        for column, value in zip(columns, (self.start, self.stop), strict=False):
            if not math.isnan(value) and value != parse_number(column, cells.get(column, "")):
                cells[column] = f"{value:.0f}" if column.endswith("frame") else str(float(value))
        return {**cells, "label": self.label} if self.label else cells


@dataclass
class Table:
    """The rows that are left, and the video they belong to; times and frames count in the unit of the columns."""

    columns: tuple[str, ...]
    rows: list[Row]
    seconds: Float[np.ndarray, " frames"]
    duration_seconds: float
    usual_fps: Sequence[float]
    past_end: Literal["report", "cut", "keep"] = "report"
    is_multilabel: bool = False

    def __post_init__(self) -> None:
        self.is_per_frame = self.columns == ("frame",)
        self.unit = "seconds" if "start_s" in self.columns else "frames"
        self.end = self.duration_seconds if self.unit == "seconds" else len(self.seconds)
        self.end_text = f"{self.end:.12g} {self.unit}"
        self.one_frame = end_tolerance(self.seconds) if self.unit == "seconds" else 1.0
        self.fps = len(self.seconds) / self.duration_seconds
        strayed = np.arange(len(self.seconds)) / self.fps - self.seconds
        self.drift_seconds = float(np.abs(strayed).max())
        self.is_variable = self.drift_seconds > _VARIABLE_FRAMES / self.fps

    @property
    def complete(self) -> list[Row]:
        """The rows with both numbers in the order of their start."""
        rows = [row for row in self.rows if not math.isnan(row.start + row.stop)]
        return sorted(rows, key=lambda row: (row.start, row.stop))

    @property
    def labeled(self) -> list[Row]:
        """Those of them that have a label."""
        return [row for row in self.complete if row.label]

    @property
    def numbers(self) -> list[float]:
        """Every start and stop that is there."""
        return [n for row in self.rows for n in (row.start, row.stop) if not math.isnan(n)]

    def drop(self, rows: Iterable[Row]) -> None:
        """Takes rows out."""
        dropped = {row.line for row in rows}
        self.rows = [row for row in self.rows if row.line not in dropped]

    def move(self, shift: float, stop_shift: float) -> None:
        """Adds to every start and to every stop."""
        for row in self.rows:
            row.start, row.stop = row.start + shift, row.stop + stop_shift


def named(rows: Iterable[Row]) -> str:
    """``row 2`` or ``rows 2, 3 and 4``."""
    lines = [str(row.line) for row in rows]
    return f"row{'s' if len(lines) > 1 else ''} {listed(lines)}"


def listed(items: Sequence[str], num_shown: int = 3) -> str:
    """``2, 3 and 4``; of many the first few and how many more."""
    *shown, last = items if len(items) <= num_shown + 1 else [*items[:num_shown], f"{len(items) - num_shown} more"]
    return f"{', '.join(shown)} and {last}" if shown else last

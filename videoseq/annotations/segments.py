"""Frames in a row with one label: a segment for people, and runs of equal values as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped


@dataclass(frozen=True)
class Segment:
    """A run of frames with one label: ``start`` included, ``stop`` not; confidence is the frames' mean.

    Example:
        >>> segment = model.label("clip.mp4").segments()[0]
        >>> segment.label, segment.start_frame, segment.start_seconds
        ('dark', 0, 0.0)
    """

    start_seconds: float
    stop_seconds: float
    start_frame: int
    stop_frame: int
    label: str
    confidence: float


class Runs(NamedTuple):
    """Runs of equal values, in order.

    Attributes:
        value: What all rows of a run have; any dtype.
        start: Position of its first row.
        stop: The position after its last row.
    """

    value: Shaped[np.ndarray, "runs ..."]
    start: Shaped[np.ndarray, " runs"]
    stop: Shaped[np.ndarray, " runs"]

    def where(self, is_kept: Bool[np.ndarray, " runs"]) -> Runs:
        """Only some of the runs."""
        return Runs(*(column[is_kept] for column in self))


def find_runs(values: Shaped[np.ndarray, "rows ..."], positions: Shaped[np.ndarray, " rows"] | None = None) -> Runs:
    """Runs of equal values; rows of a two-dimensional array are equal where all their columns are.

    Args:
        values: One for each row, or several.
        positions: Where the rows are, ascending; a gap between two ends a run. By default 0, 1, 2, ….
    """
    if not len(values):
        empty = np.zeros(0, np.int64)
        return Runs(values, empty, empty)
    positions = np.arange(len(values)) if positions is None else positions
    is_change = (values[1:] != values[:-1]).any(axis=tuple(range(1, values.ndim)))
    is_change |= positions[1:] - positions[:-1] != 1
    is_first, is_last = np.append(True, is_change), np.append(is_change, True)
    return Runs(values[is_first], positions[is_first], positions[is_last] + 1)

"""Runs of equal values against a plain loop."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from videoseq.annotations.segments import find_runs


def plain_runs(values, positions):
    found = []
    for value, position in zip(values, positions, strict=True):
        if found and found[-1][0] == value and found[-1][2] == position:
            found[-1][2] = position + 1
        else:
            found.append([value, position, position + 1])
    return found


@given(st.dictionaries(st.integers(0, 30), st.integers(-1, 2)))
def test_runs_are_those_of_the_plain_loop(rows):
    positions = sorted(rows)
    values = [rows[position] for position in positions]
    found = find_runs(np.array(values, np.int64), np.array(positions, np.int64))
    assert [list(run) for run in zip(*(column.tolist() for column in found), strict=True)] == plain_runs(
        values, positions
    )


def test_rows_of_several_columns_are_equal_where_all_columns_are():
    found = find_runs(np.array([[0, 1], [0, 1], [0, 2], [1, 2]]))
    assert (found.start.tolist(), found.stop.tolist()) == ([0, 2, 3], [2, 3, 4])


def test_values_may_be_text_and_positions_beyond_64_bits():
    far = 10**30
    found = find_runs(np.array(["a", "a", "b"], object), np.array([far, far + 1, far + 2], object))
    assert list(zip(*found, strict=True)) == [("a", far, far + 2), ("b", far + 2, far + 3)]


def test_some_runs():
    runs = find_runs(np.array([5, 5, 7]))
    assert [column.tolist() for column in runs.where(runs.value == 7)] == [[7], [2], [3]]

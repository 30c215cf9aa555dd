"""The table of `make accuracy` can be stopped and gone on with, and holds the default to what is asked of it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DATASETS = ["urfd", "person", "bottle"]


@pytest.fixture
def accuracy(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("accuracy")


def test_it_goes_on_where_it_was_stopped(accuracy, tmp_path):
    names = [accuracy.OURS, accuracy.NO_CONTEXT]
    stopped = accuracy.Table({"machine": "one"}, 100.0, tmp_path / "out" / "table.json")
    cells = stopped.missing(names, DATASETS, num_seeds=2)
    assert [cell.seed for cell in cells] == [0] * 6 + [1] * 6
    for cell in cells[:7]:
        stopped.add(cell, 0.5, 2.0)
    again = accuracy.Table({"machine": "one"}, 100.0, stopped.path)
    again.take_up()
    assert again.missing(names, DATASETS, num_seeds=2) == cells[7:]
    assert again.rows(DATASETS)[0] == [accuracy.OURS, "50.0 ± 0.0", "50.0 ± 0.0", "50.0 ± 0.0", "1/2", "6"]
    elsewhere = accuracy.Table({"machine": "another"}, 100.0, stopped.path)
    elsewhere.take_up()
    assert elsewhere.missing(names, DATASETS, num_seeds=2) == cells


def test_the_default_is_held_to_what_it_is_asked_for(accuracy):
    scores = {
        accuracy.OURS: {which: {"0": 0.8, "1": 0.9} for which in DATASETS},
        accuracy.NO_CONTEXT: {"urfd": {"0": 0.8}, "person": {"0": 0.9}},
        accuracy.UNTUNED: {"urfd": {"0": 0.9}},
        "MiniROAD": {"urfd": {"0": 0.7, "1": 0.5}},
    }
    found = [(what, pytest.approx(got), target) for what, got, target in accuracy.verdicts(scores)]
    assert found == [
        (f"urfd: points above {accuracy.NO_CONTEXT}", 5.0, 4.0),
        (f"person: points above {accuracy.NO_CONTEXT}", -5.0, 10.0),
        (f"urfd: points above {accuracy.UNTUNED}", -5.0, 2.0),
        ("urfd: points above MiniROAD", 25.0, 0.0),
    ]

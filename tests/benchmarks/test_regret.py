"""Regret is the distance to the best candidate of each task, and a task has no part in the choice that it judges."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCORES = {
    "even": {"a": 60.0, "b": 60.0, "c": 60.0},
    "specialist": {"a": 95.0, "b": 55.0, "c": 55.0},
}


@pytest.fixture
def regret(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("regret")


def test_regret_is_the_distance_to_the_best(regret):
    assert regret.regrets(SCORES, "abc") == {
        "even": {"a": 35.0, "b": 0.0, "c": 0.0},
        "specialist": {"a": 0.0, "b": 5.0, "c": 5.0},
    }


def test_a_task_does_not_choose_what_it_judges(regret):
    assert regret.chosen(SCORES, "abc") == "specialist"
    assert regret.chosen_without(SCORES, ["a", "b", "c"]) == {"a": "even", "b": "specialist", "c": "specialist"}
    baseline = {"a": 50.0, "b": 50.0, "c": 50.0}
    assert regret.gains(SCORES, baseline, ["a", "b", "c"]) == {"a": 10.0, "b": 5.0, "c": 5.0}


def test_of_equals_the_first_is_chosen(regret):
    assert regret.chosen({"first": {"a": 1.0}, "second": {"a": 1.0}}, ["a"]) == "first"

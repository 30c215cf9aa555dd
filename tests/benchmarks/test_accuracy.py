"""The table of `make accuracy` can be stopped and gone on with, and holds the default to what is asked of it."""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path

import pytest

from tests.support.switch_clips import make_clip
from videoseq.annotations.types import ClassNames
from videoseq.config.schema import TrainingSettings

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
        stopped.add(cell, 0.5, 0.1, 2.0)
    again = accuracy.Table({"machine": "one"}, 100.0, stopped.path)
    again.take_up()
    assert again.missing(names, DATASETS, num_seeds=2) == cells[7:]
    assert again.rows(names, DATASETS)[0] == [accuracy.OURS, "50.0 ± 0.0", "50.0 ± 0.0", "50.0 ± 0.0", "1/2", "6"]
    elsewhere = accuracy.Table({"machine": "another"}, 100.0, stopped.path)
    elsewhere.take_up()
    assert elsewhere.missing(names, DATASETS, num_seeds=2) == cells


def every(tasks: list[str], *values: float) -> dict[str, dict[str, float]]:
    return {task: {"0": value} for task, value in zip(tasks, values, strict=True)}


def test_the_default_is_held_to_what_it_is_asked_for(accuracy):
    tasks = ["urfd", "thermal"]
    ours, other, third = accuracy.COULD_BE_DEFAULT
    scores = {
        ours: every(tasks, 0.80, 0.30),
        other: every(tasks, 0.90, 0.10),
        third: {"urfd": {"0": 0.99}},  # not run on every task: no candidate
        accuracy.NO_CONTEXT: every(tasks, 0.70, 0.20),
        accuracy.UNTUNED: every(tasks, 0.70, 0.28),
    }
    found = [(what, pytest.approx(got), target) for what, got, target in accuracy.verdicts(scores, tasks)]
    assert found == [
        ("mean points above no context, chosen without the task", 0.0, 5.0),  # ours on urfd, the other on thermal
        ("… the worst of them (thermal)", -10.0, -1.0),
        ("urfd: macro F1 %", 80.0, 85.0),
        (f"thermal: points above {accuracy.NO_CONTEXT}", 10.0, 3.0),
        (f"thermal: points above {accuracy.UNTUNED}", 2.0, 3.0),
    ]
    table = accuracy.Table({}, 1.0, None, scores)
    assert table.regret_rows(accuracy.COULD_BE_DEFAULT, accuracy.NO_CONTEXT, tasks) == [
        [ours, "5.0", "10.0 (urfd)", "+10.0", "+10.0 (urfd)"],
        [other, "10.0", "20.0 (thermal)", "+5.0", "-10.0 (thermal)"],
    ]


def test_nothing_is_judged_without_what_it_is_compared_with(accuracy):
    assert list(accuracy.verdicts({accuracy.OURS: every(DATASETS, 0.9, 0.9, 0.9)}, DATASETS)) == []


def test_probabilities_are_held_to_what_is_asked_of_them(accuracy):
    errors = {accuracy.OURS: every(["urfd", "thermal"], 0.05, 0.25)}
    found = list(accuracy.calibration_verdicts(errors, ["urfd", "thermal"]))
    assert found == [
        ("urfd: calibration error, points", pytest.approx(5.0), 10.0),
        ("mean calibration error over tasks, points", pytest.approx(15.0), 12.0),
    ]
    assert list(accuracy.calibration_verdicts({}, ["urfd"])) == []


def test_the_default_is_measured_as_train_measures_itself(accuracy, monkeypatch):
    """On groups, what the others choose labels each; on stretches of time, where `train` has no groups, motion does."""
    recipes = importlib.import_module("accuracy_recipes")
    monkeypatch.setattr(recipes, "TrainingSettings", partial(TrainingSettings, max_epochs=2))
    clips = [make_clip(seed, group=f"g{seed}") for seed in range(4)]
    folds = [recipes.Fold([c for c in clips if c is not clip], [clip], 5) for clip in clips]
    for has_groups in (True, False):
        found = recipes.defaults(recipes.Dataset(ClassNames(["off", "on"]), folds, has_groups), 0)
        assert set(found) == {recipes.OURS, *recipes.CANDIDATES.values(), recipes.NO_CONTEXT}
        assert all(0 <= score.calibration_error <= 1 for score in found.values())
    assert found[recipes.OURS] == found[recipes.CANDIDATES["motion"]]

"""The scores of `make accuracy`: kept in a file, number by number, and shown as tables."""

from __future__ import annotations

import json
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from regret import regrets

from videoseq.storage.files import write_text


class Cell(NamedTuple):
    """One number of the table: a recipe, a dataset and a seed."""

    name: str
    which: str
    seed: int


Scores = dict[str, dict[str, dict[str, float]]]
"""By recipe, dataset and seed."""


@dataclass(frozen=True)
class Table:
    """Macro F1, calibration error and seconds by recipe and dataset, one number a seed; kept in a file, one by one.

    Attributes:
        described: What all numbers have in common.
        images_per_second: That the CNN takes, which is what its features cost.
        path: The file, or None.
    """

    described: dict[str, object]
    images_per_second: float
    path: Path | None
    macro_f1: Scores = field(default_factory=dict)
    calibration_error: Scores = field(default_factory=dict)
    seconds: Scores = field(default_factory=dict)

    def take_up(self) -> None:
        """Goes on from the file, if its numbers are of the same features, machine and libraries."""
        if self.path is None or not self.path.exists():
            return
        found = json.loads(self.path.read_text(encoding="utf-8"))
        if all(found.get(key) == value for key, value in self.described.items()):
            for name, numbers in self._numbers.items():
                numbers.update(found[name])

    def missing(self, names: Sequence[str], datasets: Sequence[str], num_seeds: int) -> list[Cell]:
        """What is still to be run: all recipes with one seed before any with the next."""
        cells = [Cell(name, which, seed) for seed in range(num_seeds) for name in names for which in datasets]
        return [cell for cell in cells if str(cell.seed) not in self.macro_f1.get(cell.name, {}).get(cell.which, {})]

    def add(self, cell: Cell, macro_f1: float, calibration_error: float | None, seconds: float) -> None:
        """Adds the numbers of a cell, some of which may be unknown, and writes the file again."""
        for table, number in zip(self._numbers.values(), (macro_f1, calibration_error, seconds), strict=True):
            if number is not None:
                table.setdefault(cell.name, {}).setdefault(cell.which, {})[str(cell.seed)] = number
        if self.path is not None:
            cost = {"images_per_second": self.images_per_second}
            write_text(self.path, json.dumps({**self.described, **cost, **self._numbers}, indent=1) + "\n")

    @property
    def _numbers(self) -> dict[str, Scores]:
        return {"macro_f1": self.macro_f1, "calibration_error": self.calibration_error, "seconds": self.seconds}

    def rows(self, names: Collection[str], tasks: Sequence[str]) -> list[list[str]]:
        """A line a recipe: mean and deviation over its seeds, how many those are, and core-seconds a seed."""
        rows = []
        for name in (name for name in names if name in self.macro_f1):
            by, seconds = self.macro_f1[name], self.seconds[name]
            numbers = [[100 * number for number in by.get(task, {}).values()] for task in tasks]
            means = [f"{statistics.mean(n):.1f} ± {statistics.pstdev(n):.1f}" if n else "" for n in numbers]
            each = sum(statistics.mean(by_seed.values()) for by_seed in seconds.values())
            rows.append([name, *means, "/".join(sorted({str(len(n)) for n in numbers})), f"{each:.0f}"])
        return rows

    def regret_rows(self, candidates: Collection[str], baseline: str, tasks: Sequence[str]) -> list[list[str]]:
        """A line a candidate: mean and worst regret, and mean and worst points above a baseline, with their tasks."""
        found = points(self.macro_f1, candidates, tasks)
        blind = points(self.macro_f1, [baseline], tasks).get(baseline)
        rows = []
        for name, of_tasks in regrets(found, tasks).items():
            worst = max(of_tasks, key=of_tasks.__getitem__)
            row = [name, f"{statistics.mean(of_tasks.values()):.1f}", f"{of_tasks[worst]:.1f} ({worst})", "", ""]
            if blind is not None:
                gained = {task: found[name][task] - blind[task] for task in tasks}
                least = min(gained, key=gained.__getitem__)
                row[3:] = [f"{statistics.mean(gained.values()):+.1f}", f"{gained[least]:+.1f} ({least})"]
            rows.append(row)
        return rows


def points(scores: Scores, names: Collection[str], tasks: Sequence[str]) -> dict[str, dict[str, float]]:
    """By recipe and task the mean over seeds, in points, of the recipes that were run on all of these tasks."""
    return {
        name: {task: 100 * statistics.mean(scores[name][task].values()) for task in tasks}
        for name in names
        if all(scores.get(name, {}).get(task) for task in tasks)
    }

"""How good labels are on clips that training did not see, next to what others do with the same features.

    make accuracy            # or: .venv/bin/python benchmarks/accuracy.py [--only NAME …] [--backbone NAME] [--seeds N]

The clips are those of `real_clips.py`. Every recipe gets the same features (ten steps a second; of the default backbone
unless another is named), the same splits and the same seeds, and is judged on every labeled native frame that was left
out: macro F1 over all of them together. Recipes run side by side, each on one core.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import recipes
import torch
from harness import machine, print_table, print_verdict
from real_clips import Dataset, load_datasets
from recipes import Labeler, Sequences

from videoseq.annotations.types import ClassNames
from videoseq.config.runtime import RuntimeChoice
from videoseq.config.schema import BackboneSettings, HeadSettings, TrainingSettings
from videoseq.data.dataset import Clip
from videoseq.data.sequences import to_sequence
from videoseq.evaluation.evaluate import label_features
from videoseq.evaluation.metrics import confusion_matrix, frame_metrics
from videoseq.features.backbones import Backbone, load_backbone
from videoseq.features.runtimes import select_runtime
from videoseq.features.runtimes.speed import measure_speed
from videoseq.storage.files import write_text
from videoseq.system.hardware import num_usable_cores
from videoseq.training.fit import fit
from videoseq.video.sampling import step_rows

Predictor = Callable[[Clip], np.ndarray]
"""A clip to the class index of each of its native frames."""
Recipe = Callable[[Sequence[Clip], ClassNames, int], Predictor]

OURS, NO_CONTEXT, UNTUNED = "videoseq", "videoseq, no context", "GRU on features and differences, untuned"


def ours(clips: Sequence[Clip], classes: ClassNames, seed: int, head: HeadSettings, **training: object) -> Predictor:
    """What `videoseq train` keeps: fitted on all clips that it is given."""
    settings = TrainingSettings.model_validate({"seed": seed, **training})
    fitted = fit(clips, [], len(classes), head, settings).head
    return lambda clip: np.concatenate([part.class_index for part in label_features(fitted, clip.features, classes)])


def theirs(
    clips: Sequence[Clip], classes: ClassNames, seed: int, recipe: Callable[[Sequences, int, int], Labeler]
) -> Predictor:
    """A recipe of `recipes.py`, brought from steps to native frames as ours are."""
    with torch.random.fork_rng():
        label = recipe([_steps(clip) for clip in clips], len(classes), seed)

    def predict(clip: Clip) -> np.ndarray:
        with torch.no_grad():
            labels = label(_steps(clip)[0]).numpy()
        return labels[np.maximum(step_rows(clip.features.steps)[1], 0)]

    return predict


def _steps(clip: Clip) -> tuple[torch.Tensor, torch.Tensor]:
    sequence = to_sequence(clip)
    return torch.from_numpy(np.array(sequence.features[sequence.rows])), torch.from_numpy(sequence.targets)


RECIPES: dict[str, Recipe] = {
    OURS: partial(ours, head=HeadSettings()),
    NO_CONTEXT: partial(ours, head=HeadSettings(cell="none", inputs="features")),
    "videoseq, differences only": partial(ours, head=HeadSettings(inputs="differences")),
    "videoseq, one stream for both": partial(ours, head=HeadSettings(inputs="joint")),
    "videoseq, LSTM": partial(ours, head=HeadSettings(cell="lstm")),
    "videoseq, TCN": partial(ours, head=HeadSettings(cell="tcn", num_layers=10)),  # a stage of MS-TCN
    "videoseq, attention": partial(ours, head=HeadSettings(cell="attention", num_layers=2)),
    "videoseq, bidirectional": partial(ours, head=HeadSettings(bidirectional=True)),
    "videoseq, windows without a state": partial(ours, head=HeadSettings(), state="zero"),
    "videoseq, clips stretched, with noise": partial(ours, head=HeadSettings(), time_stretch=0.3, noise=0.2),
    "videoseq, five networks": partial(ours, head=HeadSettings(), ensemble=5),
    UNTUNED: partial(
        ours,
        head=HeadSettings(hidden_size=128, components=0, inputs="joint", difference_lags=(1,)),
        max_epochs=100,
        learning_rate=3e-4,
    ),
    "lightning-action 1.1, LSTM": partial(theirs, recipe=recipes.lightning_action),
    "MiniROAD": partial(theirs, recipe=recipes.miniroad),
    "ordered, carried hidden (BNPitfalls)": partial(theirs, recipe=recipes.carried_hidden),
    "MS-TCN, causal": partial(theirs, recipe=recipes.causal_ms_tcn),
}


def macro_f1(recipe: Recipe, dataset: Dataset, seed: int) -> float:
    """Over the labeled frames of all folds together."""
    total = np.zeros((len(dataset.classes), len(dataset.classes)), dtype=np.int64)
    for fold in dataset.folds:
        predict = recipe(fold.train, dataset.classes, seed)
        for clip in fold.test:
            frames = slice(fold.first_test_frame, None)
            total += confusion_matrix(clip.targets[frames], predict(clip)[frames], len(dataset.classes))
    return frame_metrics(total, dataset.classes).macro_f1 or 0.0


def verdicts(scores: Scores) -> Iterator[tuple[str, float, float]]:
    """What is asked of the default, in points of macro F1 above something else, where both have been run."""
    asked = [
        (NO_CONTEXT, "urfd", 4.0),
        (NO_CONTEXT, "person", 10.0),
        (NO_CONTEXT, "bottle", 10.0),
        (UNTUNED, "urfd", 2.0),
    ]
    asked += [(name, "urfd", 0.0) for name in RECIPES if not name.startswith("videoseq") and name != UNTUNED]
    for name, which, target in asked:
        mine, other = (scores.get(one, {}).get(which, {}) for one in (OURS, name))
        if mine and other:
            yield f"{which}: points above {name}", 100 * (mean_of(mine) - mean_of(other)), target


def mean_of(by_seed: dict[str, float]) -> float:
    """Over seeds."""
    return statistics.mean(by_seed.values())


class Cell(NamedTuple):
    """One number of the table: a recipe, a dataset and a seed."""

    name: str
    which: str
    seed: int


Scores = dict[str, dict[str, dict[str, float]]]
"""By recipe, dataset and seed."""


@dataclass(frozen=True)
class Table:
    """Macro F1, and the seconds it took, by recipe and dataset, one number a seed; kept in a file, number by number.

    Attributes:
        described: What all numbers have in common.
        images_per_second: That the CNN takes, which is what its features cost.
        path: The file, or None.
    """

    described: dict[str, object]
    images_per_second: float
    path: Path | None
    macro_f1: Scores = field(default_factory=dict)
    seconds: Scores = field(default_factory=dict)

    def take_up(self) -> None:
        """Goes on from the file, if its numbers are of the same features, machine and libraries."""
        if self.path is None or not self.path.exists():
            return
        found = json.loads(self.path.read_text(encoding="utf-8"))
        if all(found.get(key) == value for key, value in self.described.items()):
            self.macro_f1.update(found["macro_f1"])
            self.seconds.update(found["seconds"])

    def missing(self, names: Sequence[str], datasets: Sequence[str], num_seeds: int) -> list[Cell]:
        """What is still to be run: all recipes with one seed before any with the next."""
        cells = [Cell(name, which, seed) for seed in range(num_seeds) for name in names for which in datasets]
        return [cell for cell in cells if str(cell.seed) not in self.macro_f1.get(cell.name, {}).get(cell.which, {})]

    def add(self, cell: Cell, macro_f1: float, seconds: float) -> None:
        """Adds a number and writes the file again."""
        for table, number in ((self.macro_f1, macro_f1), (self.seconds, seconds)):
            table.setdefault(cell.name, {}).setdefault(cell.which, {})[str(cell.seed)] = number
        if self.path is not None:
            numbers = {"macro_f1": self.macro_f1, "seconds": self.seconds}
            cost = {"images_per_second": self.images_per_second}
            write_text(self.path, json.dumps({**self.described, **cost, **numbers}, indent=1) + "\n")

    def rows(self, datasets: Sequence[str]) -> list[list[str]]:
        """A line a recipe: mean and deviation over its seeds, how many those are, and core-seconds a seed."""
        rows = []
        for name in (name for name in RECIPES if name in self.macro_f1):
            by, seconds = self.macro_f1[name], self.seconds[name]
            numbers = [[100 * number for number in by.get(which, {}).values()] for which in datasets]
            means = [f"{statistics.mean(n):.1f} ± {statistics.pstdev(n):.1f}" if n else "" for n in numbers]
            each = sum(statistics.mean(by_seed.values()) for by_seed in seconds.values())
            rows.append([name, *means, "/".join(sorted({str(len(n)) for n in numbers})), f"{each:.0f}"])
        return rows


_datasets: dict[str, Dataset] = {}
"""Of a process that runs recipes: loaded once."""


def _begin(backbone: Backbone) -> None:
    torch.set_num_threads(1)  # the cores have a recipe each
    _datasets.update(load_datasets(backbone))


def _run(cell: Cell) -> tuple[float, float]:
    start = time.process_time()
    return macro_f1(RECIPES[cell.name], _datasets[cell.which], cell.seed), time.process_time() - start


def main() -> None:
    """Prints one table and the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES), help="not all recipes")
    parser.add_argument("--backbone", default=BackboneSettings().name, help="what makes the features")
    parser.add_argument("--bands", type=int, help="of the image, each with features of its own")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--json", type=Path, help="where the scores go, one by one")
    parser.add_argument("--keep", action="store_true", help="do not run again what the file has scores of")
    arguments = parser.parse_args()
    backbone = load_backbone(BackboneSettings(name=arguments.backbone, bands=arguments.bands))
    datasets = list(load_datasets(backbone))  # computes the features, once for all processes
    runtime = select_runtime(backbone, RuntimeChoice(precision="float32"))
    described = {"machine": machine(), "backbone": backbone.identity.model_dump(mode="json")}
    table = Table(described, measure_speed(runtime), arguments.json)
    if arguments.keep:
        table.take_up()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_usable_cores(), spawn, initializer=_begin, initargs=(backbone,)) as pool:
        cells = table.missing(arguments.only, datasets, arguments.seeds)
        running = {pool.submit(_run, cell): cell for cell in cells}
        for done in as_completed(running):
            cell = running[done]
            table.add(cell, *done.result())
            number = 100 * table.macro_f1[cell.name][cell.which][str(cell.seed)]
            print(f"{cell.name}: {cell.which}, seed {cell.seed}: {number:.1f}", flush=True)
    print(f"\n{arguments.backbone}, {backbone.identity.bands} bands: {table.images_per_second:.0f} images/s", end="")
    print(f" ({runtime.description})\nmacro F1, %: mean ± standard deviation over seeds\n")
    print_table(["trained", *datasets, "seeds", "core-seconds a seed"], table.rows(datasets))
    for what, got, target in verdicts(table.macro_f1):
        print_verdict(what, got, target)


if __name__ == "__main__":
    main()

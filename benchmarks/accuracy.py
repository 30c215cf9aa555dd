"""How good labels are on clips that training did not see, compared with what others do with the same features.

    make accuracy            # or: .venv/bin/python benchmarks/accuracy.py [--all] [--only NAME …] [--seeds N]

The tasks are those of `real_clips.py`. Every recipe gets the same features (ten steps a second; of the default backbone
unless another is named), the same splits and the same seeds, and is judged on every labeled native frame that was left
out: macro F1 over all of them together. A default is chosen by its regret over all tasks (`regret.py`), and the choice
is judged on a task that had no part in it. Recipes run side by side, each on one core.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import numpy as np
import recipes
import torch
from accuracy_table import Cell, Scores, Table, points
from harness import machine, print_table, print_verdict
from real_clips import TASKS, Dataset, load_datasets
from recipes import Labeler, Sequences
from regret import chosen_without, gains

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
from videoseq.system.hardware import num_usable_cores
from videoseq.training.fit import fit
from videoseq.video.sampling import step_rows

Predictor = Callable[[Clip], np.ndarray]
"""A clip to the class index of each of its native frames."""
Recipe = Callable[[Sequence[Clip], ClassNames, int], Predictor]

OURS, NO_CONTEXT = "videoseq", "videoseq, no context"
UNTUNED, MS_TCN = "GRU on features and differences, untuned", "MS-TCN, causal"


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


CANDIDATES: dict[str, Recipe] = {
    OURS: partial(ours, head=HeadSettings()),
    "videoseq, differences for motion": partial(ours, head=HeadSettings(inputs="two_streams")),
    "videoseq, motion and differences": partial(ours, head=HeadSettings(inputs="three_streams")),
}
"""What could be the default."""
SHORT: dict[str, Recipe] = {
    **CANDIDATES,
    NO_CONTEXT: partial(ours, head=HeadSettings(cell="none", inputs="features")),
    UNTUNED: partial(
        ours,
        head=HeadSettings(hidden_size=128, components=0, inputs="joint", difference_lags=(1,)),
        max_epochs=100,
        learning_rate=3e-4,
    ),
    MS_TCN: partial(theirs, recipe=recipes.causal_ms_tcn),
}
RECIPES: dict[str, Recipe] = {
    **SHORT,
    "videoseq, differences only": partial(ours, head=HeadSettings(inputs="differences")),
    "videoseq, LSTM": partial(ours, head=HeadSettings(cell="lstm")),
    "videoseq, TCN": partial(ours, head=HeadSettings(cell="tcn", num_layers=10)),  # a stage of MS-TCN
    "videoseq, attention": partial(ours, head=HeadSettings(cell="attention", num_layers=2)),
    "videoseq, bidirectional": partial(ours, head=HeadSettings(bidirectional=True)),
    "videoseq, windows without a state": partial(ours, head=HeadSettings(), state="zero"),
    "videoseq, clips stretched, with noise": partial(ours, head=HeadSettings(), time_stretch=0.3, noise=0.2),
    "videoseq, five networks": partial(ours, head=HeadSettings(), ensemble=5),
    "lightning-action 1.1, LSTM": partial(theirs, recipe=recipes.lightning_action),
    "MiniROAD": partial(theirs, recipe=recipes.miniroad),
    "ordered, carried hidden (BNPitfalls)": partial(theirs, recipe=recipes.carried_hidden),
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


def verdicts(scores: Scores, tasks: Sequence[str]) -> Iterator[tuple[str, float, float]]:
    """What is asked of the default, where what it is compared with was run on all tasks."""
    found, others = points(scores, CANDIDATES, tasks), points(scores, RECIPES, tasks)
    if NO_CONTEXT not in others or OURS not in found:
        return
    own, blind = found[OURS], others[NO_CONTEXT]
    if len(tasks) > 1:
        gained = gains(found, blind, tasks)
        yield "mean points above no context, chosen without the task", statistics.mean(gained.values()), 5.0
        yield f"… the worst of them ({min(gained, key=gained.__getitem__)})", min(gained.values()), -1.0
    for task, target in (("urfd", 85.0), ("bottle", 90.0), ("person", 98.0)):
        if task in tasks:
            yield f"{task}: macro F1 %", own[task], target
    for task in (task for task in ("overhead", "thermal", "handwash") if task in tasks):
        yield f"{task}: points above {NO_CONTEXT}", own[task] - blind[task], 3.0
        if UNTUNED in others:
            yield f"{task}: points above {UNTUNED}", own[task] - others[UNTUNED][task], 3.0


_datasets: dict[str, Dataset] = {}
"""Of a process that runs recipes: loaded once."""


def _begin(backbone: Backbone, tasks: Sequence[str]) -> None:
    torch.set_num_threads(1)  # the cores have a recipe each
    _datasets.update(load_datasets(backbone, tasks))


def _run(cell: Cell) -> tuple[float, float]:
    start = time.process_time()
    return macro_f1(RECIPES[cell.name], _datasets[cell.which], cell.seed), time.process_time() - start


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every recipe, which takes hours, not the short list alone")
    parser.add_argument("--only", nargs="+", choices=RECIPES, help="these recipes")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="not all tasks")
    parser.add_argument("--backbone", default=BackboneSettings().name, help="what makes the features")
    parser.add_argument("--bands", type=int, help="of the image, each with features of its own")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--json", type=Path, help="where the scores go, one by one")
    parser.add_argument("--keep", action="store_true", help="do not run again what the file has scores of")
    return parser.parse_args()


def main() -> None:
    """Prints the tables and the verdicts."""
    arguments = _parse()
    backbone = load_backbone(BackboneSettings(name=arguments.backbone, bands=arguments.bands))
    tasks = arguments.tasks
    load_datasets(backbone, tasks)  # computes the features, once for all processes
    runtime = select_runtime(backbone, RuntimeChoice(precision="float32"))
    described = {"machine": machine(), "backbone": backbone.identity.model_dump(mode="json")}
    table = Table(described, measure_speed(runtime), arguments.json)
    if arguments.keep:
        table.take_up()
    spawn = multiprocessing.get_context("spawn")
    names = arguments.only or list(RECIPES if arguments.all else SHORT)
    with ProcessPoolExecutor(num_usable_cores(), spawn, initializer=_begin, initargs=(backbone, tasks)) as pool:
        cells = table.missing(names, tasks, arguments.seeds)
        running = {pool.submit(_run, cell): cell for cell in cells}
        for done in as_completed(running):
            cell = running[done]
            table.add(cell, *done.result())
            number = 100 * table.macro_f1[cell.name][cell.which][str(cell.seed)]
            print(f"{cell.name}: {cell.which}, seed {cell.seed}: {number:.1f}", flush=True)
    print(f"\n{arguments.backbone}, {backbone.identity.bands} bands: {table.images_per_second:.0f} images/s", end="")
    print(f" ({runtime.description})\nmacro F1, %: mean ± standard deviation over seeds\n")
    print_table(["trained", *tasks, "seeds", "core-seconds a seed"], table.rows(RECIPES, tasks))
    print("\nregret: points below the best candidate of a task\n")
    header = ["candidate", "mean regret", "worst", "above no context", "worst"]
    print_table(header, table.regret_rows(CANDIDATES, NO_CONTEXT, tasks))
    candidates = points(table.macro_f1, CANDIDATES, tasks)
    if len(tasks) > 1 and candidates:
        print("\nchosen without the task:")
        for task, name in chosen_without(candidates, tasks).items():
            print(f"  {task}: {name}")
    for what, got, target in verdicts(table.macro_f1, tasks):
        print_verdict(what, got, target)


if __name__ == "__main__":
    main()

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
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import torch
from accuracy_recipes import CANDIDATES, NO_CONTEXT, OURS, RECIPES, ROWS, SHORT, UNTUNED, Score
from accuracy_table import Cell, Scores, Table, points
from harness import machine, print_table, print_verdict
from real_clips import TASKS, Dataset, load_datasets
from regret import chosen_without, gains

from videoseq.config.runtime import RuntimeChoice
from videoseq.config.schema import BackboneSettings
from videoseq.features.backbones import Backbone, load_backbone
from videoseq.features.runtimes import select_runtime
from videoseq.features.runtimes.speed import measure_speed
from videoseq.system.hardware import num_usable_cores

COULD_BE_DEFAULT = [OURS, *CANDIDATES.values()]


def verdicts(scores: Scores, tasks: Sequence[str]) -> Iterator[tuple[str, float, float]]:
    """What is asked of the default, where what it is compared with was run on all tasks."""
    found, others = points(scores, COULD_BE_DEFAULT, tasks), points(scores, ROWS, tasks)
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


def calibration_verdicts(errors: Scores, tasks: Sequence[str]) -> Iterator[tuple[str, float, float]]:
    """What is asked of the default's probabilities, in percentage points."""
    found = points(errors, [OURS], tasks).get(OURS)
    if found is None:
        return
    if "urfd" in tasks:
        yield "urfd: calibration error, points", found["urfd"], 10.0
    yield "mean calibration error over tasks, points", statistics.mean(found.values()), 12.0


_datasets: dict[str, Dataset] = {}
"""Of a process that runs recipes: loaded once."""


def _begin(backbone: Backbone, tasks: Sequence[str]) -> None:
    torch.set_num_threads(1)  # the cores have a recipe each
    _datasets.update(load_datasets(backbone, tasks))


def _run(cell: Cell) -> tuple[dict[str, Score], float]:
    start = time.process_time()
    found = RECIPES[cell.name](_datasets[cell.which], cell.seed)
    return {name or cell.name: score for name, score in found.items()}, time.process_time() - start


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every recipe, which takes hours, not the short list alone")
    parser.add_argument("--only", nargs="+", choices=RECIPES, help="these recipes")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="not all tasks")
    parser.add_argument("--backbone", default=BackboneSettings().name, help="what makes the features")
    parser.add_argument("--bands", type=int, help="of the image, each with features of its own")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--seeds-of-others", type=int, help="of recipes that are not ours; by default 1, with --all 3")
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
        of_others = arguments.seeds_of_others or (arguments.seeds if arguments.all or arguments.only else 1)
        cells = table.missing([OURS] if OURS in names else [], tasks, arguments.seeds)
        cells += table.missing([name for name in names if name != OURS], tasks, of_others)
        running = {pool.submit(_run, cell): cell for cell in cells}
        for done in as_completed(running):
            cell, (found, seconds) = running[done], done.result()
            for name, score in found.items():
                table.add(cell._replace(name=name), *score, seconds)
                print(f"{name}: {cell.which}, seed {cell.seed}: {100 * score.macro_f1:.1f}", flush=True)
    print(f"\n{arguments.backbone}, {backbone.identity.bands} bands: {table.images_per_second:.0f} images/s", end="")
    print(f" ({runtime.description})\nmacro F1, %: mean ± standard deviation over seeds\n")
    print_table(["trained", *tasks, "seeds", "core-seconds a seed"], table.rows(ROWS, tasks))
    print("(the four rows of videoseq with one network a row come from the same fits, and each has their time)")
    print("\nregret: points below the best candidate of a task\n")
    header = ["candidate", "mean regret", "worst", "above no context", "worst"]
    print_table(header, table.regret_rows(COULD_BE_DEFAULT, NO_CONTEXT, tasks))
    candidates = points(table.macro_f1, COULD_BE_DEFAULT, tasks)
    if len(tasks) > 1 and candidates:
        print("\nchosen without the task:")
        for task, name in chosen_without(candidates, tasks).items():
            print(f"  {task}: {name}")
    for what, got, target in verdicts(table.macro_f1, tasks):
        print_verdict(what, got, target)
    for what, got, limit in calibration_verdicts(table.calibration_error, tasks):
        print_verdict(what, got, limit, at_most=True)


if __name__ == "__main__":
    main()

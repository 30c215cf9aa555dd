"""train --sweep: what the search shows, and what to think of numbers measured after one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .console import Console, percent

if TYPE_CHECKING:
    from videoseq.annotations.types import ClassNames
    from videoseq.config.schema import TrainSettings
    from videoseq.data.dataset import Clip
    from videoseq.errors import Notice
    from videoseq.training.fit import FitPlace
    from videoseq.training.sweep import Trial


def swept(
    clips: Sequence[Clip],
    classes: ClassNames,
    settings: TrainSettings,
    num_trials: int,
    place: FitPlace,
    console: Console,
) -> tuple[TrainSettings, Notice]:
    """The best settings of a sweep, and what to think of numbers measured after one."""
    from videoseq.errors import Notice
    from videoseq.training.sweep import sweep

    with console.progress("sweep") as bar:
        task = bar.add_task("sweep", total=num_trials, note="") if bar is not None else None

        def show(trial: Trial) -> None:
            console.detail(f"sweep: trial {trial.number}: macro F1 {percent(trial.macro_f1)} %: {_changes(trial)}")
            if bar is not None and task is not None:
                bar.update(task, advance=1, note=f"macro F1 {percent(trial.macro_f1)} %")

        best, trials = sweep(clips, classes, settings, num_trials, place=place, on_trial=show)
    winner = max(trials, key=lambda trial: trial.macro_f1)
    text = (
        f"of {num_trials} sets of settings the best on clips that were not learnt from was taken: macro F1 "
        f"{percent(winner.macro_f1)} %, {percent(trials[0].macro_f1)} % as given; numbers of the same clips are a "
        f"little too good; settings: {_changes(winner)}"
    )
    notice = Notice("swept", text)
    console.warn(notice)
    return best, notice


def _changes(trial: Trial) -> str:
    items = trial.changed.items()
    shown = [f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in items]
    return ", ".join(shown) or "as given"

"""What training and evaluation show: epochs as they go by, and the headline numbers at the end."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING

from .console import Console, percent, table

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from videoseq.config.schema import TrainingSettings
    from videoseq.evaluation.metrics import Estimate
    from videoseq.evaluation.metrics_json import FoldResult
    from videoseq.evaluation.results import Evaluation
    from videoseq.models.model_folder import ModelFolder
    from videoseq.training.loop import EpochRecord


class EpochLines:
    """Shows epochs: a bar on a terminal, a line for each with ``--verbose`` elsewhere."""

    def __init__(self, console: Console, bar: Progress | None, settings: TrainingSettings) -> None:
        self._console = console
        self._bar = bar
        self._settings = settings
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, head: str, record: EpochRecord) -> None:
        """Shows an epoch of a head."""
        val_loss = "" if record.val_loss is None else f", validation {record.val_loss:.3f}"
        losses = f"loss {record.train_loss:.3f}{val_loss}"
        if self._bar is None:
            member = f", network {record.member + 1}" if self._settings.ensemble > 1 else ""
            self._console.detail(f"{head}{member}: epoch {record.epoch}: {losses}")
            return
        if head not in self._tasks:
            self._tasks[head] = self._bar.add_task(head, total=record.max_epochs * self._settings.ensemble, note="")
        completed = record.member * record.max_epochs + record.epoch + 1
        self._bar.update(self._tasks[head], completed=completed, note=losses)


def fold_lines(folds: Sequence[FoldResult]) -> list[str]:
    """How far the folds of a cross-validation are apart."""
    from videoseq.evaluation.results import MODEL

    scores = [fold.headline[MODEL]["macro_f1"] for fold in folds]
    known = [score for score in scores if score is not None]
    if len(known) < 2:
        return []
    spread = f"{percent(mean(known))} % ± {percent(stdev(known))}, from {percent(min(known))} to {percent(max(known))}"
    return [f"macro F1 over the {len(known)} folds: {spread}"]


def looks_ahead(contents: ModelFolder) -> str:
    """Whether a model's labels depend on later frames, for the facts of reports and model cards."""
    if not contents.looks_ahead:
        return "no"
    how_far = "to the video's end" if contents.head.looks_ahead else f"by {contents.head.decoding.delay_seconds:g} s"
    return f"yes, {how_far}; it cannot stream"


IN_TABLES = (
    "accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "exact_match", "mean_average_precision", "edit",
    "f1_at_10", "f1_at_50",
)  # fmt: skip
"""The headline numbers that fit a terminal, of whichever task."""


def metrics_table(evaluation: Evaluation) -> list[str]:
    """The headline numbers of every labeller, side by side, with their intervals and what they were drawn over."""
    from videoseq.evaluation.metrics import HEADLINES, MULTILABEL_HEADLINES

    headlines = {**HEADLINES, **MULTILABEL_HEADLINES}
    labellers = [*evaluation.metrics.values()]
    model = labellers[0]
    rows = [
        [f"{headlines[name].title} %", *(_with_interval(metrics.headline[name]) for metrics in labellers)]
        for name in IN_TABLES
        if name in model.headline
    ]
    lines = table(["", *evaluation.metrics], rows)
    drawn = f"{model.num_resampled} {model.resampled}"
    note = f"95 % intervals over {drawn}" if model.num_resampled > 1 else f"no intervals from {drawn[:-1]}"
    return [*lines, f"{model.num_frames} labelled frames; {note}"]


def difference_table(evaluation: Evaluation) -> list[str]:
    """What the model is better at than the previous one, number by number; nothing without one."""
    from videoseq.evaluation.metrics import HEADLINES, MULTILABEL_HEADLINES

    found, headlines = evaluation.minus_previous, {**HEADLINES, **MULTILABEL_HEADLINES}
    rows = []
    for name in (name for name in IN_TABLES if name in found):
        one = found[name]
        numbers = [_points(value) for value in (one.value, one.low, one.high)]
        rows.append([headlines[name].title, *numbers, "–" if one.p_value is None else f"{one.p_value:.3f}"])
    return ["", *table(["model minus previous model, %", "", "from", "to", "p"], rows)] if rows else []


def _points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f}"


def _with_interval(estimate: Estimate) -> str:
    if estimate.low is None:
        return percent(estimate.value)
    return f"{percent(estimate.value)} ({percent(estimate.low)} to {percent(estimate.high)})"

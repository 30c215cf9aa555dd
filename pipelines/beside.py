"""What ``evaluate --baseline`` does: a previous model on the same clips, and what the new one is better at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import dataset as datasets
from .console import Console, table
from .extraction import Workers

if TYPE_CHECKING:
    from videoseq.annotations.types import ClassNames
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.data.dataset import Clip
    from videoseq.evaluation.metrics import LabelledVideo
    from videoseq.evaluation.tasks import AnyEvaluation
    from videoseq.inference.model import Model


@dataclass(frozen=True)
class Previous:
    """A model that another is compared with, and what runs its CNN."""

    folder: Path
    model: Model
    choice: RuntimeChoice

    def label(
        self, clips: Sequence[Clip], classes: ClassNames, cache: Path, console: Console, num_workers: int = 1
    ) -> list[LabelledVideo]:
        """The clips as this model labels them, from features of its own; ``classes`` are the other model's."""
        from videoseq.evaluation.evaluate import label_clips_as

        workers = Workers(num_workers, self.folder, self.choice) if num_workers > 1 else None
        seen = datasets.with_features_of(self.model, clips, cache, console, workers)
        return label_clips_as(self.model.contents.head, seen, self.model.classes, classes)

    @property
    def facts(self) -> dict[str, Any]:
        """What the report says of it."""
        return {"previous model": self.folder, "previous model sha256": self.model.contents.sha256}

    def as_dict(self) -> dict[str, Any]:
        """What ``metrics.json`` says of it."""
        return {"path": str(self.folder), "sha256": self.model.contents.sha256}


def load_previous(folder: Path, model: Model, choice: RuntimeChoice) -> Previous:
    """The previous model.

    Raises:
        ModelError: It cannot be loaded, or its task or its classes are not those of ``model``.
    """
    from videoseq.errors import ModelError
    from videoseq.evaluation.evaluate import check_same_classes
    from videoseq.inference.model import open_model

    loaded = open_model(folder, choice)
    tasks = [one.contents.config.settings.data.task for one in (model, loaded)]
    if tasks[0] != tasks[1]:
        raise ModelError(f"{folder}: expected a model of the task {tasks[0]}, as the other is, got {tasks[1]}")
    try:
        check_same_classes(loaded.classes, model.classes)
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from None
    return Previous(folder, loaded, choice)


def difference_table(evaluation: AnyEvaluation) -> list[str]:
    """What the model is better at than the previous one, number by number; nothing without one."""
    from videoseq.evaluation.metrics import HEADLINES, MULTILABEL_HEADLINES

    from .train_screen import IN_TABLES

    found, headlines = evaluation.minus_previous, {**HEADLINES, **MULTILABEL_HEADLINES}
    rows = []
    for name in (name for name in IN_TABLES if name in found):
        one = found[name]
        numbers = [_points(value) for value in (one.value, one.low, one.high)]
        rows.append([headlines[name].title, *numbers, "–" if one.p_value is None else f"{one.p_value:.3f}"])
    return ["", *table(["model minus previous model, %", "", "from", "to", "p"], rows)] if rows else []


def _points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f}"

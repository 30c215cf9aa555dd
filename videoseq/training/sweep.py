"""Settings of the head and its training, tried one after the other on clips that are held back from training.

The search is Optuna's (extra ``sweep``): a tree-structured Parzen estimator (Bergstra et al. 2011), which is seeded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from videoseq.annotations.types import ClassNames
from videoseq.config.schema import TrainSettings
from videoseq.data.dataset import Clip
from videoseq.data.splits import leave_groups_out, split_clips
from videoseq.errors import AnnotationError, ConfigError, Notice
from videoseq.evaluation.evaluate import label_clips
from videoseq.evaluation.metrics import confusion_matrix, frame_metrics
from videoseq.jobs.events import Listener, Progress
from videoseq.training.calibration import best_macro_f1
from videoseq.training.fit import FitEnvironment, fit

if TYPE_CHECKING:
    import optuna

_CHOICES: dict[str, tuple[Any, ...]] = {
    "head.inputs": ("motion", "three_streams", "two_streams"),
    "head.components": (32, 64, 128),
    "head.hidden_size": (32, 64, 128),
    "training.tbptt_steps": (32, 64, 128),
}
_RANGES = {"head.dropout": (0.0, 0.6)}
_LOG_RANGES = {"training.learning_rate": (3e-4, 3e-3), "training.weight_decay": (5e-3, 0.5)}


@dataclass(frozen=True)
class Trial:
    """One set of settings and its score.

    Attributes:
        number: From 0, which is the settings as they were given.
        changed: What was set, by dotted name; empty for the first.
        macro_f1: Over the labeled frames of the clips that were not learned from, from 0 to 1.
    """

    number: int
    changed: dict[str, Any]
    macro_f1: float

    @property
    def text(self) -> str:
        """The score and the changed settings, for people."""
        items = self.changed.items()
        shown = [f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in items]
        return f"macro F1 {100 * self.macro_f1:.1f} % with {', '.join(shown) or 'the given settings'}"


def sweep(
    clips: Sequence[Clip],
    classes: ClassNames,
    settings: TrainSettings,
    num_trials: int,
    *,
    environment: FitEnvironment | None = None,
) -> tuple[TrainSettings, list[Trial]]:
    """The settings of the best trial, the given ones among them, and all trials.

    Args:
        clips: As for :func:`videoseq.training.train.train_model`; test clips are not looked at.
        classes: In the order of the logits.
        settings: What to begin with, and what the search does not change.
        num_trials: How many sets of settings are tried, one or more.
        environment: Where networks are fitted; its listener hears of every trial.

    Raises:
        ConfigError: Optuna is not installed.
        AnnotationError: There are no clips to validate on.
    """
    library = import_optuna()
    environment = environment or FitEnvironment()
    listener, silent = environment.listener, replace(environment, listener=_NoticesOnly(environment.listener))
    folds, choices = _folds(clips, classes, settings), possible_choices(settings)
    trials: list[Trial] = []

    def try_out(trial: optuna.Trial) -> float:
        changed = _suggest(trial, choices) if trial.number else {}
        name = f"trial {trial.number + 1} of {num_trials}"
        score = _macro_f1(folds, classes, with_changes(settings, changed), silent, name)
        trials.append(Trial(trial.number, changed, score))
        listener.on_message(f"sweep: {name}: {trials[-1].text}", event="trial", is_detail=True, **asdict(trials[-1]))
        listener.on_progress(Progress("sweep", len(trials), num_trials, f"macro F1 {100 * score:.1f} %"))
        return score

    sampler = library.samplers.TPESampler(seed=settings.training.seed)
    study = library.create_study(direction="maximize", sampler=sampler)
    study.optimize(try_out, n_trials=num_trials)
    best = max(trials, key=lambda trial: trial.macro_f1)  # the first of equals
    return with_changes(settings, best.changed), trials


def import_optuna() -> ModuleType:
    """Optuna, which logs warnings only.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(f'sweep needs Optuna: pip install "videoseq[sweep]"; importing it said: {error}') from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class _NoticesOnly(Listener):
    """Passes notices on, but not the epochs of many short fits."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def on_notice(self, notice: Notice) -> None:
        self._listener.on_notice(notice)


def sweep_notice(trials: Sequence[Trial]) -> Notice:
    """What to know of numbers that are measured after a sweep."""
    best = max(trials, key=lambda trial: trial.macro_f1)
    text = (
        f"the best of {len(trials)} sets of settings was taken; on clips that were held back from training it has "
        f"{best.text}, the given settings {100 * trials[0].macro_f1:.1f} %; numbers of the same clips are a little "
        "too good"
    )
    return Notice("swept", text)


def with_changes(settings: TrainSettings, changed: dict[str, Any]) -> TrainSettings:
    """The settings with some of them changed, by their dotted names."""
    values = settings.model_dump()
    for name, value in changed.items():
        group, _, key = name.partition(".")
        values[group][key] = value
    return TrainSettings.model_validate(values)


def possible_choices(settings: TrainSettings) -> dict[str, tuple[Any, ...]]:
    """By dotted name the values to choose from that go with the settings: attention's heads must share its units."""
    found: dict[str, tuple[Any, ...]] = {}
    for name, values in _CHOICES.items():
        for value in values:
            with suppress(ValidationError):
                with_changes(settings, {name: value})
                found[name] = (*found.get(name, ()), value)
    return found


def _suggest(trial: optuna.Trial, choices: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    drawn: dict[str, Any] = {name: trial.suggest_categorical(name, values) for name, values in choices.items()}
    drawn |= {name: trial.suggest_float(name, *ends) for name, ends in _RANGES.items()}
    return drawn | {name: trial.suggest_float(name, *ends, log=True) for name, ends in _LOG_RANGES.items()}


def _folds(
    clips: Sequence[Clip], classes: ClassNames, settings: TrainSettings
) -> list[tuple[Sequence[Clip], Sequence[Clip]]]:
    """What to learn from and what to judge by: the validation clips, or in cross-validation each fold's."""
    limit = settings.data.cross_validation
    if limit is not None and limit != "auto":  # not unasked: each trial would take several times as long
        folds = leave_groups_out(clips, len(classes), limit)
        return [(fold.train, fold.held_out) for fold in folds]
    splits = split_clips(clips, classes, settings.data, settings.training.seed)
    if not splits["val"]:
        raise AnnotationError("sweep: expected validation clips, got none; annotate clips of a second group")
    return [(splits["train"], splits["val"])]


def _macro_f1(
    folds: Sequence[tuple[Sequence[Clip], Sequence[Clip]]],
    classes: ClassNames,
    settings: TrainSettings,
    environment: FitEnvironment,
    name: str,
) -> float:
    videos, num = [], len(classes)
    for number, (train, val) in enumerate(folds, start=1):
        of_fold = f"{name}, fold {number}"
        head = fit(train, val, num, settings.head, settings.training, environment=environment, name=of_fold).head
        videos += label_clips(head, val, classes)
    if videos[0].is_multilabel:
        return best_macro_f1(videos, len(classes))
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    for video in videos:
        confusion += confusion_matrix(video.targets, video.labels, len(classes))
    return frame_metrics(confusion, classes).macro_f1 or 0.0

"""Every clip labeled by networks that were fitted without its group: they choose the network, calibrate and measure it.

What measures a choice has no part in it: the other groups say which network labels a group, at which temperature.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from videoseq.annotations.types import ClassNames
from videoseq.config.schema import TrainSettings
from videoseq.data.dataset import Clip
from videoseq.data.splits import Fold, leave_groups_out
from videoseq.errors import Notice
from videoseq.evaluation.evaluate import evaluate_labels, label_clips, majority_baseline, thresholds_by_class
from videoseq.evaluation.metrics import LabeledVideo, measure
from videoseq.evaluation.metrics_json import FoldResult, headline_values
from videoseq.evaluation.results import MODEL, NO_CONTEXT
from videoseq.jobs.progress import clock_time
from videoseq.training.baseline import BaselineFitter, is_learnable
from videoseq.training.choice import (
    Choice,
    Scores,
    candidates,
    choice_notice,
    choose,
    head_to_compare,
    names_to_choose_from,
    score,
    taken_head,
)
from videoseq.training.decoding_search import HeldOutClip, learn_chain
from videoseq.training.validation import THRESHOLDS_TUNED, ValidationResult, calibrate

CROSS_VALIDATED = "cross-validation"
"""What a model was measured on if each clip was labeled by a model that did not learn from its group."""

_AUTO_FOLDS = 5
_CROSS_VALIDATED = Notice(
    "cross_validated",
    "Tested each clip with a model trained without its group, then retrained on all clips. The saved model is the "
    "retrained one.",
    is_warning=False,
)


@dataclass(frozen=True, eq=False)
class LabeledFold:
    """The clips of the groups that were left out, as networks label them that were fitted on the others.

    Attributes:
        fold: Which groups.
        labeled: By candidate (:func:`videoseq.training.choice.candidates`), with a temperature of 1 and no decoding.
        held_out: What decoding needs to know of these clips.
    """

    fold: Fold
    labeled: dict[str, list[LabeledVideo]]
    held_out: list[HeldOutClip]


def folds_for(clips: Sequence[Clip], num_classes: int, settings: TrainSettings) -> list[Fold]:
    """The folds that the settings ask for; none where they ask for one set of validation clips.

    Raises:
        AnnotationError: They ask for folds, and there is one group only, or the dataset names splits.
    """
    limit = settings.data.cross_validation
    if limit is None:
        return []
    if limit != "auto":
        return leave_groups_out(clips, num_classes, limit)
    num_groups, has_splits = len({clip.entry.group for clip in clips}), any(clip.entry.split for clip in clips)
    if num_groups < 2 or has_splits or settings.backbone.trainable:  # fine-tuning takes too long to do it unasked
        return []
    folds = leave_groups_out(clips, num_classes, _AUTO_FOLDS)
    return folds if all(is_learnable(fold.train, num_classes) for fold in folds) else []


def measure_in_folds(
    clips: Sequence[Clip],
    classes: ClassNames,
    settings: TrainSettings,
    fit_both: BaselineFitter,
    folds: Sequence[Fold],
) -> ValidationResult:
    """Measures every clip with networks that were fitted without its group; keeps networks that are fitted on all.

    The arguments are those of :func:`videoseq.training.validation.measure_on_split`, and the folds of
    :func:`folds_for`.

    Raises:
        AnnotationError: There is nothing to learn.
    """
    found = label_folds(folds, classes, settings, fit_both)
    choice, chosen = choose_for_folds(found, len(classes), settings)
    labeled = {MODEL: chosen, NO_CONTEXT: [one.labeled[NO_CONTEXT] for one in found]}
    head = taken_head(choice, settings.head)
    kept = fit_both.with_head(head)(clips, [], ", on all clips")
    chain = learn_chain(clips, len(classes), settings)
    held_out = [clip for one in found for clip in one.held_out]
    calibrated = calibrate(kept, labeled, held_out, chain, classes, settings)
    majority = majority_baseline(clips, len(classes))
    evaluation = evaluate_labels(
        calibrated[MODEL], calibrated[NO_CONTEXT], majority, classes, settings.data.background,
        thresholds=thresholds_by_class(kept.head.head, classes),
    )  # fmt: skip
    notices = [_CROSS_VALIDATED, *([THRESHOLDS_TUNED] if settings.data.task == "multilabel" else [])]
    if len(choice.macro_f1) > 1:
        notices.append(choice_notice(choice, evaluation))
    results = _fold_results(found, labeled, classes, settings.data.background)
    return ValidationResult(
        kept, kept.head, evaluation, CROSS_VALIDATED, majority, tuple(notices), head, tuple(results), choice
    )


def label_folds(
    folds: Sequence[Fold], classes: ClassNames, settings: TrainSettings, fit_both: BaselineFitter
) -> list[LabeledFold]:
    """Fits the candidates once without each fold's groups, and labels these; the arguments are as above.

    Raises:
        AnnotationError: There is nothing to learn from the other groups.
    """
    fit_all = fit_both.with_head(head_to_compare(settings.head))
    forecast, found = _FoldForecast(len(folds), fit_all), []
    for number, fold in enumerate(folds, start=1):
        fitted = fit_all(fold.train, [], f", fold {number} of {len(folds)}")
        own = fitted.with_own_features(fold.held_out)
        heads = candidates(fitted, settings.head)
        labeled = {name: label_clips(head, own, classes) for name, head in heads.items()}
        chain = learn_chain(fold.train, len(classes), settings)
        found.append(LabeledFold(fold, labeled, [HeldOutClip(clip.features.steps, chain) for clip in fold.held_out]))
        forecast.tell(number)
    return found


def score_candidates(found: Sequence[LabeledFold], num_classes: int, settings: TrainSettings) -> Scores:
    """By candidate and group the macro F1."""
    names = names_to_choose_from(settings.head)
    return score({name: [video for one in found for video in one.labeled[name]] for name in names}, num_classes)


def choose_for_folds(
    found: Sequence[LabeledFold], num_classes: int, settings: TrainSettings
) -> tuple[Choice, list[list[LabeledVideo]]]:
    """What all groups choose, and of each fold the labels by what the other groups choose."""
    scores = score_candidates(found, num_classes, settings)
    return choose(scores), [one.labeled[choose(scores, one.fold.groups).taken] for one in found]


def _fold_results(
    found: Sequence[LabeledFold],
    labeled: dict[str, list[list[LabeledVideo]]],
    classes: ClassNames,
    background: str | None,
) -> list[FoldResult]:
    headlines = {
        name: [headline_values(measure(videos, classes, background).metrics) for videos in by_fold]
        for name, by_fold in labeled.items()
    }
    return [
        FoldResult(one.fold.groups, {name: of_folds[number] for name, of_folds in headlines.items()})
        for number, one in enumerate(found)
    ]


class _FoldForecast:
    """Tells how many networks a cross-validation fits, and after the first fold how long the others will take."""

    def __init__(self, num_folds: int, fitter: BaselineFitter) -> None:
        self._num_folds = num_folds
        self._listener, self._has_resumed = fitter.listener, fitter.has_resumed
        self._start = time.monotonic()
        num_networks = (num_folds + 1) * fitter.num_networks
        text = f"cross-validation: {num_folds} folds and then all clips, {num_networks} networks to fit"
        self._listener.on_message(text, event="cross_validation", folds=num_folds, networks=num_networks)

    def tell(self, num_done: int) -> None:
        """Called after every fold."""
        seconds = time.monotonic() - self._start
        if num_done == 1 and not self._has_resumed:  # a fold that was fitted before tells nothing
            left = self._num_folds * seconds  # of the other folds, and of all clips
            text = f"cross-validation: the first fold took {clock_time(seconds)}; about {clock_time(left)} left"
            self._listener.on_message(text, event="forecast", seconds_left=left)

"""Which clips a model is fitted on, which clips measure it, and which model is kept.

The numbers are of clips that the measured network did not learn from, unless there are no others.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from videoseq.annotations.types import ClassNames
from videoseq.config.schema import TrainSettings
from videoseq.data.dataset import Clip
from videoseq.data.splits import count_classes, leave_groups_out, split_clips, split_notices
from videoseq.errors import Notice
from videoseq.evaluation.evaluate import (
    ClassSet,
    evaluate_heads,
    evaluate_labels,
    label_clips,
    majority_baseline,
    thresholds_by_class,
)
from videoseq.evaluation.metrics import LabeledVideo, measure
from videoseq.evaluation.metrics_json import FoldResult, headline_values
from videoseq.evaluation.results import MODEL, NO_CONTEXT, Evaluation
from videoseq.jobs.progress import clock_time
from videoseq.models.decoding import Decoding, MarkovChain
from videoseq.training.baseline import BaselineFitter, HeadAndBaseline
from videoseq.training.calibration import best_temperature, fit_thresholds, tempered
from videoseq.training.decoding_search import HeldOutClip, decode_videos, fit_decoding, learn_chain
from videoseq.training.fit import FitResult

CROSS_VALIDATED = "cross-validation"
"""What a model was measured on if each clip was labeled by a model that did not learn from its group."""

_THRESHOLDS_TUNED = Notice(
    "thresholds_tuned",
    "the classes' thresholds were tuned on the clips that measure the model, so F1 is a little too good; mark clips as "
    "test for better numbers",
)
_REFITTED = Notice(
    "refitted_on_all_clips",
    "Tested on clips held back from training, then retrained on all clips. The saved model is the retrained one.",
    is_warning=False,
)
_CROSS_VALIDATED = Notice(
    "cross_validated",
    "Tested each clip with a model trained without its group, then retrained on all clips. The saved model is the "
    "retrained one.",
    is_warning=False,
)


@dataclass(frozen=True, eq=False)
class ValidationResult:
    """The networks that are kept, and how good they are.

    Attributes:
        kept: The head and the baseline that are saved.
        fit: Of the head that was measured; in cross-validation, of the one that is kept.
        evaluation: On the clips of ``measured_on``.
        measured_on: ``test``, ``val``, ``cross-validation``, or ``train`` if there were no other clips.
        majority: What most training frames have.
        notices: What the user should know.
        folds: In cross-validation, the numbers of each fold.
    """

    kept: HeadAndBaseline
    fit: FitResult
    evaluation: Evaluation
    measured_on: str
    majority: ClassSet
    notices: tuple[Notice, ...]
    folds: tuple[FoldResult, ...] = ()


def measure_on_split(
    clips: Sequence[Clip], classes: ClassNames, settings: TrainSettings, fit_both: BaselineFitter
) -> ValidationResult:
    """Measures on clips that are marked for it, or on groups that are drawn; in the latter case then fits on all clips.

    Args:
        clips: With features and targets.
        classes: In the order of the logits.
        settings: All of them.
        fit_both: Fits a head and its baseline.

    Raises:
        AnnotationError: There is nothing to learn.
    """
    splits = split_clips(clips, classes, settings.data, settings.training.seed)
    counts = {name: count_classes(part, len(classes)) for name, part in splits.items()}
    kept = measured = fit_both(splits["train"], splits["val"])
    chain = learn_chain(splits["train"], len(classes), settings)
    held_out = measured.with_own_features(splits["val"])
    labeled = {name: label_clips(one.head, held_out, classes) for name, one in _named(measured)}
    decoded = [HeldOutClip(clip.features.steps, chain) for clip in held_out]
    _calibrate(measured, labeled, decoded, chain, classes, settings)
    measured_on = next(name for name in ("test", "val", "train") if splits[name])
    notices = split_notices(counts, measured_on, classes, chooses=settings.training.patience is not None)
    if settings.decoding.is_tuned and not splits["val"]:
        notices.append(
            Notice("decoding_not_tuned", "nothing to tune decoding on; labels are the most probable classes")
        )
    if settings.data.refit and splits["val"] and not any(clip.entry.split == "val" for clip in clips):
        everything = [*splits["train"], *splits["val"]]
        kept = fit_both(everything, [], ", on all clips")
        chain = learn_chain(everything, len(classes), settings)
        for name, one in _named(kept):
            fitted = measured.by_labeler[name].head
            one.head.copy_calibration(fitted)
            one.head.decoding = replace(fitted.decoding, chain=chain)
        if measured_on == "test":
            measured = kept
        else:
            notices.append(_REFITTED)
    measuring = measured.with_own_features(splits[measured_on])
    if settings.data.task == "multilabel" and measured_on == "val":
        notices.append(_THRESHOLDS_TUNED)
    majority = majority_baseline(splits["train"], len(classes))
    evaluation = evaluate_heads(
        measured.head.head, measured.no_context.head, majority, measuring, classes, settings.data.background
    )
    return ValidationResult(kept, measured.head, evaluation, measured_on, majority, tuple(notices))


def measure_in_folds(
    clips: Sequence[Clip], classes: ClassNames, settings: TrainSettings, fit_both: BaselineFitter
) -> ValidationResult:
    """Measures every clip with networks that were fitted without its group; keeps networks that are fitted on all.

    Temperature and decoding are fitted on the labels that the networks gave to the clips that each was fitted without.
    The arguments are those of :func:`measure_on_split`.
    """
    limit = settings.data.cross_validation
    folds = leave_groups_out(clips, len(classes), None if limit == "groups" else limit)
    labeled: dict[str, list[LabeledVideo]] = {MODEL: [], NO_CONTEXT: []}
    held_out: list[HeldOutClip] = []
    results = []
    forecast = _FoldForecast(len(folds), fit_both)
    for number, fold in enumerate(folds, start=1):
        fitted = fit_both(fold.train, [], f", fold {number} of {len(folds)}")
        own = fitted.with_own_features(fold.held_out)
        found = {name: label_clips(one.head, own, classes) for name, one in _named(fitted)}
        headline = {
            name: headline_values(measure(videos, classes, settings.data.background).metrics)
            for name, videos in found.items()
        }
        results.append(FoldResult(fold.groups, headline))
        for name, videos in found.items():
            labeled[name] += videos
        chain = learn_chain(fold.train, len(classes), settings)
        held_out += [HeldOutClip(clip.features.steps, chain) for clip in fold.held_out]
        forecast.tell(number)
    kept = fit_both(clips, [], ", on all clips")
    chain = learn_chain(clips, len(classes), settings)
    calibrated = _calibrate(kept, labeled, held_out, chain, classes, settings)
    majority = majority_baseline(clips, len(classes))
    evaluation = evaluate_labels(
        calibrated[MODEL], calibrated[NO_CONTEXT], majority, classes, settings.data.background,
        thresholds=thresholds_by_class(kept.head.head, classes),
    )  # fmt: skip
    notices = [_CROSS_VALIDATED, *([_THRESHOLDS_TUNED] if settings.data.task == "multilabel" else [])]
    return ValidationResult(kept, kept.head, evaluation, CROSS_VALIDATED, majority, tuple(notices), tuple(results))


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


def _named(fitted: HeadAndBaseline) -> list[tuple[str, FitResult]]:
    return list(fitted.by_labeler.items())


def _calibrate(
    fitted: HeadAndBaseline,
    labeled: dict[str, list[LabeledVideo]],
    held_out: Sequence[HeldOutClip],
    chain: MarkovChain | None,
    classes: ClassNames,
    settings: TrainSettings,
) -> dict[str, list[LabeledVideo]]:
    """Sets what is fitted after the weights: temperature and thresholds or decoding.

    Args:
        fitted: The networks to set.
        labeled: By labeler, the labels that heads with a temperature of 1 and no decoding gave to held-out clips.
        held_out: These clips, for both labelers.
        chain: Of the clips that ``fitted`` learned from.
        classes: In the order of the logits.
        settings: Which decoding to use.

    Returns:
        By labeler, the labels that the heads would have given with these settings.
    """
    if settings.data.task == "multilabel":
        return fit_thresholds({name: one.head for name, one in _named(fitted)}, labeled)
    calibrated = {}
    for name, one in _named(fitted):
        temperature = best_temperature(labeled[name])
        one.head.temperature.fill_(1.0 if temperature is None else temperature)
        videos = [tempered(video, float(one.head.temperature)) for video in labeled[name]]
        parameters = fit_decoding(videos, held_out, classes, settings)
        one.head.decoding = Decoding(parameters, settings.sample_hz, chain)
        calibrated[name] = decode_videos(videos, held_out, parameters, settings.sample_hz)
    return calibrated

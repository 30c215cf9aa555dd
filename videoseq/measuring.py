"""Which clips a model is fitted on, which measure it, and which model is kept.

Whatever the plan, the numbers are of clips that the measured network did not learn from, unless there are no others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from videoseq.annotations import ClassNames
from videoseq.clips import Clip
from videoseq.config import HeadSettings, TrainSettings
from videoseq.errors import Notice
from videoseq.evaluation import MODEL, NO_CONTEXT, label_clips
from videoseq.hysteresis import Hysteresis
from videoseq.metrics import LabelledVideo, best_temperature, measure, tempered
from videoseq.multilabel_evaluation import settle_thresholds
from videoseq.splits import count_classes, leave_groups_out, split_clips, split_notices
from videoseq.tasks import (
    AnyEvaluation,
    AnyMetrics,
    Majority,
    check_learnable,
    evaluate_heads,
    evaluate_labels,
    majority_of,
    measured_metrics,
)
from videoseq.thresholds import copy_thresholds
from videoseq.training import EpochRecord, FitResult, fit

CROSS_VALIDATED = "cross-validation"
"""What a model was measured on when each clip was labelled by one that had not seen its group."""

_THRESHOLDS_TUNED = Notice(
    "thresholds_tuned",
    "the classes' thresholds were tuned on the clips that measure, so that F1 is a little too good; mark clips as test "
    "to know better",
)
_MARGINS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
_MAX_COST = 0.01


@dataclass(frozen=True, eq=False)
class Pair:
    """A head and its baseline without context, fitted on the same clips."""

    head: FitResult
    no_context: FitResult

    @property
    def by_labeller(self) -> dict[str, FitResult]:
        """The two by the names that they have in results."""
        return {MODEL: self.head, NO_CONTEXT: self.no_context}


@dataclass(frozen=True)
class FoldResult:
    """One turn of a cross-validation: the groups left out, and what came out on them by labeller."""

    groups: tuple[str, ...]
    headline: dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Measured:
    """What measuring came to.

    Attributes:
        kept: The pair of the model.
        fit: Of the head that was measured; in cross-validation, of the one that is kept.
        evaluation: On the clips of ``measured_on``.
        measured_on: ``test``, ``val``, ``cross-validation``, or ``train`` where there was nothing else.
        majority: What most training frames have.
        notices: What the user should know.
        folds: In cross-validation, each turn by itself.
    """

    kept: Pair
    fit: FitResult
    evaluation: AnyEvaluation
    measured_on: str
    majority: Majority
    notices: tuple[Notice, ...]
    folds: tuple[FoldResult, ...] = ()


class Fitter:
    """Fits pairs as the settings say."""

    def __init__(
        self,
        num_classes: int,
        settings: TrainSettings,
        device: torch.device | None = None,
        on_epoch: Callable[[str, EpochRecord], None] | None = None,
    ) -> None:
        self._num_classes = num_classes
        self._settings = settings
        self._device = device
        self._on_epoch = on_epoch

    def __call__(self, train: Sequence[Clip], val: Sequence[Clip], note: str = "") -> Pair:
        """A pair; ``note`` is added to the names of the two as ``on_epoch`` hears them.

        Raises:
            AnnotationError: The training clips have labelled frames of fewer than two classes.
        """
        check_learnable(train, self._num_classes, note)
        head = self._settings.head
        return Pair(
            self._fit(f"head{note}", head, train, val),
            self._fit(f"baseline without context{note}", without_context(head), train, val),
        )

    def _fit(self, name: str, head: HeadSettings, train: Sequence[Clip], val: Sequence[Clip]) -> FitResult:
        def show(record: EpochRecord) -> None:
            if self._on_epoch is not None:
                self._on_epoch(name, record)

        training = self._settings.training
        return fit(train, val, self._num_classes, head, training, device=self._device, on_epoch=show)


def without_context(head: HeadSettings) -> HeadSettings:
    """The same network as the baseline has it: one frame alone."""
    return head.model_copy(update={"cell": "none", "inputs": "features"})


def measure_on_split(clips: Sequence[Clip], classes: ClassNames, settings: TrainSettings, fit_pair: Fitter) -> Measured:
    """Measures on clips that are named for it, or on groups that are drawn; then fits on these too, if they were."""
    splits = split_clips(clips, classes, settings.data, settings.training.seed)
    counts = {name: count_classes(part, len(classes)) for name, part in splits.items()}
    kept = measured = fit_pair(splits["train"], splits["val"])
    _settle(measured, {name: label_clips(one.head, splits["val"], classes) for name, one in _named(measured)},
            classes, settings)  # fmt: skip
    measured_on = next(name for name in ("test", "val", "train") if splits[name])
    notices = split_notices(counts, measured_on, classes, chooses=settings.training.patience is not None)
    if settings.data.refit and splits["val"] and not any(clip.entry.split == "val" for clip in clips):
        kept = fit_pair([*splits["train"], *splits["val"]], [], ", on all clips")
        for name, one in _named(kept):
            one.head.temperature.copy_(measured.by_labeller[name].head.temperature)
            one.head.hysteresis.copy_(measured.by_labeller[name].head.hysteresis)
            copy_thresholds(measured.by_labeller[name].head, one.head)
        if measured_on == "test":
            measured = kept
        else:
            text = "the numbers are of a model fitted without the validation clips; the one kept was then fitted on all"
            notices.append(Notice("refitted_on_all_clips", text))
    if settings.data.task == "multilabel" and measured_on == "val":
        notices.append(_THRESHOLDS_TUNED)
    majority = majority_of(splits["train"], len(classes))
    evaluation = evaluate_heads(
        measured.head.head, measured.no_context.head, majority, splits[measured_on], classes, settings.data.background
    )
    return Measured(kept, measured.head, evaluation, measured_on, majority, tuple(notices))


def measure_in_folds(clips: Sequence[Clip], classes: ClassNames, settings: TrainSettings, fit_pair: Fitter) -> Measured:
    """Measures every clip by a pair that was fitted without its group; keeps one that is fitted on all clips.

    Temperature and hysteresis are fitted on what the pairs said of the clips that each had not seen.
    """
    limit = settings.data.cross_validation
    folds = leave_groups_out(clips, None if limit == "groups" else limit)
    labelled: dict[str, list[LabelledVideo]] = {MODEL: [], NO_CONTEXT: []}
    results = []
    for number, fold in enumerate(folds, start=1):
        pair = fit_pair(fold.train, [], f", fold {number} of {len(folds)}")
        found = {name: label_clips(one.head, fold.held_out, classes) for name, one in _named(pair)}
        headline = {
            name: headline_values(measured_metrics(videos, classes, settings.data.background))
            for name, videos in found.items()
        }
        results.append(FoldResult(fold.groups, headline))
        for name, videos in found.items():
            labelled[name] += videos
    kept = fit_pair(clips, [], ", on all clips")
    settled = _settle(kept, labelled, classes, settings)
    majority = majority_of(clips, len(classes))
    evaluation = evaluate_labels(
        kept.head.head, settled[MODEL], settled[NO_CONTEXT], majority, classes, settings.data.background
    )
    text = "each clip was labelled by a model fitted without its group; the one kept was then fitted on all clips"
    notices = [Notice("cross_validated", text), *([_THRESHOLDS_TUNED] if settings.data.task == "multilabel" else [])]
    return Measured(kept, kept.head, evaluation, CROSS_VALIDATED, majority, tuple(notices), tuple(results))


def headline_values(metrics: AnyMetrics) -> dict[str, Any]:
    """The headline numbers without intervals, and how much they are of."""
    return {
        "num_videos": metrics.num_videos,
        "num_frames": metrics.num_frames,
        **{name: estimate.value for name, estimate in metrics.headline.items()},
    }


def _named(pair: Pair) -> list[tuple[str, FitResult]]:
    return list(pair.by_labeller.items())


def _settle(
    pair: Pair, labelled: dict[str, list[LabelledVideo]], classes: ClassNames, settings: TrainSettings
) -> dict[str, list[LabelledVideo]]:
    """Sets what is fitted after the weights: temperature, and hysteresis if it is to be tuned.

    Args:
        pair: Whose heads are set.
        labelled: What heads with a temperature of 1 and no hysteresis said of clips that were new to them.
        classes: In the order of the logits.
        settings: How the hysteresis comes about.

    Returns:
        What heads that are set so would have said.
    """
    if settings.data.task == "multilabel":
        return settle_thresholds({name: one.head for name, one in _named(pair)}, labelled)
    settled = {}
    for name, one in _named(pair):
        temperature = best_temperature(labelled[name])
        one.head.temperature.fill_(1.0 if temperature is None else temperature)
        videos = [tempered(video, float(one.head.temperature)) for video in labelled[name]]
        margin = settings.training.hysteresis
        if margin == "tuned":
            margin = _best_margin(videos, classes, settings.data.background) if videos else 0.0
        one.head.hysteresis.fill_(margin)
        settled[name] = [_steadied(video, margin) for video in videos]
    return settled


def _best_margin(videos: Sequence[LabelledVideo], classes: ClassNames, background: str | None) -> float:
    scores = {}
    for margin in _MARGINS:
        headline = measure([_steadied(video, margin) for video in videos], classes, background).metrics.headline
        scores[margin] = (headline["macro_f1"].value or 0.0, headline["f1_at_50"].value or 0.0)
    most = max(of_frames for of_frames, _ in scores.values())
    affordable = [margin for margin, (of_frames, _) in scores.items() if of_frames >= most - _MAX_COST]
    return max(affordable, key=lambda margin: scores[margin][1])  # of equals the smallest


def _steadied(video: LabelledVideo, margin: float) -> LabelledVideo:
    if video.probabilities is None or margin == 0:
        return video
    return replace(video, labels=Hysteresis(margin)(video.probabilities))

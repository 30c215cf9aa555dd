"""Which clips a model is fitted on, which measure it, and which model is kept.

Whatever the plan, the numbers are of clips that the measured network did not learn from, unless there are no others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from videoseq.annotations import ClassNames
from videoseq.clips import Clip
from videoseq.config import HeadSettings, TrainSettings
from videoseq.errors import AnnotationError, Notice
from videoseq.evaluation import MODEL, NO_CONTEXT, Evaluation, evaluate_heads, evaluate_labels, label_clips
from videoseq.finetuning import Finetuner, TunedBackbone
from videoseq.label_decoding import Decoding, MarkovChain
from videoseq.metrics import LabelledVideo, Metrics, best_temperature, majority_class, measure, tempered
from videoseq.splits import count_classes, leave_groups_out, split_clips, split_notices
from videoseq.training import EpochRecord, FitResult, fit
from videoseq.tuning import Unseen, decode_videos, learn_chain, settle_decoding

CROSS_VALIDATED = "cross-validation"
"""What a model was measured on when each clip was labelled by one that had not seen its group."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A head and its baseline without context, fitted on the same clips.

    Attributes:
        head: The model's.
        no_context: The baseline's, on the same features as the head in the end.
        tuned: The CNN of both, where it was fine-tuned with the head.
    """

    head: FitResult
    no_context: FitResult
    tuned: TunedBackbone | None = None

    def seen(self, clips: Sequence[Clip]) -> Sequence[Clip]:
        """The clips with the features that the two see."""
        return clips if self.tuned is None else self.tuned.seen(clips)

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
        majority: The class of most training frames.
        notices: What the user should know.
        folds: In cross-validation, each turn by itself.
    """

    kept: Pair
    fit: FitResult
    evaluation: Evaluation
    measured_on: str
    majority: int
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
        finetuner: Finetuner | None = None,
    ) -> None:
        self._finetuner = finetuner
        self._num_classes = num_classes
        self._settings = settings
        self._device = device
        self._on_epoch = on_epoch

    def __call__(self, train: Sequence[Clip], val: Sequence[Clip], note: str = "") -> Pair:
        """A pair; ``note`` is added to the names of the two as ``on_epoch`` hears them.

        Raises:
            AnnotationError: The training clips have labelled frames of fewer than two classes.
        """
        if np.count_nonzero(count_classes(train, self._num_classes)) < 2:
            raise AnnotationError(
                f"training clips{note}: expected labelled frames of two classes or more; annotate more clips"
            )
        settings = self._settings.head
        head, tuned = self._fit(f"head{note}", settings, train, val), None
        if self._finetuner is not None:
            head, tuned = self._finetuner(head, train, val, self._named(f"fine-tuning{note}"))
            train, val = tuned.seen(train), tuned.seen(val)
        no_context = self._fit(f"baseline without context{note}", without_context(settings), train, val)
        return Pair(head, no_context, tuned)

    def _fit(self, name: str, head: HeadSettings, train: Sequence[Clip], val: Sequence[Clip]) -> FitResult:
        training, show = self._settings.training, self._named(name)
        return fit(train, val, self._num_classes, head, training, device=self._device, on_epoch=show)

    def _named(self, name: str) -> Callable[[EpochRecord], None] | None:
        return None if self._on_epoch is None else partial(self._on_epoch, name)


def without_context(head: HeadSettings) -> HeadSettings:
    """The same network as the baseline has it: one frame alone."""
    return head.model_copy(update={"cell": "none", "bidirectional": False, "inputs": "features"})


def measure_on_split(clips: Sequence[Clip], classes: ClassNames, settings: TrainSettings, fit_pair: Fitter) -> Measured:
    """Measures on clips that are named for it, or on groups that are drawn; then fits on these too, if they were."""
    splits = split_clips(clips, classes, settings.data, settings.training.seed)
    counts = {name: count_classes(part, len(classes)) for name, part in splits.items()}
    kept = measured = fit_pair(splits["train"], splits["val"])
    chain = learn_chain(splits["train"], len(classes), settings)
    seen = measured.seen(splits["val"])
    _settle(measured, {name: label_clips(one.head, seen, classes) for name, one in _named(measured)},
            [Unseen(clip.features.steps, chain) for clip in seen], chain, classes, settings)  # fmt: skip
    measured_on = next(name for name in ("test", "val", "train") if splits[name])
    notices = split_notices(counts, measured_on, classes, chooses=settings.training.patience is not None)
    if settings.decoding.is_tuned and not splits["val"]:
        notices.append(
            Notice("decoding_not_tuned", "nothing to tune decoding on; labels are the most probable classes")
        )
    if settings.data.refit and splits["val"] and not any(clip.entry.split == "val" for clip in clips):
        everything = [*splits["train"], *splits["val"]]
        kept = fit_pair(everything, [], ", on all clips")
        chain = learn_chain(everything, len(classes), settings)
        for name, one in _named(kept):
            one.head.temperature.copy_(measured.by_labeller[name].head.temperature)
            one.head.decoding = replace(measured.by_labeller[name].head.decoding, chain=chain)
        if measured_on == "test":
            measured = kept
        else:
            text = "the numbers are of a model fitted without the validation clips; the one kept was then fitted on all"
            notices.append(Notice("refitted_on_all_clips", text))
    majority = majority_class(counts["train"])
    seen = measured.seen(splits[measured_on])
    evaluation = evaluate_heads(
        measured.head.head, measured.no_context.head, majority, seen, classes, settings.data.background
    )
    return Measured(kept, measured.head, evaluation, measured_on, majority, tuple(notices))


def measure_in_folds(clips: Sequence[Clip], classes: ClassNames, settings: TrainSettings, fit_pair: Fitter) -> Measured:
    """Measures every clip by a pair that was fitted without its group; keeps one that is fitted on all clips.

    Temperature and decoding are fitted on what the pairs said of the clips that each had not seen.
    """
    limit = settings.data.cross_validation
    folds = leave_groups_out(clips, None if limit == "groups" else limit)
    labelled: dict[str, list[LabelledVideo]] = {MODEL: [], NO_CONTEXT: []}
    unseen: list[Unseen] = []
    results = []
    for number, fold in enumerate(folds, start=1):
        pair = fit_pair(fold.train, [], f", fold {number} of {len(folds)}")
        held_out = pair.seen(fold.held_out)
        found = {name: label_clips(one.head, held_out, classes) for name, one in _named(pair)}
        headline = {
            name: headline_values(measure(videos, classes, settings.data.background).metrics)
            for name, videos in found.items()
        }
        results.append(FoldResult(fold.groups, headline))
        for name, videos in found.items():
            labelled[name] += videos
        chain = learn_chain(fold.train, len(classes), settings)
        unseen += [Unseen(clip.features.steps, chain) for clip in fold.held_out]
    kept = fit_pair(clips, [], ", on all clips")
    settled = _settle(kept, labelled, unseen, learn_chain(clips, len(classes), settings), classes, settings)
    majority = majority_class(count_classes(clips, len(classes)))
    evaluation = evaluate_labels(settled[MODEL], settled[NO_CONTEXT], majority, classes, settings.data.background)
    text = "each clip was labelled by a model fitted without its group; the one kept was then fitted on all clips"
    notices = (Notice("cross_validated", text),)
    return Measured(kept, kept.head, evaluation, CROSS_VALIDATED, majority, notices, tuple(results))


def headline_values(metrics: Metrics) -> dict[str, Any]:
    """The headline numbers without intervals, and how much they are of."""
    return {
        "num_videos": metrics.num_videos,
        "num_frames": metrics.num_frames,
        **{name: estimate.value for name, estimate in metrics.headline.items()},
    }


def _named(pair: Pair) -> list[tuple[str, FitResult]]:
    return list(pair.by_labeller.items())


def _settle(
    pair: Pair,
    labelled: dict[str, list[LabelledVideo]],
    unseen: Sequence[Unseen],
    chain: MarkovChain | None,
    classes: ClassNames,
    settings: TrainSettings,
) -> dict[str, list[LabelledVideo]]:
    """Sets what is fitted after the weights: temperature and decoding.

    Args:
        pair: Whose heads are set.
        labelled: What heads with a temperature of 1 and no decoding said of clips that were new to them.
        unseen: Of each of these clips, for both labellers.
        chain: Of the clips that ``pair`` was fitted on.
        classes: In the order of the logits.
        settings: How decoding comes about.

    Returns:
        What heads that are set so would have said.
    """
    settled = {}
    for name, one in _named(pair):
        temperature = best_temperature(labelled[name])
        one.head.temperature.fill_(1.0 if temperature is None else temperature)
        videos = [tempered(video, float(one.head.temperature)) for video in labelled[name]]
        parameters = settle_decoding(videos, unseen, classes, settings)
        one.head.decoding = Decoding(parameters, settings.sample_hz, chain)
        settled[name] = decode_videos(videos, unseen, parameters, settings.sample_hz)
    return settled

"""Which clips a model is fitted on, which measure it, and which model is kept.

Whatever the plan, the numbers are of clips that the measured network did not learn from, unless there are no others.
"""

from __future__ import annotations

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
from videoseq.models.decoding import Decoding, MarkovChain
from videoseq.training.baseline import Fitter, Pair
from videoseq.training.calibration import best_temperature, fit_thresholds, tempered
from videoseq.training.decoding_search import Unseen, decode_videos, learn_chain, settle_decoding
from videoseq.training.fit import FitResult

CROSS_VALIDATED = "cross-validation"
"""What a model was measured on when each clip was labelled by one that had not seen its group."""

_THRESHOLDS_TUNED = Notice(
    "thresholds_tuned",
    "the classes' thresholds were tuned on the clips that measure, so that F1 is a little too good; mark clips as test "
    "to know better",
)


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
    evaluation: Evaluation
    measured_on: str
    majority: ClassSet
    notices: tuple[Notice, ...]
    folds: tuple[FoldResult, ...] = ()


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
            fitted = measured.by_labeller[name].head
            one.head.copy_calibration(fitted)
            one.head.decoding = replace(fitted.decoding, chain=chain)
        if measured_on == "test":
            measured = kept
        else:
            text = "the numbers are of a model fitted without the validation clips; the one kept was then fitted on all"
            notices.append(Notice("refitted_on_all_clips", text))
    seen = measured.seen(splits[measured_on])
    if settings.data.task == "multilabel" and measured_on == "val":
        notices.append(_THRESHOLDS_TUNED)
    majority = majority_baseline(splits["train"], len(classes))
    evaluation = evaluate_heads(
        measured.head.head, measured.no_context.head, majority, seen, classes, settings.data.background
    )
    return Measured(kept, measured.head, evaluation, measured_on, majority, tuple(notices))


def measure_in_folds(clips: Sequence[Clip], classes: ClassNames, settings: TrainSettings, fit_pair: Fitter) -> Measured:
    """Measures every clip by a pair that was fitted without its group; keeps one that is fitted on all clips.

    Temperature and decoding are fitted on what the pairs said of the clips that each had not seen.
    """
    limit = settings.data.cross_validation
    folds = leave_groups_out(clips, len(classes), None if limit == "groups" else limit)
    labelled: dict[str, list[LabeledVideo]] = {MODEL: [], NO_CONTEXT: []}
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
    majority = majority_baseline(clips, len(classes))
    evaluation = evaluate_labels(
        settled[MODEL], settled[NO_CONTEXT], majority, classes, settings.data.background,
        thresholds=thresholds_by_class(kept.head.head, classes),
    )  # fmt: skip
    text = "each clip was labelled by a model fitted without its group; the one kept was then fitted on all clips"
    notices = [Notice("cross_validated", text), *([_THRESHOLDS_TUNED] if settings.data.task == "multilabel" else [])]
    return Measured(kept, kept.head, evaluation, CROSS_VALIDATED, majority, tuple(notices), tuple(results))


def _named(pair: Pair) -> list[tuple[str, FitResult]]:
    return list(pair.by_labeller.items())


def _settle(
    pair: Pair,
    labelled: dict[str, list[LabeledVideo]],
    unseen: Sequence[Unseen],
    chain: MarkovChain | None,
    classes: ClassNames,
    settings: TrainSettings,
) -> dict[str, list[LabeledVideo]]:
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
    if settings.data.task == "multilabel":
        return fit_thresholds({name: one.head for name, one in _named(pair)}, labelled)
    settled = {}
    for name, one in _named(pair):
        temperature = best_temperature(labelled[name])
        one.head.temperature.fill_(1.0 if temperature is None else temperature)
        videos = [tempered(video, float(one.head.temperature)) for video in labelled[name]]
        parameters = settle_decoding(videos, unseen, classes, settings)
        one.head.decoding = Decoding(parameters, settings.sample_hz, chain)
        settled[name] = decode_videos(videos, unseen, parameters, settings.sample_hz)
    return settled

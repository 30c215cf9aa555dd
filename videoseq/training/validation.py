"""Which clips a model is fitted on, which clips measure it, and which model is kept.

The numbers are of clips that the measured network did not learn from, unless there are no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from videoseq.annotations.types import ClassNames
from videoseq.config.schema import HeadSettings, TrainSettings
from videoseq.data.dataset import Clip
from videoseq.data.splits import count_classes, split_clips, split_notices
from videoseq.errors import Notice
from videoseq.evaluation.evaluate import ClassSet, evaluate_heads, label_clips, majority_baseline
from videoseq.evaluation.metrics import LabeledVideo
from videoseq.evaluation.metrics_json import FoldResult
from videoseq.evaluation.results import Evaluation
from videoseq.models.decoding import Decoding, MarkovChain
from videoseq.training.baseline import BaselineFitter, HeadAndBaseline
from videoseq.training.calibration import best_temperature, fit_thresholds, tempered_by_others
from videoseq.training.choice import Choice, usual_head
from videoseq.training.decoding_search import HeldOutClip, decode_videos, fit_decoding, learn_chain
from videoseq.training.fit import FitResult

THRESHOLDS_TUNED = Notice(
    "thresholds_tuned",
    "the classes' thresholds were tuned on the clips that measure the model, so F1 is a little too good; mark clips as "
    "test for better numbers",
)
_REFITTED = Notice(
    "refitted_on_all_clips",
    "Tested on clips held back from training, then retrained on all clips. The saved model is the retrained one.",
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
        head: The network that is kept.
        folds: In cross-validation, the numbers of each fold.
        choice: In cross-validation, how that was chosen.
    """

    kept: HeadAndBaseline
    fit: FitResult
    evaluation: Evaluation
    measured_on: str
    majority: ClassSet
    notices: tuple[Notice, ...]
    head: HeadSettings
    folds: tuple[FoldResult, ...] = ()
    choice: Choice | None = None


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
    head = usual_head(settings.head)
    fit_both = fit_both.with_head(head)
    splits = split_clips(clips, classes, settings.data, settings.training.seed)
    counts = {name: count_classes(part, len(classes)) for name, part in splits.items()}
    kept = measured = fit_both(splits["train"], splits["val"])
    markov_chain = learn_chain(splits["train"], len(classes), settings)
    held_out = measured.with_own_features(splits["val"])
    labeled = {name: [label_clips(one.head, held_out, classes)] for name, one in _named(measured)}
    decoded = [HeldOutClip(clip.features.steps, markov_chain) for clip in held_out]
    calibrate(measured, labeled, decoded, markov_chain, classes, settings)
    measured_on = next(name for name in ("test", "val", "train") if splits[name])
    notices = split_notices(counts, measured_on, classes, chooses=settings.training.patience is not None)
    if settings.decoding.is_tuned and not splits["val"]:
        notices.append(
            Notice("decoding_not_tuned", "nothing to tune decoding on; labels are the most probable classes")
        )
    if settings.data.refit and splits["val"] and not any(clip.entry.split == "val" for clip in clips):
        everything = [*splits["train"], *splits["val"]]
        kept = fit_both(everything, [], ", on all clips")
        markov_chain = learn_chain(everything, len(classes), settings)
        for name, one in _named(kept):
            fitted = measured.by_labeler[name].head
            one.head.copy_calibration(fitted)
            one.head.decoding = replace(fitted.decoding, chain=markov_chain)
        if measured_on == "test":
            measured = kept
        else:
            notices.append(_REFITTED)
    measuring = measured.with_own_features(splits[measured_on])
    if settings.data.task == "multilabel" and measured_on == "val":
        notices.append(THRESHOLDS_TUNED)
    majority = majority_baseline(splits["train"], len(classes))
    evaluation = evaluate_heads(
        measured.head.head, measured.no_context.head, majority, measuring, classes, settings.data.background
    )
    return ValidationResult(kept, measured.head, evaluation, measured_on, majority, tuple(notices), head)


def _named(fitted: HeadAndBaseline) -> list[tuple[str, FitResult]]:
    return list(fitted.by_labeler.items())


def calibrate(
    fitted: HeadAndBaseline,
    labeled: dict[str, list[list[LabeledVideo]]],
    held_out: Sequence[HeldOutClip],
    markov_chain: MarkovChain | None,
    classes: ClassNames,
    settings: TrainSettings,
) -> dict[str, list[LabeledVideo]]:
    """Sets what is fitted after the weights: temperature and thresholds or decoding.

    Args:
        fitted: The networks to set.
        labeled: By labeler, and by fold if there are several, the labels that heads with a temperature of 1 and no
            decoding gave to held-out clips.
        held_out: These clips, for both labelers.
        markov_chain: Of the clips that ``fitted`` learned from.
        classes: In the order of the logits.
        settings: Which decoding to use.

    Returns:
        By labeler, the labels that the heads would have given with these settings; the temperature of each fold is
        that of the others.
    """
    if settings.data.task == "multilabel":
        videos_of = {name: list(chain.from_iterable(parts)) for name, parts in labeled.items()}
        return fit_thresholds({name: one.head for name, one in _named(fitted)}, videos_of)
    calibrated = {}
    for name, one in _named(fitted):
        one.head.temperature.fill_(best_temperature(list(chain.from_iterable(labeled[name]))) or 1.0)
        videos = tempered_by_others(labeled[name])
        parameters = fit_decoding(videos, held_out, classes, settings)
        one.head.decoding = Decoding(parameters, settings.sample_hz, markov_chain)
        calibrated[name] = decode_videos(videos, held_out, parameters, settings.sample_hz)
    return calibrated

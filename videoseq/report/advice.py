"""What to do next, and why; every reason names the numbers that it follows from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from videoseq.data.statistics import ClassOverview
from videoseq.errors import Notice
from videoseq.evaluation.metrics import Metrics
from videoseq.evaluation.results import MODEL, NO_CONTEXT, Evaluation
from videoseq.report.verdicts import COMPARED, Advice, percent, signed_points

_FEW_BOUTS = 5  # of a class, to learn from or to measure on
_FEW_UNITS = 10  # videos or groups, below which intervals are too narrow
_FAR_BELOW = 0.15  # of F1 below the mean of the other classes
_OFTEN_CONFUSED = 0.10  # of two classes' frames, taken for one another
_MAX_NAMED = 3  # classes, or pairs of them
_BAD_CALIBRATION = 0.10
_MANY_PIECES = 1.5  # labeled segments for each true one
_VIDEO_FAR_BELOW = 0.25  # of accuracy below the mean of the videos


def advise(evaluation: Evaluation, notices: Sequence[Notice], overview: Sequence[ClassOverview] = ()) -> list[Advice]:
    """What to do next, the most important first.

    Args:
        evaluation: What was measured.
        notices: What the clips, the annotations and the training gave notice of.
        overview: What was annotated.
    """
    model = evaluation.metrics[MODEL]
    found = [
        *_on_what_was_measured(evaluation, notices),
        *_on_baselines(evaluation),
        *_on_classes(model, evaluation.background, {one.name: one for one in overview}),
        *(_on_confusions(model) if model.confusion else ()),
        *_on_pieces(model),
        *_on_calibration(evaluation),
        *_on_videos(evaluation),
    ]
    return found or [_all_well(model)]


def _on_what_was_measured(evaluation: Evaluation, notices: Sequence[Notice]) -> Iterator[Advice]:
    model = evaluation.metrics[MODEL]
    codes = {notice.code for notice in notices}
    if "measured_on_training" in codes:
        yield Advice(
            "Annotate clips of a second group, and train again.",
            f"All {model.num_videos} measured videos were also used for training: "
            "the numbers say nothing about new videos.",
        )
    groups = {clip.group for clip in evaluation.clips}
    if model.num_resampled == 1:
        yield Advice(
            "Measure on more than one video.",
            f"All {model.num_frames} measured frames are from 1 video; how much other videos differ is not known.",
        )
    elif model.num_resampled < _FEW_UNITS:
        yield Advice(
            f"Measure on {_FEW_UNITS} or more {model.resampled}.",
            f"Only {model.num_resampled} were measured, and intervals from so few are too narrow.",
        )
    if len(groups) == 1 and model.num_resampled > 1:
        yield Advice(
            "Measure on more than one group.",
            f"All {model.num_videos} measured videos are of 1 group; how much other groups differ is not known.",
        )


def _on_baselines(evaluation: Evaluation) -> Iterator[Advice]:
    model = evaluation.metrics[MODEL].headline[COMPARED].value
    constant = evaluation.constant_baseline_name
    majority = evaluation.metrics[constant].headline[COMPARED].value if constant in evaluation.metrics else None
    if model is not None and majority is not None and model <= majority:
        one = "the same classes" if evaluation.is_multilabel else "one class"
        yield Advice(
            "Check that the annotations fit their videos (videoseq check), then annotate more.",
            f"The model’s macro F1 of {percent(model)} is not above the {percent(majority)} of always giving {one}.",
        )
    difference = evaluation.differences.get(COMPARED)
    other = evaluation.metrics[NO_CONTEXT].headline[COMPARED].value if NO_CONTEXT in evaluation.metrics else None
    if difference is not None and difference.low is not None and difference.low <= 0 and other is not None:
        yield Advice(
            "Annotate more bouts of classes that look alike in one frame, or train without context (head.cell=none).",
            f"The model’s macro F1 of {percent(model)} is not clearly above {percent(other)} without context: "
            f"the interval of the difference begins at {signed_points(difference.low)} points.",
        )


def _on_classes(model: Metrics, background: str | None, overview: Mapping[str, ClassOverview]) -> Iterator[Advice]:
    scores = {name: one.f1 or 0.0 for name, one in model.per_class.items() if one.support}
    others = {
        name: float(np.mean([score for other, score in scores.items() if other != name]))
        for name in scores
        if len(scores) > 1
    }
    behind = [name for name in others if others[name] - scores[name] >= _FAR_BELOW]
    for name in sorted(behind, key=scores.__getitem__)[:_MAX_NAMED]:
        known = overview.get(name)
        bouts = f" {_count(known.num_bouts, 'bout')} of it {_were(known.num_bouts)} annotated." if known else ""
        yield Advice(
            f"Annotate more bouts of “{name}”.",
            f"Its F1 is {percent(scores[name])}; the mean of the other classes is {percent(others[name])}.{bouts}",
        )
    few = {name: one.num_bouts for name, one in model.bouts.items() if 0 < one.num_bouts < _FEW_BOUTS}
    if few:
        yield Advice(
            f"Measure on more bouts of {_names(few)} before you rely on their numbers.",
            f"Only {_bouts_measured(few)}; fewer than {_FEW_BOUTS} is too few.",
        )
    unseen = [name for name, one in model.per_class.items() if not one.support and name != background]
    if unseen:
        yield Advice(
            f"Measure on clips that show {_names(unseen)}.",
            f"0 of the {model.num_frames} measured frames do, so we do not know how well the model finds "
            f"{'it' if len(unseen) == 1 else 'them'}.",
        )


def _on_confusions(model: Metrics) -> Iterator[Advice]:
    confusion, names = np.array(model.confusion, dtype=np.int64), list(model.per_class)
    support = confusion.sum(axis=1)
    shares = {
        (a, b): (confusion[a, b] + confusion[b, a]) / max(1, support[a] + support[b])
        for a, b in combinations(range(len(names)), 2)
    }
    often = sorted((pair for pair in shares if shares[pair] >= _OFTEN_CONFUSED), key=lambda pair: -shares[pair])
    for a, b in often[:_MAX_NAMED]:
        taken = [
            f"{percent(confusion[one, other] / support[one])} of the frames of “{names[one]}” "
            f"were labeled “{names[other]}”"
            for one, other in ((a, b), (b, a))
            if confusion[one, other]
        ]
        yield Advice(
            f"Look at the boundaries of “{names[a]}” and “{names[b]}”: would two people set them at the same frame?",
            f"{', and '.join(taken)}.",
        )


def _on_pieces(model: Metrics) -> Iterator[Advice]:
    true = sum(one.num_segments for one in model.segments.values())
    labeled = sum(one.num_labeled_segments for one in model.segments.values())
    if true and labeled > _MANY_PIECES * true:
        yield Advice(
            "Do not count bouts from these labels without checking them.",
            f"The labels have {labeled} segments where the annotations have {true}.",
        )


def _on_calibration(evaluation: Evaluation) -> Iterator[Advice]:
    model = evaluation.metrics[MODEL]
    error = model.headline["expected_calibration_error"].value
    if error is None or error < _BAD_CALIBRATION or model.reliability is None:
        return
    frames = max(1, sum(one.num_frames for one in model.reliability))
    confidence = sum(one.num_frames * (one.confidence or 0.0) for one in model.reliability) / frames
    right = sum(one.num_frames * (one.accuracy or 0.0) for one in model.reliability) / frames
    if evaluation.is_multilabel:
        yield Advice(
            "Do not rely on the probabilities.",
            f"They are wrong by {percent(error)} on average: classes have a mean probability of "
            f"{percent(confidence)}, and are present in {percent(right)} of the cases.",
        )
        return
    yield Advice(
        "Do not rely on the probabilities.",
        f"They differ from the accuracy by {percent(error)} on average: the labels have a mean confidence of "
        f"{percent(confidence)}, and {percent(right)} of them are right.",
    )


def _on_videos(evaluation: Evaluation) -> Iterator[Advice]:
    shares = [one.video_accuracy for one in evaluation.videos[MODEL]]
    known = [(share, clip.name) for share, clip in zip(shares, evaluation.clips, strict=True) if share is not None]
    if len(known) < 2:
        return
    mean, (worst, name) = float(np.mean([accuracy for accuracy, _ in known])), min(known)
    if mean - worst >= _VIDEO_FAR_BELOW:
        yield Advice(
            f"Look at “{name}” first.",
            f"{percent(worst)} of its frames are right; the mean of the {len(known)} videos is {percent(mean)}.",
        )


def _all_well(model: Metrics) -> Advice:
    scores = {name: one.f1 or 0.0 for name, one in model.per_class.items() if one.support}
    if not scores:
        return Advice("Annotate the videos to measure on.", "0 of their frames are labeled.")
    worst = min(scores, key=scores.__getitem__)
    return Advice(
        "Nothing is unusual: label new videos and check some of them.",
        f"The lowest F1 of a class is {percent(scores[worst])} (“{worst}”).",
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _names(names: Collection[str]) -> str:
    """The first few names, in quotes, and how many more there are."""
    shown = [f"“{name}”" for name in list(names)[:_MAX_NAMED]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _bouts_measured(few: Mapping[str, int]) -> str:
    """How many bouts of some classes were measured, as the start of a sentence."""
    least, most = min(few.values()), max(few.values())
    number = _count(least, "bout") if least == most else f"{least} to {most} bouts"
    return f"{number}{' per class' if len(few) > 1 else ''} {_were(most)} measured"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"

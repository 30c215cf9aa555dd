"""The tables of ``train`` and ``evaluate``: what fits 80 columns, so that no number is broken in two."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

from videoseq.errors import shortened

from .console import percent, table

if TYPE_CHECKING:
    from videoseq.evaluation.annotators import AnnotatorComparison
    from videoseq.evaluation.inter_annotator import Agreement
    from videoseq.evaluation.metrics import Estimate, Metrics
    from videoseq.evaluation.results import Evaluation

_IN_TABLES = (
    "accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "exact_match", "mean_average_precision", "edit",
    "f1_at_10", "f1_at_50",
)  # fmt: skip
"""The headline numbers that fit a terminal, of either task."""
_SHORT = {"previous model": "previous", "majority class": "majority", "most frequent set": "majority"}
"""Names of labelers as the heads of narrow columns."""


def metrics_table(evaluation: Evaluation) -> list[str]:
    """The headline numbers of the model with their intervals, and those of every other labeler."""
    from videoseq.evaluation.metrics import HEADLINES, MULTILABEL_HEADLINES

    headlines = {**HEADLINES, **MULTILABEL_HEADLINES}
    model, *others = evaluation.metrics.values()
    name_of_model, *names = evaluation.metrics
    rows = [
        [
            f"{headlines[name].title} %",
            *_with_interval(model.headline[name], percent),
            *(percent(metrics.headline[name].value) for metrics in others),
        ]
        for name in _IN_TABLES
        if name in model.headline
    ]
    lines = table(["", name_of_model, "95 % interval", *(_SHORT.get(name, name) for name in names)], rows)
    return [*lines, f"{model.num_frames} labeled frames; {_interval_note(model)}"]


def difference_table(evaluation: Evaluation) -> list[str]:
    """What the model is better at than the previous one, number by number; nothing without one."""
    from videoseq.evaluation.metrics import HEADLINES, MULTILABEL_HEADLINES
    from videoseq.evaluation.metrics.results import MIN_UNITS_FOR_P
    from videoseq.evaluation.results import MODEL

    found, headlines = evaluation.minus_previous, {**HEADLINES, **MULTILABEL_HEADLINES}
    model = evaluation.metrics[MODEL]
    rows = []
    for name in (name for name in _IN_TABLES if name in found):
        one = found[name]
        numbers = [_points(value) for value in (one.value, one.low, one.high)]
        p_value = "–" if one.p_value is None else f"{one.p_value:.3f}"
        rows.append([headlines[name].title, *numbers, *([p_value] if model.supports_p_values else [])])
    if not rows:
        return []
    if model.supports_p_values:
        return ["", *table(["model minus previous model, %", "", "from", "to", "p"], rows)]
    note = f"no p-values: they need {MIN_UNITS_FOR_P} {model.resampled}, got {model.num_resampled}"
    return ["", *table(["model minus previous model, %", "", "from", "to"], rows), note]


def group_lines(evaluation: Evaluation) -> list[str]:
    """How far the groups are apart, which is what to expect of a new one; nothing without a labeled frame."""
    from videoseq.evaluation.results import MODEL

    scores = list(evaluation.groups[MODEL].values())
    if len(scores) == 1:
        return ["measured on one group: nothing is known about how good it is on new ones"]
    if not scores:
        return []
    ends = f"from {percent(min(scores))} to {percent(max(scores))} %, median {percent(median(scores))} %"
    return [f"macro F1 of each of {len(scores)} groups by itself: {ends}"]


_ROWS = {
    "kappa": "Cohen's kappa",
    "accuracy": "same class %",
    "macro_f1": "macro F1 %",
    "edit": "edit score %",
    "f1_at_10": "segment F1@10 %",
    "f1_at_25": "segment F1@25 %",
    "f1_at_50": "segment F1@50 %",
    "onset_error_seconds": "onsets differ by, s",
    "offset_error_seconds": "ends differ by, s",
}
_NUM_CONFUSIONS = 2
_MAX_NAME = 18  # of a class, so that its row fits a terminal


def agreement_table(comparison: AnnotatorComparison) -> list[str]:
    """How far two annotators agree: A is the one whose annotations count as labels, B the other."""
    agreement, sources = comparison.agreement, comparison.sources
    headline = agreement.metrics.headline
    rows = [
        [title, *_with_interval(headline[name], percent if title.endswith("%") else _two_digits)]
        for name, title in _ROWS.items()
    ]
    return [
        f"A: {sources[1]}",
        f"B: {sources[0]}",
        "",
        *table(["", "A and B", "95 % interval"], rows),
        *_coverage(agreement),
        "",
        *_classes(agreement),
        *_confusions(agreement),
    ]


def _coverage(agreement: Agreement) -> list[str]:
    metrics = agreement.metrics
    videos = "video" if metrics.num_videos == 1 else "videos"
    lines = [
        f"{metrics.num_frames} frames that both labeled, in {metrics.num_videos} {videos}; {_interval_note(metrics)}"
    ]
    only = (agreement.labels.num_only_frames, agreement.targets.num_only_frames)
    if any(only):
        hint = "" if agreement.background else "; if what is left empty is a class, name it with --background"
        lines.append(f"not compared: {only[0]} frames that only A labeled, {only[1]} that only B did{hint}")
    return lines


def _classes(agreement: Agreement) -> list[str]:
    """A row a class: all that each wrote down, and how far the ends of bouts that they share are apart."""
    header = ["", "F1 %", "frames A", "frames B", "bouts A", "bouts B", "onset s", "end s"]
    rows = []
    for name in agreement.classes:
        sides, bouts = (agreement.labels, agreement.targets), agreement.metrics.bouts.get(name)
        rows.append(
            [
                shortened(name, _MAX_NAME),
                percent(agreement.metrics.per_class[name].f1),
                *(str(side.num_frames[name]) for side in sides),
                *(str(side.num_bouts.get(name, "–")) for side in sides),
                _signed(bouts.onset_bias_seconds if bouts else None),
                _signed(bouts.offset_bias_seconds if bouts else None),
            ]
        )
    return [*table(header, rows), "onset, end: of bouts that both have, A minus B on average"]


def _confusions(agreement: Agreement) -> list[str]:
    """The pairs of classes that most frames go to."""
    classes, metrics = agreement.classes, agreement.metrics
    cells = [
        (count, classes[row], classes[column])
        for row, counts in enumerate(metrics.confusion)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    return [
        f"{count} frames ({percent(count / metrics.num_frames)} %) are {a!r} to A and {b!r} to B"
        for count, b, a in sorted(cells, key=lambda cell: -cell[0])[:_NUM_CONFUSIONS]
    ]


def _with_interval(estimate: Estimate, show: Callable[[float | None], str]) -> list[str]:
    """A number and its interval, for two columns."""
    interval = "–" if estimate.low is None else f"{show(estimate.low)} to {show(estimate.high)}"
    return [show(estimate.value), interval]


def _interval_note(metrics: Metrics) -> str:
    drawn = f"{metrics.num_resampled} {metrics.resampled}"
    return f"95 % intervals over {drawn}" if metrics.num_resampled > 1 else f"no intervals from {drawn[:-1]}"


def _two_digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"

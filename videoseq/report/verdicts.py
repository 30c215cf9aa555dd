"""Is a model better than another labeler? In words, from the difference, its interval and its p-value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from videoseq.evaluation.metrics import Difference
from videoseq.evaluation.metrics.results import MIN_UNITS_FOR_P
from videoseq.evaluation.results import MODEL, PREVIOUS, Evaluation

COMPARED = "macro_f1"
"""The headline number by which labelers are compared."""

_SIGNIFICANT = 0.05  # of p


@dataclass(frozen=True)
class Advice:
    """What to do, and the numbers that this follows from."""

    action: str
    because: str


def percent(share: float | None) -> str:
    """A share in percent."""
    return "–" if share is None else f"{100 * share:.1f} %"


def signed_points(share: float) -> str:
    """A difference of shares in percentage points."""
    return f"{100 * share:+.1f}".replace("-", "−")


def context_verdict(evaluation: Evaluation) -> Advice:
    """Whether context helps, from the difference to the same network without it."""
    words = _Words(
        question="whether context helps",
        better="Context helps",
        worse="Context makes the model worse",
        rather_better="Context seems to help",
        rather_worse="Context seems to make the model worse",
        other="that of the same network without context",
    )
    return _compared(evaluation, evaluation.differences.get(COMPARED), words)


def previous_verdict(evaluation: Evaluation) -> list[Advice]:
    """Whether the model is better than the previous one, if there is one."""
    if PREVIOUS not in evaluation.metrics:
        return []
    words = _Words(
        question="whether the model is better than the previous one",
        better="The model is better than the previous one",
        worse="The model is worse than the previous one",
        rather_better="The model seems better than the previous one",
        rather_worse="The model seems worse than the previous one",
        other="that of the previous model",
    )
    return [_compared(evaluation, evaluation.minus_previous.get(COMPARED), words)]


class _Words(NamedTuple):
    """How a comparison is put into words."""

    question: str
    better: str
    worse: str
    rather_better: str
    rather_worse: str
    other: str


def _compared(evaluation: Evaluation, difference: Difference | None, words: _Words) -> Advice:
    unknown = f"We cannot tell yet {words.question}."
    if difference is None or difference.value is None:
        return Advice(unknown, "One of the two has no macro F1.")
    points = f"{abs(100 * difference.value):.1f} points {'above' if difference.value >= 0 else 'below'}"
    text = f"The model’s macro F1 is {points} {words.other}"
    if difference.low is None or difference.high is None:
        return Advice(unknown, f"{text}, but only one video was measured, so there is no interval.")
    model = evaluation.metrics[MODEL]
    because = f"{text} (95 % interval {signed_points(difference.low)} to {signed_points(difference.high)}; "
    if not model.supports_p_values:
        because += f"no p-value, which needs {MIN_UNITS_FOR_P} {model.resampled})."
    else:
        because += "no p-value)." if difference.p_value is None else f"p = {difference.p_value:.2g})."
    if difference.low <= 0 <= difference.high:
        return Advice(unknown, because)
    is_better = difference.low > 0
    if not model.supports_p_values or (difference.p_value is not None and difference.p_value >= _SIGNIFICANT):
        rather = words.rather_better if is_better else words.rather_worse
        return Advice(f"{rather}, but {model.num_resampled} {model.resampled} are too few to be sure.", because)
    return Advice(f"{words.better if is_better else words.worse}.", because)

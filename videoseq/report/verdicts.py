"""Is a model better than another labeller? In plain words, from the difference, its interval and its p-value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from videoseq.evaluation.metrics import Difference
from videoseq.evaluation.results import MODEL, PREVIOUS, Evaluation

COMPARED = "macro_f1"
"""The headline number by which labellers are compared."""

_SIGNIFICANT = 0.05  # of p


@dataclass(frozen=True)
class Advice:
    """A sentence to act on, and the numbers that it follows from."""

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
    whom = "that of the same network seeing one frame alone"
    words = _Words("Context helps", "Context harms", "Context seems to help", "Context seems to harm", "Context")
    return _compared(evaluation, evaluation.differences.get(COMPARED), whom, words)


def previous_verdict(evaluation: Evaluation) -> list[Advice]:
    """Whether the model is better than the previous one, if there is one."""
    if PREVIOUS not in evaluation.metrics:
        return []
    one = "It seems better than the previous model", "It seems worse than the previous model"
    words = _Words("It is better than the previous model", "It is worse than the previous model", *one, "The change")
    return [_compared(evaluation, evaluation.minus_previous.get(COMPARED), "that of the previous model", words)]


class _Words(NamedTuple):
    """What is said of a difference."""

    above: str
    below: str
    rather_above: str
    rather_below: str
    what: str


def _compared(evaluation: Evaluation, difference: Difference | None, whom: str, words: _Words) -> Advice:
    if difference is None or difference.value is None:
        return Advice(f"{words.what} cannot be judged.", "One of the two has no macro F1.")
    points = f"{abs(100 * difference.value):.1f} points {'above' if difference.value >= 0 else 'below'}"
    text = f"The model’s macro F1 is {points} {whom}"
    if difference.low is None or difference.high is None:
        return Advice(f"{words.what} cannot be judged from one video.", f"{text}; there is no interval.")
    p_value = "" if difference.p_value is None else f", p = {difference.p_value:.2g}"
    because = f"{text} (95 % interval {signed_points(difference.low)} to {signed_points(difference.high)}{p_value})."
    if difference.low <= 0 <= difference.high:
        return Advice(f"{words.what} may help or harm: the interval holds zero.", because)
    is_above = difference.low > 0
    if difference.p_value is not None and difference.p_value >= _SIGNIFICANT:
        model = evaluation.metrics[MODEL]
        rather = words.rather_above if is_above else words.rather_below
        return Advice(f"{rather}, but {model.num_resampled} {model.resampled} do not make it sure.", because)
    return Advice(f"{words.above if is_above else words.below}.", because)

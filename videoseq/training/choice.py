"""Which network suits a task: candidates compared on groups that none of them had learned from.

In one task movement tells all, in another posture does, and only annotated clips can say which. The streams of a
network have losses of their own, so one fit holds several candidates: a network with fewer streams is part of it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from videoseq.config.schema import HeadSettings, Inputs
from videoseq.errors import Notice
from videoseq.evaluation.groups import macro_f1_by_group
from videoseq.evaluation.metrics import LabeledVideo
from videoseq.evaluation.results import MODEL, NO_CONTEXT, Evaluation
from videoseq.models.ensemble import network_with
from videoseq.models.head import Head
from videoseq.training.baseline import HeadAndBaseline, without_context

_USUAL: Inputs = "motion"
_LARGEST: Inputs = "three_streams"

Scores = Mapping[str, Mapping[str, float]]
"""By candidate and group the macro F1; the first candidate is the usual one."""


@dataclass(frozen=True)
class Choice:
    """The candidates and the one that was taken.

    Attributes:
        taken: Its name: what the network sees, or that it sees one frame alone.
        macro_f1: By candidate and group, of labels by networks that had not learned from the group.
    """

    taken: str
    macro_f1: Scores


def head_to_compare(head: HeadSettings) -> HeadSettings:
    """The network whose fit holds all candidates; where nothing is to be chosen, the network itself."""
    return head.model_copy(update={"inputs": _LARGEST}) if head.inputs == "auto" else head


def usual_head(head: HeadSettings) -> HeadSettings:
    """The network where there are no groups left out to choose by."""
    return head.model_copy(update={"inputs": _USUAL}) if head.inputs == "auto" else head


def names_to_choose_from(head: HeadSettings) -> list[str]:
    """Of the candidates, the usual one first; memory of a kind that the settings name is not given up."""
    if head.inputs != "auto":
        return [MODEL]
    is_named = head.bidirectional or head.cell != HeadSettings().cell
    return [_USUAL, _LARGEST, *([] if is_named else [NO_CONTEXT])]


def candidates(fitted: HeadAndBaseline, head: HeadSettings) -> dict[str, Head]:
    """The networks by name, and the baseline, which is not always one to choose.

    Args:
        fitted: With the network of :func:`head_to_compare`.
        head: As the settings have it.
    """
    largest = fitted.head.head
    if head.inputs != "auto":
        return {MODEL: largest, NO_CONTEXT: fitted.no_context.head}
    return {_USUAL: network_with(largest, _USUAL), _LARGEST: largest, NO_CONTEXT: fitted.no_context.head}


def taken_head(choice: Choice, head: HeadSettings) -> HeadSettings:
    """The network that was taken."""
    if choice.taken == NO_CONTEXT:
        return without_context(head)
    return head if choice.taken == MODEL else head.model_copy(update={"inputs": choice.taken})


def score(labeled: Mapping[str, Sequence[LabeledVideo]], num_classes: int) -> dict[str, dict[str, float]]:
    """By candidate and group the macro F1 of labels that each gave."""
    return {name: macro_f1_by_group(videos, num_classes) for name, videos in labeled.items()}


def choose(scores: Scores, left_out: Collection[str] = ()) -> Choice:
    """The candidate with the best mean over groups; the usual one unless another is better by more than chance.

    The difference to the usual one must be larger than its standard error over groups (Breiman et al. 1984, the
    one-standard-error rule); fewer than two groups show nothing.

    Args:
        scores: Of all groups.
        left_out: Groups that take no part, so that their labels can measure the choice.
    """
    usual = next(iter(scores))
    best, most = usual, 0.0
    groups = [group for group in scores[usual] if group not in left_out]
    for name, of_groups in scores.items():
        gains = [of_groups[group] - scores[usual][group] for group in groups]
        if len(gains) > 1 and mean(gains) > max(most, stdev(gains) / math.sqrt(len(gains))):
            best, most = name, mean(gains)
    return Choice(best, scores)


def choice_notice(choice: Choice, evaluation: Evaluation) -> Notice:
    """What the comparison found, in one line."""
    gain, model = evaluation.differences["macro_f1"].value, evaluation.groups[MODEL]
    better = [group for group, value in model.items() if value > evaluation.groups[NO_CONTEXT][group]]
    if choice.taken == NO_CONTEXT:
        text = "memory does not help here: one frame alone did better on groups left out, so the model has no memory"
    elif gain is None or gain <= 0:
        text = "memory did not help on these groups; the model keeps it, because no network was clearly better without"
    else:
        seen = "motion and differences of features" if choice.taken == _LARGEST else "motion"
        text = (
            f"memory helps here: +{100 * gain:.1f} points of macro F1 over one frame alone, better in {len(better)} of "
            f"{len(model)} groups; it sees {seen}"
        )
    return Notice("network_chosen", text, is_warning=False)

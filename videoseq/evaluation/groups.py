"""How good labels are on each group by itself: how much a score depends on who is filmed, and where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from videoseq.evaluation.metrics.frames import confusion_matrix, f1_scores, recalls
from videoseq.evaluation.metrics.headline import LabeledVideo
from videoseq.evaluation.metrics.multilabel import class_confusions, class_f1
from videoseq.evaluation.metrics.ratios import known, known_mean


def macro_f1_by_group(videos: Sequence[LabeledVideo], num_classes: int) -> dict[str, float]:
    """By group, the mean F1 of the classes that the group has; groups without a labeled frame are left out.

    The macro F1 of all videos together counts a class that is in labels only as 0. Few groups have every class, and one
    wrong frame would then halve the score of a group.

    Args:
        videos: Of one labeler.
        num_classes: How many there are.
    """
    groups: dict[str, list[LabeledVideo]] = {}
    for video in videos:
        groups.setdefault(video.group, []).append(video)
    scores = {group: _macro_f1(groups[group], num_classes) for group in sorted(groups)}
    return {group: score for group, score in scores.items() if score is not None}


def _macro_f1(videos: Sequence[LabeledVideo], num_classes: int) -> float | None:
    if videos[0].is_multilabel:
        by_class = np.sum([class_confusions(video) for video in videos], axis=0)
        f1, is_there = class_f1(by_class), by_class[:, 1].sum(axis=1) > 0
    else:
        confusion = np.sum([confusion_matrix(video.targets, video.labels, num_classes) for video in videos], axis=0)
        f1, is_there = f1_scores(confusion[None])[0], ~np.isnan(recalls(confusion[None])[0])
    return known(known_mean(np.where(is_there, f1, np.nan)))

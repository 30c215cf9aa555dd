"""A group's score is of the classes that the group has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.evaluation.groups import macro_f1_by_group
from videoseq.evaluation.metrics import LabeledVideo


def video(group: str, targets: list, labels: list) -> LabeledVideo:
    seconds = np.arange(len(targets)) / 10
    return LabeledVideo(f"{group}.mp4", group, seconds, len(targets) / 10, np.array(targets), np.array(labels))


def test_all_videos_of_a_group_count_together_and_only_classes_that_it_has():
    videos = [video("b", [0, 0], [0, 2]), video("a", [1, 1], [1, 1]), video("b", [0, 1], [0, 1])]
    found = macro_f1_by_group(videos, 3)
    assert list(found) == ["a", "b"]
    assert found["a"] == 1.0
    assert found["b"] == pytest.approx((2 * 2 / (2 * 2 + 1) + 1) / 2)  # class 2, in labels only, is not one of its own


def test_a_group_without_labels_has_no_score():
    assert macro_f1_by_group([video("a", [IGNORE_INDEX] * 2, [0, 0])], 2) == {}


def test_several_classes_at_once():
    targets, labels = np.array([[1, 0], [1, 0], [0, 0]]), np.array([[1, 1], [0, 0], [0, 0]])
    one = replace(video("a", [0, 0, 0], [0, 0, 0]), targets=targets, labels=labels)
    assert macro_f1_by_group([one], 2) == {"a": pytest.approx(2 / 3)}

"""What a dataset holds is counted rightly, and what is wrong with it is said before anything is fitted."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.numbered_clips import make_clip as clip_of_targets
from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.data.statistics import ClassOverview, dataset_notices, describe_clips


def overview_of(name="a", num_bouts=9, groups=("x", "y")):
    return ClassOverview(name, 10 * num_bouts, num_bouts, 1.0, tuple(groups), 0.1)


def codes(*overviews) -> list[str]:
    return [notice.code for notice in dataset_notices(overviews)]


def test_frames_bouts_and_groups_are_counted():
    clips = [
        clip_of_targets(0, [1] * 7, width=3),
        clip_of_targets(1, [1] * 4, width=3),
    ]
    clips[0].targets[:] = [0, 0, 1, IGNORE_INDEX, 1, 1, 0]
    clips[1].targets[:] = [1, 1, 1, 1]
    off, on, never = describe_clips(clips, ClassNames(["off", "on", "never"]))
    assert (off.num_frames, off.num_bouts) == (3, 2)
    assert (on.num_frames, on.num_bouts) == (7, 3)  # an unlabeled frame ends a bout
    assert (never.num_frames, never.num_bouts, never.median_bout_seconds, never.groups) == (0, 0, None, ())
    assert off.groups == (clips[0].entry.group,)
    step = float(np.diff(clips[0].features.seconds)[0])
    assert on.median_bout_seconds == pytest.approx(2 * step)


def test_a_dataset_without_faults_is_not_complained_of():
    assert codes(overview_of("entering"), overview_of("leaving"), overview_of("lying"), overview_of("not_lying")) == []
    assert codes(overview_of(groups=("only",))) == []  # there is but one group


def test_a_class_in_one_group_is_said():
    assert codes(overview_of("a"), overview_of("b", groups=("y",))) == ["class_in_one_group"]


def test_few_bouts_are_said():
    assert codes(overview_of("a", num_bouts=4), overview_of("b", num_bouts=5)) == ["few_bouts"]


@pytest.mark.parametrize(
    ("first", "second", "is_said"),
    [
        ("grooming", "groomming", True),
        ("head dip", "head-dip", True),
        ("2_bottles", "3_bottles", False),
        ("phase 1", "phase 12", False),
        ("walk", "run", False),
    ],
)
def test_names_that_may_be_one_are_said(first, second, is_said):
    assert ("similar_classes" in codes(overview_of(first), overview_of(second))) == is_said

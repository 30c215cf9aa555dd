"""Splits and folds: whole groups, every clip once, drawn from the seed; what measures was not learned from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.dataset_entries import entry, features
from videoseq.annotations.types import IGNORE_INDEX
from videoseq.data.dataset import Clip
from videoseq.data.splits import choose_validation_groups, count_classes, leave_groups_out
from videoseq.errors import AnnotationError


def clips_of(groups: Sequence[tuple[str, Sequence[int]]]) -> list[Clip]:
    """Clips of these groups with these targets."""
    return [
        Clip(entry(f"clip{i}", group), features(len(targets)), np.array(targets, dtype=np.int64))
        for i, (group, targets) in enumerate(groups)
    ]


TARGETS = st.lists(st.sampled_from([0, 1, 2, IGNORE_INDEX]), min_size=1, max_size=8).map(lambda some: [*some, 0])
GROUPED = st.lists(st.tuples(st.sampled_from("abcde"), TARGETS), min_size=1, max_size=10)


@settings(max_examples=60)
@given(GROUPED, st.floats(0.01, 0.99), st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_validation_takes_whole_groups_some_and_never_all(grouped, fraction, seed, random):
    clips = clips_of(grouped)
    groups = {group for group, _ in grouped}
    chosen = choose_validation_groups(clips, 3, fraction, seed, num_draws=20)
    assert chosen <= groups
    assert 0 < len(chosen) < len(groups) or (len(groups) == 1 and not chosen)
    random.shuffle(clips)
    assert choose_validation_groups(clips, 3, fraction, seed, num_draws=20) == chosen


def test_validation_is_drawn_from_the_seed():
    clips = clips_of([(f"g{i}", [0, 1]) for i in range(10)])
    drawn = {frozenset(choose_validation_groups(clips, 2, 0.2, seed)) for seed in range(10)}
    assert {len(groups) for groups in drawn} == {2}
    assert len(drawn) > 5


def test_validation_and_training_both_meet_every_class_that_allows_it():
    clips = clips_of([("rare 1", [0, 1]), ("rare 2", [0, 1]), *((f"g{i}", [0, 0]) for i in range(8))])
    for seed in range(20):
        chosen = choose_validation_groups(clips, 2, 0.2, seed)
        assert len(chosen & {"rare 1", "rare 2"}) == 1


def test_validation_comes_near_the_fraction_of_labeled_frames():
    clips = clips_of([("big", [0] * 60 + [IGNORE_INDEX] * 900), *((f"g{i}", [0] * 10) for i in range(4))])
    assert choose_validation_groups(clips, 1, 0.6, seed=0) == {"big"}
    assert choose_validation_groups(clips, 1, 0.1, seed=0) < {"g0", "g1", "g2", "g3"}


def test_a_class_of_one_group_stays_in_training():
    clips = clips_of([("rare", [1, 1]), *((f"g{i}", [0, 0]) for i in range(4))])
    for seed in range(20):
        assert "rare" not in choose_validation_groups(clips, 2, 0.4, seed)


def test_without_a_second_group_or_a_fraction_nothing_validates():
    assert choose_validation_groups(clips_of([("one", [0, 1]), ("one", [0, 1])]), 2, 0.5, seed=0) == set()
    assert choose_validation_groups(clips_of([("one", [0, 1]), ("two", [0, 1])]), 2, 0.0, seed=0) == set()
    assert choose_validation_groups([], 2, 0.5, seed=0) == set()


@settings(max_examples=60)
@given(GROUPED, st.one_of(st.just("groups"), st.integers(2, 7)))
def test_folds_leave_every_group_out_once_and_learn_from_all_others(grouped, max_folds):
    clips = clips_of(grouped)
    groups = {group for group, _ in grouped}
    if len(groups) < 2:
        with pytest.raises(AnnotationError, match="expected clips of two groups or more"):
            leave_groups_out(clips, 3, max_folds)
        return
    folds = leave_groups_out(clips, 3, max_folds)
    assert len(folds) == (len(groups) if max_folds == "groups" else min(len(groups), max_folds))
    assert sorted(group for fold in folds for group in fold.groups) == sorted(groups)
    for fold in folds:
        assert {clip.entry.group for clip in fold.held_out} == set(fold.groups)
        assert not {clip.entry.group for clip in fold.train} & set(fold.groups)
        assert sorted(map(id, [*fold.train, *fold.held_out])) == sorted(map(id, clips))


def test_folds_share_out_the_labeled_frames():
    clips = clips_of([("big", [0] * 40), *((f"g{i}", [0] * 10 + [IGNORE_INDEX] * 50 * i) for i in range(8))])
    folds = leave_groups_out(clips, 1, 3)
    assert [count_classes(fold.held_out, 1).item() for fold in folds] == [40, 40, 40]
    assert folds[0].groups == ("big",)


def test_a_class_that_few_groups_have_is_left_out_bit_by_bit():
    rooms = [(f"room{i}", [0] * (20 + 10 * i)) for i in range(3)]
    clips = clips_of([*rooms, *((f"faller{i}", [0] * 4 + [1] * 3 + [2] * 2) for i in range(3))])
    for fold in leave_groups_out(clips, 3, 3):
        assert count_classes(fold.held_out, 3).tolist()[1:] == [3, 2]
        assert count_classes(fold.train, 3).tolist()[1:] == [6, 4]


def test_a_dataset_with_splits_is_not_cross_validated():
    clips = clips_of([("one", [0, 1]), ("two", [0, 1])])
    split = Clip(entry("c", "three", "test"), features(2), np.array([0, 1]))
    with pytest.raises(AnnotationError, match="expected a dataset without splits"):
        leave_groups_out([*clips, split], 2)

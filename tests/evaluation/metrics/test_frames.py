"""Metrics: the numbers of scikit-learn and torchmetrics, and None where there is nothing to divide by."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from torchmetrics.functional import classification as tm

from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.evaluation.metrics import (
    confusion_matrix,
    frame_metrics,
)


@st.composite
def labeled_videos(draw):
    """Targets with unlabeled frames, labels, and two to five classes of which some may be absent."""
    num_classes = draw(st.integers(2, 5))
    index = st.integers(0, num_classes - 1)
    pairs = draw(st.lists(st.tuples(index | st.just(IGNORE_INDEX), index), min_size=1, max_size=60))
    targets, labels = np.array(pairs, dtype=np.int64).T
    return np.ascontiguousarray(targets), np.ascontiguousarray(labels), num_classes


def names(num_classes: int) -> ClassNames:
    return ClassNames("abcdefg"[:num_classes])


@settings(max_examples=150)
@given(labeled_videos())
def test_every_number_is_that_of_scikit_learn(video):
    targets, labels, num_classes = video
    confusion = confusion_matrix(targets, labels, num_classes)
    found = frame_metrics(confusion, names(num_classes))
    is_labeled = targets != IGNORE_INDEX
    assert found.num_frames == is_labeled.sum()
    if not is_labeled.any():
        assert (found.accuracy, found.macro_f1, confusion.any()) == (None, None, False)
        return
    true, given_ = targets[is_labeled], labels[is_labeled]
    expected = sk.confusion_matrix(true, given_, labels=range(num_classes))
    assert confusion.tolist() == expected.tolist() == found.confusion
    assert found.accuracy == pytest.approx(sk.accuracy_score(true, given_))
    assert found.macro_f1 == pytest.approx(sk.f1_score(true, given_, average="macro", zero_division=0))
    assert found.balanced_accuracy == pytest.approx(
        np.mean(sk.recall_score(true, given_, average=None, labels=np.unique(true)))
    )
    if len({*true, *given_}) > 1:
        assert found.kappa == pytest.approx(sk.cohen_kappa_score(true, given_))
    else:
        assert found.kappa is None
    nan = {"labels": range(num_classes), "zero_division": np.nan}
    precision, recall, f1, support = sk.precision_recall_fscore_support(true, given_, **nan)
    for i, one in enumerate(found.per_class.values()):
        assert one.precision == (None if np.isnan(precision[i]) else pytest.approx(precision[i]))
        assert one.recall == (None if np.isnan(recall[i]) else pytest.approx(recall[i]))
        is_there = support[i] or (given_ == i).any()
        assert one.f1 == (pytest.approx(0.0 if np.isnan(f1[i]) else f1[i]) if is_there else None)
        assert (one.support, one.num_labeled) == (support[i], (given_ == i).sum())


@settings(max_examples=100)
@given(labeled_videos().filter(lambda video: (video[0] != IGNORE_INDEX).any()))
def test_every_number_is_that_of_torchmetrics(video):
    targets, labels, num_classes = video
    found = frame_metrics(confusion_matrix(targets, labels, num_classes), names(num_classes))
    arguments = torch.from_numpy(labels), torch.from_numpy(targets), num_classes
    options = {"ignore_index": IGNORE_INDEX}
    accuracy = tm.multiclass_accuracy(*arguments, average="micro", **options)
    assert found.accuracy == pytest.approx(float(accuracy), abs=1e-6)
    assert found.macro_f1 == pytest.approx(float(tm.multiclass_f1_score(*arguments, **options)), abs=1e-6)
    for name in ("precision", "recall", "f1"):
        function = getattr(tm, f"multiclass_{name}" if name != "f1" else "multiclass_f1_score")
        expected = function(*arguments, average="none", **options).tolist()
        values = [getattr(one, name) for one in found.per_class.values()]
        assert [0.0 if value is None else value for value in values] == pytest.approx(expected, abs=1e-6)


def test_an_example_by_hand():
    no = IGNORE_INDEX
    targets = np.array([0, 0, 0, 1, 1, no, no, 2])
    labels = np.array([0, 0, 1, 1, 1, 0, 2, 1])
    confusion = confusion_matrix(targets, labels, 4)
    assert confusion.tolist() == [[2, 1, 0, 0], [0, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    found = frame_metrics(confusion, names(4))
    assert (found.num_frames, found.accuracy) == (6, 4 / 6)
    assert found.macro_f1 == pytest.approx((4 / 5 + 4 / 6 + 0) / 3)
    assert [one.precision for one in found.per_class.values()] == [1.0, 0.5, None, None]
    assert [one.recall for one in found.per_class.values()] == [2 / 3, 1.0, 0.0, None]
    assert [one.f1 for one in found.per_class.values()] == [4 / 5, 4 / 6, 0.0, None]
    assert [(one.support, one.num_labeled) for one in found.per_class.values()] == [(3, 2), (2, 4), (1, 0), (0, 0)]
    assert list(found.per_class) == ["a", "b", "c", "d"]


def test_an_absent_class_has_no_numbers_and_lowers_no_mean():
    found = frame_metrics(np.array([[3, 0, 0], [0, 0, 0], [0, 0, 2]]), names(3))
    absent = found.per_class["b"]
    assert (absent.precision, absent.recall, absent.f1, absent.support) == (None, None, None, 0)
    assert (found.accuracy, found.macro_f1) == (1.0, 1.0)


def test_a_class_that_is_only_ever_given_wrongly_lowers_the_mean():
    found = frame_metrics(np.array([[2, 2], [0, 0]]), names(2))
    assert (found.per_class["b"].precision, found.per_class["b"].recall, found.per_class["b"].f1) == (0.0, None, 0.0)
    assert found.macro_f1 == pytest.approx((4 / 6 + 0) / 2)


@pytest.mark.parametrize("num_frames", [0, 3])
def test_without_a_labeled_frame_there_are_no_numbers(num_frames):
    targets = np.full(num_frames, IGNORE_INDEX, dtype=np.int64)
    found = frame_metrics(confusion_matrix(targets, np.zeros(num_frames, dtype=np.int64), 2), names(2))
    assert (found.num_frames, found.accuracy, found.macro_f1) == (0, None, None)
    assert all(one.f1 is None for one in found.per_class.values())


def test_the_frames_of_several_videos_add_up():
    generator = np.random.default_rng(0)
    targets, labels = generator.integers(0, 3, (2, 50))
    parts = [confusion_matrix(targets[part], labels[part], 3) for part in (slice(0, 20), slice(20, 50))]
    assert sum(parts).tolist() == confusion_matrix(targets, labels, 3).tolist()


def test_metrics_survive_json():
    found = frame_metrics(np.array([[3, 1], [0, 0]]), names(2))
    assert type(found).model_validate_json(found.model_dump_json()) == found


def test_kappa_and_balanced_accuracy_by_hand():
    found = frame_metrics(np.array([[20, 5], [10, 15]]), names(2))
    assert found.kappa == pytest.approx((0.7 - 0.5) / 0.5)
    assert found.balanced_accuracy == pytest.approx((20 / 25 + 15 / 25) / 2)
    alike = frame_metrics(np.array([[7, 0], [0, 0]]), names(2))
    assert (alike.kappa, alike.balanced_accuracy) == (None, 1.0)  # chance alone would agree everywhere


def test_frames_unlabeled_on_either_side_are_left_out():
    no = IGNORE_INDEX
    assert confusion_matrix(np.array([0, no, 1, 1]), np.array([0, 1, no, 0]), 2).tolist() == [[1, 0], [1, 0]]

"""Intervals and tests over videos: right by hand, by simulation, and the same for the same seed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from videoseq.evaluation.metrics.frames import accuracy
from videoseq.evaluation.metrics.uncertainty import (
    exchange_p_values,
    measured,
    percentile_interval,
    resampling_weights,
    sums,
)


def measure(statistics):
    return {"accuracy": accuracy(statistics["confusion"])}


def confusions(right, wrong) -> dict[str, np.ndarray]:
    """A confusion matrix for each video with so many frames right and wrong."""
    return {"confusion": np.array([[[r, w], [0, 0]] for r, w in zip(right, wrong, strict=True)], np.int64)}


def test_sums_weigh_units():
    statistics = confusions([3, 5], [1, 0])
    found = sums(statistics, np.array([[1.0, 1.0], [2.0, 0.0]]))["confusion"]
    assert found[:, 0].tolist() == [[8, 1], [6, 2]]


def test_each_resample_has_as_many_units_and_a_seed_makes_it_again():
    weights = resampling_weights(7, seed=3)
    assert weights.shape == (1000, 7)
    assert set(weights.sum(axis=1)) == {7}
    assert (weights == resampling_weights(7, seed=3)).all()
    assert (weights != resampling_weights(7, seed=4)).any()


def test_blocks_make_no_difference():
    statistics = confusions(range(1, 9), range(8, 0, -1))
    weights = resampling_weights(8)
    whole = measure(sums(statistics, weights))["accuracy"]
    assert measured(statistics, weights, measure)["accuracy"].tolist() == whole.tolist()


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    """Videos whose accuracy is drawn around 0.7: their frames resemble each other, and the interval knows it."""
    random = np.random.default_rng(0)
    held = 0
    for trial in range(300):
        right = random.binomial(100, random.beta(7, 3, 30))
        values = measured(confusions(right, 100 - right), resampling_weights(30, trial, 400), measure)["accuracy"]
        interval = percentile_interval(values)
        assert interval is not None
        held += interval.low <= 0.7 <= interval.high
    assert 0.89 <= held / 300 <= 0.98


def test_intervals_leave_out_what_has_no_denominator():
    assert percentile_interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert percentile_interval(np.full(5, np.nan)) is None


def test_p_values_of_few_videos_are_those_of_all_exchanges():
    right, other = [9, 8, 10, 7, 6], [6, 7, 5, 8, 4]
    found = exchange_p_values(
        confusions(right, [10 - r for r in right]), confusions(other, [10 - r for r in other]), measure
    )["accuracy"]
    difference = np.array(right) - np.array(other)
    signs = np.array(list(itertools.product([1, -1], repeat=5)))
    assert found == pytest.approx(np.mean(np.abs(signs @ difference) >= abs(difference.sum())))


def test_drawn_exchanges_come_near_to_all_of_them():
    random = np.random.default_rng(1)
    right = random.integers(50, 90, 13)
    other = right - random.integers(-8, 12, 13)
    pair = confusions(right, 100 - right), confusions(other, 100 - other)
    found = exchange_p_values(*pair, measure)["accuracy"]
    difference = right - other
    signs = 1 - 2 * (np.arange(2**13)[:, None] >> np.arange(13) & 1)
    assert found == pytest.approx(np.mean(np.abs(signs @ difference) >= abs(difference.sum())), abs=0.01)


def test_labelers_that_are_alike_are_not_told_apart_and_none_stays_none():
    one = confusions([5, 6, 7], [5, 4, 3])
    assert exchange_p_values(one, one, measure)["accuracy"] == 1.0
    empty = confusions([0, 0], [0, 0])
    assert exchange_p_values(empty, empty, measure)["accuracy"] is None


def test_a_difference_in_every_video_is_as_sure_as_their_number_allows():
    one, other = confusions([9] * 20, [1] * 20), confusions([5] * 20, [5] * 20)
    assert exchange_p_values(one, other, measure)["accuracy"] == pytest.approx(1 / 10_001)

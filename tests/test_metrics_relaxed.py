"""The relaxed measure does what Evaluate.m does, quirks and all; every number here was worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from videoseq.metrics.relaxed import RelaxedVideo, tmrnet_compat, tmrnet_compat_video


def runs(*parts: tuple[int, int]) -> np.ndarray:
    return np.repeat([c for c, _ in parts], [n for _, n in parts]).astype(np.int64)


def test_a_transition_that_is_10_s_late_is_forgiven():
    found = tmrnet_compat_video(runs((0, 30), (1, 30)), runs((0, 40), (1, 20)))
    assert found.accuracy == 100
    assert found.recall[:2].tolist() == [pytest.approx(100 * 40 / 30), 100]  # hits of 0 include the forgiven ten
    assert found.precision[:2].tolist() == [100, 100 * 30 / 20]
    assert found.jaccard[:2].tolist() == [100, 100]


def test_seconds_beyond_the_tenth_are_not_forgiven():
    found = tmrnet_compat_video(runs((0, 30), (1, 30)), runs((0, 45), (1, 15)))
    assert found.accuracy == pytest.approx(100 * 55 / 60)
    assert found.jaccard[0] == pytest.approx(100 * 40 / 45)


def test_an_early_transition_is_not_forgiven_because_the_mask_is_put_on_the_start():
    targets, labels = runs((0, 30), (1, 30)), runs((0, 20), (1, 40))
    found = tmrnet_compat_video(targets, labels)
    # the last ten frames of phase 0 say 1, the first ten, which were right, are "forgiven": nothing changes
    assert found.accuracy == pytest.approx(100 * 50 / 60)


def test_frames_at_the_start_are_forgiven_for_what_the_end_says():
    # Phase 0 begins with ten frames of 4, four phases off, and ends with ten of 1: twenty errors, ten forgiven, ...
    found = tmrnet_compat_video(runs((0, 30), (1, 30)), runs((4, 10), (0, 10), (1, 40)))
    assert found.accuracy == pytest.approx(100 * 50 / 60)
    assert found.recall[1] == 100  # ... but not those of 1, which would count as hits of phase 1 as well
    without_the_end = tmrnet_compat_video(runs((0, 30), (1, 30)), runs((4, 10), (0, 20), (1, 30)))
    assert without_the_end.accuracy == pytest.approx(100 * 50 / 60)


def test_a_phase_shorter_than_10_s_is_forgiven_as_a_whole():
    assert tmrnet_compat_video(runs((0, 30), (1, 4)), runs((0, 34))).accuracy == 100
    early = tmrnet_compat_video(runs((0, 4), (1, 30)), runs((1, 34)))
    assert early.accuracy == 100  # here first and last ten seconds are the same frames, and the mask fits
    assert early.precision[0] == np.inf  # never labelled, four hits
    assert early.recall[0] == 100


def test_late_phases_may_be_two_off():
    targets = runs((3, 30), (5, 30), (6, 30))
    late = runs((3, 40), (5, 20), (6, 30))
    assert tmrnet_compat_video(targets, late).accuracy == 100  # 3 − 5 = −2 in phase 5
    assert tmrnet_compat_video(runs((1, 30), (3, 30)), runs((1, 40), (3, 20))).accuracy < 100  # phase 3 may not


def test_frames_per_second_stretch_what_is_forgiven():
    targets, labels = runs((0, 60), (1, 60)), runs((0, 80), (1, 40))
    assert tmrnet_compat_video(targets, labels, frames_per_second=2).accuracy == 100
    assert tmrnet_compat_video(targets, labels).accuracy == pytest.approx(100 * 110 / 120)


def test_an_absent_phase_has_no_number_and_lowers_no_mean():
    one = tmrnet_compat_video(runs((0, 30), (1, 30)), runs((0, 30), (1, 20), (2, 10)))
    assert np.isnan(one.jaccard[2:]).all()
    other = tmrnet_compat_video(runs((0, 20)), runs((0, 20)))
    row = tmrnet_compat([one, other])
    assert row.accuracy.mean == pytest.approx((100 * 50 / 60 + 100) / 2)
    assert row.recall.mean == pytest.approx((100 + 100 * 20 / 30) / 2)
    assert row.precision.mean == 100
    assert row.recall.deviation == pytest.approx(100 / 3 / np.sqrt(2))


def test_the_table_cuts_off_at_100():
    nan = np.full(7, np.nan)
    video = RelaxedVideo(nan, np.array([150.0, 50.0, np.inf, *[np.nan] * 4]), nan, 80.0)
    row = tmrnet_compat([video])
    assert row.precision.mean == pytest.approx(250 / 3)
    assert (row.jaccard.mean, row.jaccard.deviation, row.accuracy.deviation) == (None, None, None)


@pytest.mark.parametrize("targets", [[0, 7], [-100, 0], []])
def test_other_phases_are_refused(targets):
    with pytest.raises(ValueError, match="expected phases 0 to 6"):
        tmrnet_compat_video(np.array(targets, np.int64), np.zeros(len(targets), np.int64))

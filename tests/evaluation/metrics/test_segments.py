"""Segments and bouts: MS-TCN's definitions against a plain transcription of them, and examples by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.evaluation.metrics.bouts import bout_metrics, bout_times, join_bout_times
from videoseq.evaluation.metrics.segments import (
    OVERLAPS,
    edit_score,
    levenshtein,
    segment_counts,
    segment_f1,
    segment_video,
)

NO = IGNORE_INDEX


def runs(*parts: tuple[int, int]) -> np.ndarray:
    """Frames from (class, length) pairs."""
    return np.repeat([c for c, _ in parts], [n for _, n in parts]).astype(np.int64)


frames = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), min_size=1, max_size=14).map(lambda x: runs(*x))


@st.composite
def videos(draw):
    targets, labels = draw(frames), draw(frames)
    length = min(len(targets), len(labels))
    return targets[:length], labels[:length]


def plain_segments(values, background):
    """(class, start, stop) of each run, as a loop writes them."""
    found = []
    for index, value in enumerate(values):
        if index and value == values[index - 1]:
            found[-1][2] = index + 1
        else:
            found.append([value, index, index + 1])
    return [tuple(one) for one in found if one[0] != background]


def plain_counts(targets, labels, overlap, background):
    """The greedy loop over all pairs, with the union that spans both."""
    true, labeled = plain_segments(targets, background), plain_segments(labels, background)
    hits, tp = set(), 0
    for c, start, stop in labeled:
        ious = [
            (min(stop, e) - max(start, b)) / (max(stop, e) - min(start, b)) if c == other else 0.0
            for other, b, e in true
        ]
        best = int(np.argmax(ious)) if ious else None
        if best is not None and ious[best] >= overlap and best not in hits:
            hits.add(best)
            tp += 1
    return [tp, len(labeled) - tp, len(true) - len(hits)]


def plain_edit(one, other):
    table = np.zeros((len(one) + 1, len(other) + 1))
    table[:, 0], table[0] = np.arange(len(one) + 1), np.arange(len(other) + 1)
    for i, a in enumerate(one, 1):
        for j, b in enumerate(other, 1):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a != b))
    return table[-1, -1]


@settings(max_examples=300)
@given(videos(), st.sampled_from([None, 0, 2]))
def test_counts_and_edit_are_those_of_the_plain_loops(video, background):
    targets, labels = video
    found = segment_video(targets, labels, background)
    counts = segment_counts(found, 4)
    for overlap, of_classes in zip(OVERLAPS, counts, strict=True):
        assert of_classes.sum(axis=0).tolist() == plain_counts(targets, labels, overlap, background)
    true, labeled = ([c for c, _, _ in plain_segments(side, background)] for side in video)
    longer = max(len(true), len(labeled))
    expected = 1 - plain_edit(labeled, true) / longer if longer else np.nan
    np.testing.assert_allclose(edit_score(found), expected, equal_nan=True)


@settings(max_examples=200)
@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=12))
def test_levenshtein_is_the_table_s_corner(one, other):
    assert levenshtein(np.array(one, np.int64), np.array(other, np.int64)) == plain_edit(one, other)


def test_counts_by_hand():
    targets = runs((0, 10), (1, 10), (0, 10))
    labels = runs((0, 4), (2, 2), (0, 4), (1, 8), (0, 12))
    counts = segment_counts(segment_video(targets, labels), 3)
    # the first bout of 0 is found twice by halves of IoU 0.4 each: one hit, one false alarm, at k = 0.5 none
    assert counts[0].tolist() == [[2, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert counts[1].tolist() == counts[0].tolist()
    assert counts[2].tolist() == [[1, 2, 1], [1, 0, 0], [0, 1, 0]]
    f1 = segment_f1(counts)
    assert f1[0].tolist() == pytest.approx([4 / 5, 1, 0])
    assert segment_f1(counts.sum(axis=1)).tolist() == pytest.approx([6 / 8, 6 / 8, 4 / 8])
    # 0 2 0 1 0 against 0 1 0: two to delete, of five
    assert edit_score(segment_video(targets, labels)) == pytest.approx(3 / 5)


def test_a_segment_whose_best_match_is_taken_is_a_false_positive_although_another_would_do():
    targets = runs((0, 10), (1, 1), (0, 2))
    labels = runs((0, 4), (1, 1), (0, 8))  # the second 0 overlaps both bouts, the first more
    assert segment_counts(segment_video(targets, labels), 2)[0, 0].tolist() == [1, 1, 1]


def test_an_unlabeled_frame_breaks_segments_on_both_sides():
    targets = runs((0, 4), (NO, 3), (0, 4), (1, 4))
    labels = runs((0, 11), (1, 4))
    video = segment_video(targets, labels)
    assert video.targets.value.tolist() == video.labels.value.tolist() == [0, 0, 1]
    assert video.labels.start.tolist() == [0, 7, 11]
    assert video.labels.stop.tolist() == [4, 11, 15]
    assert segment_counts(video, 2)[2].tolist() == [[2, 0, 0], [1, 0, 0]]
    swapped = segment_video(labels, targets)
    assert segment_counts(swapped, 2)[2].tolist() == [[2, 0, 0], [1, 0, 0]]


def test_what_is_labeled_where_nothing_is_known_counts_nowhere():
    targets, labels = runs((0, 4), (NO, 3), (1, 4)), runs((0, 4), (2, 3), (1, 4))
    assert segment_counts(segment_video(targets, labels), 3)[2].tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert edit_score(segment_video(targets, labels)) == 1.0


@pytest.mark.parametrize("targets", [runs(), runs((NO, 5))])
def test_without_a_labeled_frame_there_is_no_number(targets):
    video = segment_video(targets, np.zeros(len(targets), np.int64))
    assert np.isnan(edit_score(video))
    assert np.isnan(segment_f1(segment_counts(video, 2))).all()
    times = bout_metrics(bout_times(video, np.arange(len(targets)) / 10, len(targets) / 10), 0)
    assert (times.num_bouts, times.mean_bout_seconds, times.detection_delay_seconds) == (0, None, None)
    assert times.false_alarms_per_hour is None


def test_onsets_ends_and_delays_by_hand():
    """Ten frames a second; class 1 is looked at."""
    targets = runs((0, 20), (1, 20), (0, 20), (1, 10), (0, 10))
    labels = runs((0, 23), (1, 15), (0, 32), (1, 5), (0, 5))
    found = bout_metrics(bout_times(segment_video(targets, labels), np.arange(80) / 10, 8.0), 1)
    assert (found.num_bouts, found.num_labeled_bouts, found.num_detected, found.num_false_alarms) == (2, 2, 1, 1)
    assert found.num_onsets == found.num_offsets == 1
    assert (found.onset_bias_seconds, found.offset_bias_seconds) == pytest.approx((0.3, -0.2))
    assert (found.onset_error_seconds, found.offset_error_median_seconds) == pytest.approx((0.3, 0.2))
    assert found.detection_delay_seconds == pytest.approx(0.3)
    assert (found.total_seconds, found.total_labeled_seconds) == pytest.approx((3.0, 2.0))
    assert (found.mean_bout_seconds, found.mean_labeled_bout_seconds) == pytest.approx((1.5, 1.0))
    assert found.false_alarms_per_hour == pytest.approx(3600 / 8)


def test_a_bout_that_was_already_labeled_at_its_onset_is_noticed_at_once_and_early():
    targets, labels = runs((0, 20), (1, 20)), runs((0, 15), (1, 25))
    found = bout_metrics(bout_times(segment_video(targets, labels), np.arange(40) / 10, 4.0), 1)
    assert (found.detection_delay_seconds, found.onset_bias_seconds) == pytest.approx((0.0, -0.5))
    assert (found.num_onsets, found.num_offsets, found.offset_bias_seconds) == (1, 0, None)  # the video ends in it


def test_ends_that_the_truth_does_not_show_are_not_compared():
    targets = runs((NO, 5), (1, 10), (0, 5), (1, 5), (NO, 5))
    labels = runs((1, 12), (0, 8), (1, 10))
    found = bout_metrics(bout_times(segment_video(targets, labels), np.arange(30) / 10, 3.0), 1)
    assert (found.num_bouts, found.num_onsets, found.num_offsets) == (2, 1, 1)
    assert (found.onset_bias_seconds, found.offset_bias_seconds) == pytest.approx((0.0, -0.3))
    assert found.num_false_alarms == 0


def test_times_are_the_container_s_where_frames_are_uneven():
    seconds = np.array([0.0, 0.1, 0.5, 0.6, 2.0, 2.1])
    found = bout_times(segment_video(runs((0, 2), (1, 4)), runs((0, 4), (1, 2))), seconds, 2.5)
    one = bout_metrics(found, 1)
    assert (one.onset_bias_seconds, one.detection_delay_seconds) == pytest.approx((1.5, 1.5))
    assert (one.total_seconds, found.compared_seconds) == pytest.approx((2.0, 2.5))


def test_the_bouts_of_several_videos_add_up():
    targets, labels = runs((0, 20), (1, 20), (0, 5)), runs((0, 23), (1, 10), (0, 12))
    one = bout_times(segment_video(targets, labels), np.arange(45) / 10, 4.5)
    two = bout_metrics(join_bout_times([one, one]), 1)
    alone = bout_metrics(one, 1)
    assert (two.num_bouts, two.total_seconds) == (2 * alone.num_bouts, 2 * alone.total_seconds)
    for name in ("onset_error_seconds", "detection_delay_seconds", "false_alarms_per_hour", "offset_bias_seconds"):
        assert getattr(two, name) == pytest.approx(getattr(alone, name))


def test_a_background_class_has_no_bouts():
    video = segment_video(runs((0, 5), (1, 5), (0, 5)), runs((0, 4), (1, 7), (0, 4)), background=0)
    times = bout_times(video, np.arange(15) / 10, 1.5)
    assert bout_metrics(times, 0).num_bouts == 0
    assert bout_metrics(times, 1).onset_bias_seconds == pytest.approx(-0.1)

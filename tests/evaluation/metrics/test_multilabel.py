"""Metrics of classes that overlap, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from tests.support.labeled_videos import joined, random_videos, video
from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.evaluation.metrics import MULTILABEL_HEADLINES, LabeledVideo, compare, measure

CLASSES = ClassNames(["groom", "rear", "sit"])


@settings(max_examples=8)
@given(st.integers(0, 1 << 16))
def test_they_are_scikit_learns(seed):
    videos = random_videos(seed)
    found = measure(videos, CLASSES).metrics
    targets, labels, scores = joined(videos)
    headline = {name: one.value for name, one in found.headline.items()}
    ap = reference.average_precision_score(targets, scores, average=None)
    expected = {
        "macro_f1": reference.f1_score(targets, labels, average="macro"),
        "micro_f1": reference.f1_score(targets, labels, average="micro"),
        "exact_match": reference.accuracy_score(targets, labels),
        "mean_average_precision": ap.mean(),
        "negative_log_likelihood": reference.log_loss(targets.ravel(), scores.ravel()),
        "brier_score": reference.brier_score_loss(targets.ravel(), scores.ravel()),
    }
    assert {name: headline[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    precision, recall, f1, support = reference.precision_recall_fscore_support(targets, labels)
    for index, one in enumerate(found.per_class.values()):
        assert (one.precision, one.recall, one.f1) == pytest.approx((precision[index], recall[index], f1[index]))
        assert (one.support, one.num_labeled) == (support[index], labels[:, index].sum())
        assert one.average_precision == pytest.approx(ap[index])
        assert one.f1_low <= one.f1 <= one.f1_high
    assert found.num_frames == len(targets)


def test_by_hand():
    """Grooming is found two frames late, rearing is made up, sitting is right; one frame is unlabeled."""
    groom, rear, sit = [0, 1, 1, 1, 1, 1, 0, 0, 0, 0], [0] * 10, [1, 1, 1, 1, 0, 0, 0, 0, 0, 1]
    targets = np.stack((groom, rear, sit), axis=1)
    labels = targets.copy()
    labels[1:3, 0], labels[7, 1] = 0, 1
    targets[6], labels[6] = IGNORE_INDEX, 1
    found = measure([video(targets, labels)], CLASSES)
    metrics, headline = found.metrics, {name: one.value for name, one in found.metrics.headline.items()}
    assert (metrics.num_frames, metrics.labeled_seconds) == (9, pytest.approx(0.9))
    groom, rear, sit = metrics.per_class.values()
    assert (groom.precision, groom.recall, groom.f1) == (1.0, 0.6, pytest.approx(0.75))
    assert (rear.precision, rear.recall, rear.f1, rear.support) == (0.0, None, 0.0, 0)
    assert (sit.f1, sit.support) == (1.0, 5)
    assert headline["macro_f1"] == pytest.approx((0.75 + 0 + 1) / 3)
    assert headline["micro_f1"] == pytest.approx(2 * 8 / (2 * 8 + 1 + 2))
    assert headline["exact_match"] == pytest.approx(6 / 9)
    assert metrics.segments["groom"].f1_at_50 == 1.0  # three frames of five
    assert headline["f1_at_50"] == pytest.approx(2 * 3 / (2 * 3 + 1))
    assert metrics.bouts["groom"].onset_error_seconds == pytest.approx(0.2)
    assert metrics.bouts["rear"].num_false_alarms == 1
    assert headline["false_alarms_per_hour"] == pytest.approx(3600 / 0.9)
    assert headline["mean_average_precision"] is None
    assert metrics.reliability is None
    assert headline["detected"] == 1.0
    (of_video,) = found.videos
    assert (of_video.exact_match, of_video.f1_at_10) == (headline["exact_match"], headline["f1_at_10"])


def test_what_has_no_meaning_is_absent():
    metrics = measure(random_videos(1), CLASSES).metrics
    assert list(metrics.headline) == list(MULTILABEL_HEADLINES)
    assert not {"accuracy", "kappa", "edit", "balanced_accuracy"} & set(metrics.headline)
    assert not {"confusion", "since_start"} & set(metrics.model_dump())


def test_calibration_is_over_pairs_of_frame_and_class():
    """Said 0.8 twice, there once; said 0.2 four times, there once: off by 0.3 and 0.05."""
    targets, labels = [[1, 0, 0], [0, 0, 1]], [[1, 0, 0], [1, 0, 0]]
    found = measure([video(targets, labels, [[0.8, 0.2, 0.2], [0.8, 0.2, 0.2]])], CLASSES).metrics
    assert found.headline["expected_calibration_error"].value == pytest.approx((2 * 0.3 + 4 * 0.05) / 6)
    seen = [(one.num_frames, one.accuracy) for one in found.reliability if one.num_frames]
    assert seen == [(4, 0.25), (2, 0.5)]


def test_better_labels_are_better_and_equal_ones_are_not():
    videos = random_videos(3, 8)
    perfect = [video(np.maximum(one.targets, 0), np.maximum(one.targets, 0), name=one.name) for one in videos]
    right = [LabeledVideo(v.name, v.group, v.seconds, v.duration_seconds, v.targets, p.labels) for v, p in
             zip(videos, perfect, strict=True)]  # fmt: skip
    one, other = measure(right, CLASSES), measure(videos, CLASSES)
    found = compare(one, other)
    assert one.metrics.headline["exact_match"].value == 1.0
    assert found["macro_f1"].low > 0
    assert found["macro_f1"].p_value < 0.05
    assert compare(other, other)["macro_f1"].p_value == 1.0

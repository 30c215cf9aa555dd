"""Metrics of classes that overlap, against scikit-learn and by hand; thresholds and temperature against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.evaluation.metrics import MULTILABEL_HEADLINES, LabelledVideo, compare_multilabel, measure_multilabel
from videoseq.training.thresholds import best_macro_f1, best_thresholds, multilabel_temperature, settled

CLASSES = ClassNames(["groom", "rear", "sit"])


def video(targets, labels, probabilities=None, *, name="a", fps=10.0) -> LabelledVideo:
    targets, labels = np.array(targets, np.int64), np.array(labels, np.int64)
    given = None if probabilities is None else np.array(probabilities, np.float32)
    seconds = np.arange(len(targets)) / fps
    return LabelledVideo(name, name, seconds, len(targets) / fps, targets, labels, given)


def random_videos(seed: int, num_videos: int = 3, *, num_frames: int = 40) -> list[LabelledVideo]:
    """Some unlabelled frames, and probabilities that know something."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(num_videos):
        targets = (random.random((num_frames, 3)) < (0.2, 0.5, 0.7)).astype(np.int64)
        probabilities = np.clip(0.5 * targets + random.random((num_frames, 3)) * 0.6, 0.01, 0.985).round(2) + 0.003
        targets[random.random(num_frames) < 0.1] = IGNORE_INDEX
        found.append(video(targets, probabilities >= 0.5, probabilities, name=f"v{number}"))
    return found


def joined(videos: list[LabelledVideo]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    targets, labels, scores = (
        np.concatenate([getattr(one, name) for one in videos]) for name in ("targets", "labels", "probabilities")
    )
    kept = targets[:, 0] != IGNORE_INDEX
    return targets[kept], labels[kept], scores[kept]


@settings(max_examples=8)
@given(st.integers(0, 1 << 16))
def test_they_are_scikit_learns(seed):
    videos = random_videos(seed)
    found = measure_multilabel(videos, CLASSES).metrics
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
        assert (one.support, one.num_labelled) == (support[index], labels[:, index].sum())
        assert one.average_precision == pytest.approx(ap[index])
        assert one.f1_low <= one.f1 <= one.f1_high
    assert found.num_frames == len(targets)


def test_by_hand():
    """Grooming is found two frames late, rearing is made up, sitting is right; one frame is unlabelled."""
    groom, rear, sit = [0, 1, 1, 1, 1, 1, 0, 0, 0, 0], [0] * 10, [1, 1, 1, 1, 0, 0, 0, 0, 0, 1]
    targets = np.stack((groom, rear, sit), axis=1)
    labels = targets.copy()
    labels[1:3, 0], labels[7, 1] = 0, 1
    targets[6], labels[6] = IGNORE_INDEX, 1
    found = measure_multilabel([video(targets, labels)], CLASSES)
    metrics, headline = found.metrics, {name: one.value for name, one in found.metrics.headline.items()}
    assert (metrics.num_frames, metrics.labelled_seconds) == (9, pytest.approx(0.9))
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
    metrics = measure_multilabel(random_videos(1), CLASSES).metrics
    assert list(metrics.headline) == list(MULTILABEL_HEADLINES)
    assert not {"accuracy", "kappa", "edit", "balanced_accuracy"} & set(metrics.headline)
    assert not {"confusion", "since_start"} & set(metrics.model_dump())


def test_calibration_is_over_pairs_of_frame_and_class():
    """Said 0.8 twice, there once; said 0.2 four times, there once: off by 0.3 and 0.05."""
    targets, labels = [[1, 0, 0], [0, 0, 1]], [[1, 0, 0], [1, 0, 0]]
    found = measure_multilabel([video(targets, labels, [[0.8, 0.2, 0.2], [0.8, 0.2, 0.2]])], CLASSES).metrics
    assert found.headline["expected_calibration_error"].value == pytest.approx((2 * 0.3 + 4 * 0.05) / 6)
    seen = [(one.num_frames, one.accuracy) for one in found.reliability if one.num_frames]
    assert seen == [(4, 0.25), (2, 0.5)]


def test_better_labels_are_better_and_equal_ones_are_not():
    videos = random_videos(3, 8)
    perfect = [video(np.maximum(one.targets, 0), np.maximum(one.targets, 0), name=one.name) for one in videos]
    right = [LabelledVideo(v.name, v.group, v.seconds, v.duration_seconds, v.targets, p.labels) for v, p in
             zip(videos, perfect, strict=True)]  # fmt: skip
    one, other = measure_multilabel(right, CLASSES), measure_multilabel(videos, CLASSES)
    found = compare_multilabel(one, other)
    assert one.metrics.headline["exact_match"].value == 1.0
    assert found["macro_f1"].low > 0
    assert found["macro_f1"].p_value < 0.05
    assert compare_multilabel(other, other)["macro_f1"].p_value == 1.0


# thresholds and temperature


@settings(max_examples=20)
@given(st.integers(0, 1 << 16))
def test_no_threshold_in_hundredths_has_a_better_f1(seed):
    videos = random_videos(seed, 2, num_frames=15)
    targets, _, scores = joined(videos)
    for index, threshold in enumerate(best_thresholds(videos, 3)):
        target = targets[:, index]
        f1 = {}
        for hundredths in range(1, 100):
            said = scores[:, index] >= hundredths / 100
            f1[hundredths / 100] = 2 * (said & (target == 1)).sum() / max(1, said.sum() + target.sum())
        if 0 < target.sum() < len(target):
            best = [one for one in f1 if f1[one] >= max(f1.values()) - 1e-12]
            assert threshold in best
            assert abs(threshold - 0.5) == min(abs(one - 0.5) for one in best)
        else:
            assert threshold == 0.5


def test_thresholds_without_anything_to_tell_apart_are_a_half():
    assert best_thresholds([], 2).tolist() == [0.5, 0.5]
    one = video([[1, 0]] * 4, [[0, 0]] * 4, [[0.1, 0.9]] * 4)
    assert best_thresholds([one], 2).tolist() == [0.5, 0.5]


def test_a_class_that_is_never_sure_gets_the_threshold_that_finds_it():
    targets = [[1], [1], [0], [0]]
    one = video(targets, [[0]] * 4, [[0.3], [0.25], [0.2], [0.1]])
    assert best_thresholds([one], 1).tolist() == [0.25]
    assert settled(one, 1.0, np.array([0.25])).labels.tolist() == targets
    assert best_macro_f1([one], 1) == 1.0


def test_the_temperature_has_the_least_cross_entropy():
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (4000, 3))
    targets = (random.random(logits.shape) < 1 / (1 + np.exp(-logits / 2.0))).astype(np.int64)
    one = video(targets, targets, 1 / (1 + np.exp(-logits)))
    best = multilabel_temperature([one])
    assert best == pytest.approx(2.0, rel=0.1)
    losses = {}
    for factor in (0.9, 1.0, 1.1):
        after = settled(one, factor * best, np.full(3, 0.5))
        losses[factor] = reference.log_loss(targets.ravel(), after.probabilities.ravel())
    assert min(losses, key=losses.get) == 1.0
    assert multilabel_temperature([]) is None

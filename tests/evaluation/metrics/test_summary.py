"""All numbers of one labeler: every headline number from its parts, intervals, and differences."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from videoseq.annotations.types import IGNORE_INDEX, AnnotationError, ClassNames
from videoseq.evaluation.metrics import HEADLINES, LabeledVideo, Metrics, compare, measure
from videoseq.evaluation.metrics.segments import edit_score, segment_counts, segment_f1, segment_video

CLASSES = ClassNames(["rest", "walk", "run"])


def make_video(seed: int, num_frames: int = 300, group: str | None = None, skill: float = 2.0) -> LabeledVideo:
    """Bouts of 5 to 40 frames, some unlabeled, and probabilities that know them the better, the greater the skill."""
    random = np.random.default_rng(seed)
    targets = np.concatenate([np.full(random.integers(5, 40), random.integers(0, 3)) for _ in range(num_frames // 5)])
    targets = targets[:num_frames].astype(np.int64)
    logits = random.normal(0, 1, (num_frames, 3)) + skill * np.eye(3)[targets]
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    targets[50:60] = IGNORE_INDEX
    labels = probabilities.argmax(axis=1)
    name = f"clip{seed}.mp4"
    return LabeledVideo(
        name, group or name, np.arange(num_frames) / 10, num_frames / 10, targets, labels, probabilities
    )


@pytest.fixture(scope="module")
def videos() -> list[LabeledVideo]:
    return [make_video(seed, 200 + 40 * seed) for seed in range(8)]


@pytest.fixture(scope="module")
def measured(videos):
    return measure(videos, CLASSES)


def values(metrics: Metrics) -> dict[str, float | None]:
    return {name: estimate.value for name, estimate in metrics.headline.items()}


def test_every_headline_number_is_there_and_has_an_interval_around_it(measured):
    metrics = measured.metrics
    assert list(metrics.headline) == list(HEADLINES)
    assert (metrics.num_videos, metrics.num_resampled, metrics.resampled) == (8, 8, "videos")
    for name, estimate in metrics.headline.items():
        assert estimate.low <= estimate.value <= estimate.high, name
        assert estimate.low < estimate.high or name == "detected", name  # every bout is, in every video


def test_headline_numbers_are_those_of_all_frames(videos, measured):
    found, t, y, p = (
        values(measured.metrics),
        *map(np.concatenate, zip(*[(v.targets, v.labels, v.probabilities) for v in videos], strict=True)),
    )
    kept = t != IGNORE_INDEX
    t, y, p = t[kept], y[kept], p[kept]
    assert measured.metrics.num_frames == len(t)
    assert measured.metrics.labeled_seconds == pytest.approx(len(t) / 10)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(t, y))
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(t, y))
    assert found["macro_f1"] == pytest.approx(sk.f1_score(t, y, average="macro"))
    assert found["kappa"] == pytest.approx(sk.cohen_kappa_score(t, y))
    assert found["mean_average_precision"] == pytest.approx(sk.average_precision_score(np.eye(3)[t], p))
    assert found["negative_log_likelihood"] == pytest.approx(sk.log_loss(t, p), rel=1e-5)
    assert found["brier_score"] == pytest.approx(((p - np.eye(3)[t]) ** 2).sum(axis=1).mean(), rel=1e-5)
    assert sum(row.num_frames for row in measured.metrics.reliability) == len(t)


def test_segments_are_summed_over_videos_and_edit_scores_averaged(videos, measured):
    found = values(measured.metrics)
    segmented = [segment_video(video.targets, video.labels) for video in videos]
    f1 = segment_f1(sum(segment_counts(video, 3) for video in segmented).sum(axis=1))
    assert [found["f1_at_10"], found["f1_at_25"], found["f1_at_50"]] == pytest.approx(f1)
    assert found["edit"] == pytest.approx(np.mean([edit_score(video) for video in segmented]))
    assert found["video_accuracy"] == pytest.approx(np.mean([video.accuracy for video in measured.videos]))
    of_classes = measured.metrics.segments.values()
    assert sum(one.num_segments for one in of_classes) == sum(len(video.targets.start) for video in segmented)


def test_bouts_by_class_are_those_of_the_headline(measured):
    found, bouts = values(measured.metrics), measured.metrics.bouts.values()
    num_onsets = sum(one.num_onsets for one in bouts)
    onset_error = sum(one.onset_error_seconds * one.num_onsets for one in bouts) / num_onsets
    assert found["onset_error_seconds"] == pytest.approx(onset_error)
    assert found["detected"] == sum(one.num_detected for one in bouts) / sum(one.num_bouts for one in bouts)
    assert found["false_alarms_per_hour"] == pytest.approx(sum(one.false_alarms_per_hour for one in bouts))


def test_a_background_has_no_segments_no_bouts_and_no_part_in_the_mean(videos, measured):
    found = measure(videos, CLASSES, background="rest").metrics
    assert list(found.per_class) == list(CLASSES)
    assert list(found.segments) == list(found.bouts) == ["walk", "run"]
    expected = np.mean([found.per_class[name].average_precision for name in ("walk", "run")])
    assert found.headline["mean_average_precision"].value == pytest.approx(expected)
    assert values(found)["accuracy"] == values(measured.metrics)["accuracy"]
    with pytest.raises(AnnotationError, match="background"):
        measure(videos, CLASSES, background="unknown")


def test_one_video_has_numbers_but_no_intervals(videos):
    found = measure(videos[:1], CLASSES)
    assert all(estimate.value is not None and estimate.low is None for estimate in found.metrics.headline.values())
    differences = compare(found, found)
    assert (differences["accuracy"].value, differences["accuracy"].low, differences["accuracy"].p_value) == (
        0,
        None,
        None,
    )


def test_a_labeler_without_probabilities_has_none_of_their_numbers(videos):
    found = measure([replace(video, probabilities=None) for video in videos], CLASSES).metrics
    without = {name for name, value in values(found).items() if value is None}
    assert without == {
        "mean_average_precision",
        "mean_calibrated_average_precision",
        "expected_calibration_error",
        "negative_log_likelihood",
        "brier_score",
    }
    assert found.reliability is None
    assert found.headline["edit"].low is not None


def test_groups_are_drawn_whole():
    """Two videos of each subject that are the same: intervals must not be narrower than from one of each."""
    once = [make_video(seed, group=str(seed)) for seed in range(6)]
    twice = [*once, *(replace(video, name="again.mp4") for video in once)]
    found, alone = measure(twice, CLASSES).metrics, measure(once, CLASSES).metrics
    assert (found.resampled, found.num_resampled, found.num_videos) == ("groups", 6, 12)
    assert alone.resampled == "videos"
    assert found.headline["accuracy"] == alone.headline["accuracy"]
    of_one_subject = measure([replace(video, group="me") for video in once], CLASSES).metrics
    assert (of_one_subject.resampled, of_one_subject.num_resampled) == ("videos", 6)


def test_the_same_seed_gives_the_same_numbers_and_they_survive_json(videos, measured):
    again = measure(videos, CLASSES).metrics
    assert again == measured.metrics
    assert Metrics.model_validate_json(again.model_dump_json()) == again


def test_a_better_labeler_is_told_from_a_worse_one(measured):
    worse = measure([make_video(seed, 200 + 40 * seed, skill=0.5) for seed in range(8)], CLASSES)
    found = compare(measured, worse)
    for name, headline in HEADLINES.items():
        if name.startswith(("accuracy", "balanced", "macro", "kappa", "mean", "edit", "f1", "negative", "brier")):
            assert (found[name].value > 0) == headline.more_is_better, name
            assert found[name].low * found[name].high > 0, name
    assert found["accuracy"].p_value == pytest.approx(2 / 2**8)
    assert found["mean_average_precision"].p_value is None
    alike = compare(measured, measured)
    assert (alike["accuracy"].value, alike["accuracy"].low, alike["accuracy"].p_value) == (0, 0, 1)


def test_a_class_that_nobody_has_is_left_out(videos):
    more = ClassNames([*CLASSES, "fly"])
    padded = [replace(video, probabilities=np.pad(video.probabilities, ((0, 0), (0, 1)))) for video in videos]
    found = measure(padded, more).metrics
    assert found.per_class["fly"].average_precision is None
    assert (found.segments["fly"].f1_at_50, found.bouts["fly"].detection_delay_seconds) == (None, None)
    expected = values(measure(videos, CLASSES).metrics)
    assert values(found) == pytest.approx(expected)


@pytest.mark.slow
def test_a_million_frames_take_seconds():
    long = [make_video(seed, 50_000) for seed in range(20)]
    begun = time.perf_counter()
    measure(long, CLASSES)
    assert time.perf_counter() - begun < 30

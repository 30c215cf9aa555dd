"""Two annotators of the same videos: kappa by hand, and what only one of them labelled counts nowhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from videoseq.annotations import Annotation, Interval
from videoseq.errors import AnnotationError
from videoseq.evaluation import AnnotatedTwice, annotator_agreement


def annotation(*intervals: tuple[float, float, str]) -> Annotation:
    rows = (Interval(start, stop, label, row) for row, (start, stop, label) in enumerate(intervals, start=2))
    return Annotation(Path("a.csv"), "seconds", tuple(rows))


def twice(one: Annotation, other: Annotation, name: str = "a.mp4") -> AnnotatedTwice:
    return AnnotatedTwice(name, np.arange(100) / 10, 10.0, one, other)


def test_kappa_and_segments_by_hand():
    one = annotation((0, 5, "rest"), (5, 10, "walk"))
    other = annotation((0, 6, "rest"), (6, 10, "walk"))
    metrics = annotator_agreement([twice(one, other)]).metrics
    by_chance = 0.5 * 0.6 + 0.5 * 0.4
    assert metrics.headline["kappa"].value == pytest.approx((0.9 - by_chance) / (1 - by_chance))
    assert metrics.confusion == [[50, 0], [10, 40]]
    assert metrics.headline["f1_at_50"].value == 1.0
    assert metrics.bouts["walk"].onset_bias_seconds == pytest.approx(1.0)
    assert metrics.headline["mean_average_precision"].value is None


def test_kappa_and_f1_do_not_depend_on_who_is_first():
    one, other = annotation((0, 4, "a"), (4, 9, "b"), (9, 10, "a")), annotation((1, 5, "a"), (5, 10, "b"))
    there, back = (annotator_agreement([twice(*pair)]) for pair in ((one, other), (other, one)))
    assert (there.num_only_one, there.num_only_other) == (10, 0) == (back.num_only_other, back.num_only_one)
    for name in ("accuracy", "macro_f1", "kappa", "edit", "f1_at_50"):
        assert there.metrics.headline[name] == back.metrics.headline[name], name


def test_a_background_makes_every_frame_count_and_has_no_segments():
    one, other = annotation((2, 4, "groom")), annotation((2, 5, "groom"))
    assert annotator_agreement([twice(one, other)]).metrics.num_frames == 20
    found = annotator_agreement([twice(one, other)], background="other")
    assert (found.metrics.num_frames, found.num_only_one, found.num_only_other) == (100, 0, 0)
    assert list(found.metrics.segments) == ["groom"]
    assert found.metrics.bouts["groom"].offset_bias_seconds == pytest.approx(1.0)


def test_one_class_alone_has_no_kappa():
    one = annotation((0, 10, "a"))
    found = annotator_agreement([twice(one, one)]).metrics
    assert (found.headline["kappa"].value, found.headline["accuracy"].value) == (None, 1.0)


def test_several_videos_give_intervals():
    videos = [
        twice(annotation((0, 5, "a"), (5, 10, "b")), annotation((0, end, "a"), (end, 10, "b")), f"{end}.mp4")
        for end in (4, 5, 6, 8)
    ]
    kappa = annotator_agreement(videos).metrics.headline["kappa"]
    assert kappa.low < kappa.value < kappa.high


def test_annotations_that_do_not_fit_are_refused():
    with pytest.raises(AnnotationError, match="the video ends at 10"):
        annotator_agreement([twice(annotation((20, 30, "a")), annotation((0, 3, "a")))])

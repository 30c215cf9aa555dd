"""Two annotators of the same videos: kappa by hand, and what only one of them labeled counts nowhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from videoseq.annotations.types import Annotation, Interval
from videoseq.errors import AnnotationError
from videoseq.evaluation.inter_annotator import AnnotatedTwice, annotator_agreement


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
    assert (there.targets.num_only_frames, there.labels.num_only_frames) == (10, 0)
    assert (there.targets, there.labels) == (back.labels, back.targets)
    for name in ("accuracy", "macro_f1", "kappa", "edit", "f1_at_50"):
        assert there.metrics.headline[name] == back.metrics.headline[name], name


def test_a_background_makes_every_frame_count_and_has_no_segments():
    one, other = annotation((2, 4, "groom")), annotation((2, 5, "groom"))
    assert annotator_agreement([twice(one, other)]).metrics.num_frames == 20
    found = annotator_agreement([twice(one, other)], background="other")
    assert (found.metrics.num_frames, found.targets.num_only_frames, found.labels.num_only_frames) == (100, 0, 0)
    assert list(found.metrics.segments) == ["groom"]
    assert found.metrics.bouts["groom"].offset_bias_seconds == pytest.approx(1.0)


def test_bouts_are_counted_where_the_other_annotator_saw_nothing():
    """They have no frames in common, so no metric counts them, and this must be said."""
    one, other = annotation((0, 2, "groom"), (5, 6, "groom"), (8, 9, "walk")), annotation((0, 2, "groom"))
    found = annotator_agreement([twice(one, other)])
    assert found.metrics.bouts["groom"].num_bouts == 1
    assert found.targets.num_bouts == {"groom": 2, "walk": 1}
    assert found.targets.num_frames == {"groom": 30, "walk": 10}
    assert found.labels.num_bouts == {"groom": 1, "walk": 0}
    with_background = annotator_agreement([twice(one, other)], background="other")
    assert with_background.targets.num_bouts == {"groom": 2, "walk": 1}
    assert with_background.targets.num_frames == {"groom": 30, "other": 60, "walk": 10}


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


def test_a_video_without_a_common_frame_is_named_and_its_frames_are_counted():
    apart = twice(annotation((0, 3, "a")), annotation((5, 9, "b")), "apart.mp4")
    found = annotator_agreement([twice(annotation((0, 3, "a")), annotation((0, 3, "a"))), apart])
    assert [video.name for video in found.compared] == ["a.mp4"]
    assert (found.targets.num_only_frames, found.labels.num_only_frames) == (30, 40)
    assert "no_common_frames" in [notice.code for notice in found.notices]


def test_no_common_frame_at_all_is_refused():
    with pytest.raises(AnnotationError, match="both annotators labeled, got none, but 30 by Ann and 40 by Ben"):
        annotator_agreement(
            [twice(annotation((0, 3, "a")), annotation((5, 9, "a")))], names=("Ann", "Ben")
        )  # fmt: skip


def test_a_class_of_one_annotator_is_said_with_the_name_that_may_be_meant():
    one, other = annotation((0, 5, "rest"), (5, 10, "groom")), annotation((0, 5, "rest"), (5, 10, "grom"))
    found = annotator_agreement([twice(one, other)], names=("Ann", "Ben"))
    assert [(notice.code, notice.message) for notice in found.notices] == [
        ("class_of_one_annotator", "only Ann has the class 'groom' (did you mean 'grom'?)"),
        ("class_of_one_annotator", "only Ben has the class 'grom' (did you mean 'groom'?)"),
    ]


def test_a_misspelled_background_is_named():
    one = annotation((0, 5, "rest"), (5, 9, "groom"))
    assert annotator_agreement([twice(one, one)], "rest").notices == ()
    assert annotator_agreement([twice(one, one)], "elsewhere").notices == ()
    (notice,) = annotator_agreement([twice(one, one)], "rset").notices
    assert (notice.code, notice.message) == (
        "background_not_annotated",
        "no frame is labeled 'rset' (did you mean 'rest'?)",
    )


def test_annotations_that_do_not_fit_are_refused_or_said():
    with pytest.raises(AnnotationError, match="the video ends at 10"):
        annotator_agreement([twice(annotation((20, 30, "a")), annotation((0, 3, "a")))])
    (notice,) = annotator_agreement([twice(annotation((0, 30, "a")), annotation((0, 3, "a")))]).notices
    assert notice.code == "labels_past_end"

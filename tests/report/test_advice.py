"""Advice follows from numbers, and names them."""

from __future__ import annotations

import re

import pytest

from tests.support.report_builders import evaluated, labeled
from videoseq.annotations.types import ClassNames
from videoseq.data.statistics import ClassOverview
from videoseq.errors import Notice
from videoseq.evaluation.metrics import LabeledVideo
from videoseq.evaluation.results import Evaluation
from videoseq.report.advice import advise
from videoseq.report.verdicts import Advice, context_verdict, previous_verdict

CLASSES = ClassNames(["rest", "walk", "groom"])
GOOD = [0] * 10 + [1] * 10 + [2] * 10 + [0] * 10 + [1] * 10


def good_videos(number: int = 12) -> list[LabeledVideo]:
    """Right but for one frame each, which is another one in each video; every class has a bout in each."""
    return [
        labeled(
            f"{n}.mp4",
            GOOD,
            [(label + 1) % 3 if frame == 4 * n else label for frame, label in enumerate(GOOD)],
            confidence=0.98,
        )
        for n in range(number)
    ]


def blind_to(videos: list[LabeledVideo]) -> list[LabeledVideo]:
    return [labeled(video.name, video.targets.tolist(), [0] * len(video.targets)) for video in videos]


def about(found: list[Advice], words: str) -> Advice:
    matching = [one for one in found if words in one.action]
    assert len(matching) == 1, (words, found)
    return matching[0]


def changed(labels: list[int], targets: list[int] = GOOD, number: int = 12, **options: str) -> Evaluation:
    videos = [labeled(f"{n}.mp4", targets, labels, **options) for n in range(number)]
    return evaluated(videos, CLASSES, blind=blind_to(videos))


def test_nothing_to_do_where_all_is_well():
    videos = good_videos()
    evaluation = evaluated(videos, CLASSES, blind=blind_to(videos))
    (one,) = advise(evaluation, [])
    assert one.action.startswith("Nothing is unusual")
    assert re.fullmatch(r"The lowest F1 of a class is 9\d\.\d % \(“\w+”\)\.", one.because)


def test_every_sentence_names_a_number():
    targets, labels = GOOD, [0] * 10 + [2] * 10 + [2] * 5 + [1, 2, 1, 2, 1] + [0] * 20
    videos = [labeled(f"{n}.mp4", targets, labels if n else GOOD, group="one") for n in range(3)]
    evaluation = evaluated(videos, CLASSES)
    found = [*advise(evaluation, [Notice("measured_on_training", "")]), context_verdict(evaluation)]
    assert len(found) > 6
    for one in found:
        assert re.search(r"\d", one.because), one


def test_a_class_far_below_the_others_wants_more_bouts():
    labels = [label if label != 2 else 0 for label in GOOD]
    overview = [ClassOverview("groom", 120, 1, 2.0, ("a",), 0.1)]
    one = about(advise(changed(labels), [], overview), "Annotate more bouts of “groom”")
    assert one.because == "Its F1 is 0.0 %; the mean of the other classes is 90.0 %. 1 bout of it was annotated."


def test_a_class_with_few_bouts_or_none_is_named():
    targets = [0] * 20 + [1] * 20
    found = advise(changed(targets, targets, number=3), [])
    few = about(found, "more bouts of “rest”, “walk” before")
    assert few.because == "Only 3 bouts per class were measured; fewer than 5 is too few."
    assert "0 of the 120 measured frames" in about(found, "clips that show “groom”.").because


def test_many_classes_are_not_all_named():
    video = labeled("a", [0] * 20, [0] * 20, num_classes=9)
    found = advise(evaluated([video], ClassNames("abcdefghi")), [])
    about(found, "clips that show “b”, “c”, “d” and 5 more.")


def test_a_background_has_no_bouts_to_be_few():
    targets = [0] * 20 + [1] * 20
    evaluation = evaluated([labeled("a", targets, targets)], CLASSES, background="rest")
    about(advise(evaluation, []), "Measure on more bouts of “walk” before")


def test_classes_taken_for_one_another_are_named_with_both_shares():
    labels = [0] * 10 + [2] * 4 + [1] * 6 + [1] * 3 + [2] * 7 + [0] * 10 + [1] * 10
    one = about(advise(changed(labels), []), "boundaries of “walk” and “groom”")
    assert "20.0 % of the frames of “walk” were labeled “groom”" in one.because
    assert "30.0 % of the frames of “groom” were labeled “walk”" in one.because


def test_flickering_labels_are_not_to_be_counted():
    labels = [label if frame % 3 else (label + 1) % 3 for frame, label in enumerate(GOOD)]
    assert "60" in about(advise(changed(labels), []), "Do not count bouts").because


def test_bad_calibration_says_by_how_much():
    evaluation = changed([0] * 10 + [2] * 10 + [0] * 10 + [1] * 10 + [1] * 10)  # 70 % sure, 40 % right
    one = about(advise(evaluation, []), "probabilities")
    assert "by 30.0 %" in one.because
    assert "mean confidence of 70.0 %, and 40.0 %" in one.because


@pytest.mark.parametrize(("number", "words"), [(1, "more than one video"), (4, "10 or more videos")])
def test_few_videos_are_said(number, words):
    about(advise(changed(GOOD, number=number), []), words)


def test_one_group_and_training_clips_are_said():
    found = advise(changed(GOOD, group="one"), [Notice("measured_on_training", "")])
    assert "All 12 measured videos are of 1 group" in about(found, "more than one group").because
    assert "All 12" in about(found, "a second group").because


def test_a_model_that_is_not_above_its_baselines_hears_so():
    videos = good_videos()
    found = advise(evaluated(videos, CLASSES), [])
    about(found, "annotations fit their videos")
    assert "begins at +0.0 points" in about(found, "look alike in one frame").because


def test_the_worst_video_is_named():
    videos = good_videos(11) + [labeled("odd.mp4", GOOD, [2] * 50)]
    one = about(advise(evaluated(videos, CLASSES, blind=blind_to(videos)), []), "“odd.mp4” first")
    assert one.because.startswith("20.0 % of its frames are right")


def test_verdicts_on_context():
    videos, blind = good_videos(), blind_to(good_videos())
    assert context_verdict(evaluated(videos, CLASSES, blind=blind)).action == "Context helps."
    assert context_verdict(evaluated(blind, CLASSES, blind=videos)).action == "Context makes the model worse."
    assert context_verdict(evaluated(videos, CLASSES)).action == "We cannot tell yet whether context helps."
    few = context_verdict(evaluated(videos[:3], CLASSES, blind=blind[:3]))
    assert few.action == "Context seems to help, but 3 videos are too few to be sure."
    assert "; no p-value, which needs 6 videos)" in few.because
    assert "p = 0.031" in context_verdict(evaluated(videos[:6], CLASSES, blind=blind[:6])).because
    one = context_verdict(evaluated(videos[:1], CLASSES, blind=blind[:1]))
    assert one.action == "We cannot tell yet whether context helps."
    assert "only one video was measured" in one.because


def test_a_previous_model_is_compared_too():
    videos = good_videos()
    alone = evaluated(videos, CLASSES)
    assert previous_verdict(alone) == []
    compared = evaluated(blind_to(videos), CLASSES, previous=videos)
    (one,) = previous_verdict(compared)
    assert one.action == "The model is worse than the previous one."
    assert "below that of the previous model" in one.because

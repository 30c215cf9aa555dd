"""Which decoding a model gets: the one with the best segments on unseen clips that leaves the frames as right."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.support.numbered_clips import make_clip
from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.config.schema import TrainSettings
from videoseq.evaluation.metrics import LabeledVideo, measure
from videoseq.models.decoding import DecodingParameters, MarkovChain
from videoseq.training.decoding_search import HeldOutClip, decode_videos, fit_decoding, learn_chain

CLASSES = ClassNames(["off", "on"])


def settings_of(**decoding: object) -> TrainSettings:
    return TrainSettings.model_validate({"decoding": decoding})


def make_video(seed: int, noise: float, num_frames: int = 200) -> LabeledVideo:
    """A light that is on and off for two seconds each, seen through noise."""
    random = np.random.default_rng(seed)
    targets = (np.arange(num_frames) // 20) % 2
    on = 1 / (1 + np.exp(-random.normal(2.0 * targets - 1.0, noise)))
    probabilities = np.stack([1 - on, on], axis=1).astype(np.float32)
    seconds = np.arange(num_frames) / 10
    labels = probabilities.argmax(axis=1)
    return LabeledVideo(f"{seed}.mp4", str(seed), seconds, num_frames / 10, targets, labels, probabilities)


def unseen_of(videos: list[LabeledVideo]) -> list[HeldOutClip]:
    chain = MarkovChain.estimate([video.targets for video in videos], 2)
    return [HeldOutClip(np.ones(len(video.labels), np.int64), chain) for video in videos]


def headline(videos: list[LabeledVideo]) -> tuple[float, float]:
    found = measure(videos, CLASSES).metrics.headline
    return found["macro_f1"].value, found["f1_at_50"].value


def test_a_step_that_catches_up_has_the_target_of_the_frame_that_it_sees():
    """Frames of classes 0 1 2 – 0: no step at the second, three at the third, of which two still see the first."""
    clip = make_clip(0, [1, 0, 3, 1, 1])
    assert clip.targets.tolist() == [0, 1, 2, IGNORE_INDEX, 0]
    settings = settings_of(method="lag")
    expected = MarkovChain.estimate([np.array([0, 0, 0, 2, IGNORE_INDEX, 0])], 3, prior_power=0.5)
    chain = learn_chain([clip], 3, settings)
    for name, tensor in expected.tensors().items():
        np.testing.assert_array_equal(chain.tensors()[name], tensor)
    plain = settings.model_copy(
        update={"training": settings.training.model_copy(update={"class_weighting": "none"})},
    )
    np.testing.assert_allclose(learn_chain([clip], 3, plain).prior, expected.initial)
    assert learn_chain([clip], 3, settings_of(method="hysteresis")) is None


@pytest.mark.parametrize("method", ["hysteresis", "min_duration", "lag"])
def test_what_is_tuned_has_the_best_segments_of_those_that_cost_no_more_than_a_point(method):
    videos = [make_video(0, noise=1.5, num_frames=600)]  # one: without intervals, which take long
    unseen, settings = (
        unseen_of(videos),
        settings_of(method=method, **({"delay_seconds": 0.5} if method == "lag" else {})),
    )
    chosen = fit_decoding(videos, unseen, CLASSES, settings)
    before, after = headline(videos), headline(decode_videos(videos, unseen, chosen, 10.0))
    assert after[0] >= before[0] - 0.01
    assert after[1] >= before[1]
    if method == "lag":
        assert chosen.method == method
        weights = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02)
        tried = [chosen.model_copy(update={"evidence_weight": weight}) for weight in weights]
        scores = [headline(decode_videos(videos, unseen, one, 10.0)) for one in tried]
        most = max(before[0], *(of_frames for of_frames, _ in scores))
        assert after[1] == max(of_segments for of_frames, of_segments in scores if of_frames >= most - 0.01)
        assert after[1] > before[1] + 0.3


def test_where_labels_are_right_already_there_is_nothing_to_decode():
    videos = [make_video(0, noise=0.1)]
    assert headline(videos) == (1.0, 1.0)
    for method in ("hysteresis", "min_duration", "lag"):
        chosen = fit_decoding(videos, unseen_of(videos), CLASSES, settings_of(method=method))
        assert chosen == DecodingParameters()


def test_what_is_given_is_taken_and_without_videos_nothing_is_tuned():
    given = settings_of(method="hysteresis", margin=0.3)
    videos = [make_video(0, noise=0.1)]
    for known in (videos, []):
        assert fit_decoding(known, unseen_of(known), CLASSES, given).margin == 0.3
    assert fit_decoding([], [], CLASSES, settings_of(method="hysteresis")) == DecodingParameters()


def test_a_video_without_probabilities_keeps_its_labels():
    video = dataclasses.replace(make_video(0, noise=1.5), probabilities=None)
    parameters = DecodingParameters(method="hysteresis", margin=0.9)
    (decoded,) = decode_videos([video], unseen_of([video]), parameters, 10.0)
    assert decoded is video

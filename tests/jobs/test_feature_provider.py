"""Features of many videos come from the cache or are computed, with one progress and one error for each bad video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.listeners import Recorder
from videoseq.config.runtime import RuntimeChoice
from videoseq.data.dataset import load_dataset
from videoseq.errors import VideoError
from videoseq.features.store import FeatureStore
from videoseq.inference.model import Model, open_model
from videoseq.jobs.feature_provider import FeatureProvider, Resources


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Model:
    return open_model(model_folder, RuntimeChoice("cpu", precision="float32"))


def provider(model: Model, cache: Path, listener: Recorder, folder: Path | None = None, **given: int):
    resources = Resources(RuntimeChoice("cpu", precision="float32"), cache, listener=listener, **given)
    return FeatureProvider(model.runtime, model.sample_hz, folder, resources)


def test_features_in_the_cache_are_given_as_they_are(model, light_dataset, cache):
    videos, listener = sorted(light_dataset.glob("*.mp4")), Recorder()
    with provider(model, cache, listener).open(videos, "looking") as features_of:
        for video in videos:
            expected = FeatureStore(cache).find(video, model.runtime, model.sample_hz)
            assert expected is not None
            assert np.array_equal(features_of(video).features, expected.features)
    assert {one.stage for one in listener.progress} == {"looking"}
    last = listener.progress[-1]
    assert last.num_done == last.num_total == len(videos)
    assert len(listener.messages) == len(videos)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_video_that_cannot_be_read_is_an_error_of_its_own(model, model_folder, light_dataset, cache, num_workers):
    """With workers too: none is started, because what is missing cannot be read at all."""
    good, bad, listener = min(light_dataset.glob("*.mp4")), light_dataset / "gone.mp4", Recorder()
    one = provider(model, cache, listener, model_folder, num_workers=num_workers)
    with one.open([bad, good]) as features_of:
        with pytest.raises(VideoError, match=r"gone\.mp4"):
            features_of(bad)
        assert len(features_of(good).seconds) > 0
    assert "1 failed" in listener.progress[-1].note


def test_clips_of_a_dataset_have_features_and_targets(model, light_dataset, cache):
    listener = Recorder()
    clips, notices = provider(model, cache, listener).load_clips(load_dataset(light_dataset))
    assert [len(clip.targets) for clip in clips] == [len(clip.features.seconds) for clip in clips]
    assert len(clips) == 6
    assert listener.notices == notices

"""What is measured and what is kept: the numbers are of clips that training did not see, the model of all of them."""

from __future__ import annotations

import pytest
import torch

from tests.test_training import HEAD, SETTINGS, make_clip
from videoseq.annotations import ClassNames
from videoseq.backbones import load_backbone
from videoseq.config import BackboneSettings, TrainSettings
from videoseq.recipe import train_model
from videoseq.training import fit

CLASSES = ClassNames(["off", "on"])
TRAINING = SETTINGS.model_copy(update={"max_epochs": 2, "patience": None})


@pytest.fixture(scope="module")
def backbone():
    return load_backbone(BackboneSettings())


def train(clips, backbone, *, refit=True):
    settings = TrainSettings(head=HEAD, training=TRAINING)
    settings = settings.model_copy(update={"data": settings.data.model_copy(update={"refit": refit})})
    return train_model(clips, CLASSES, settings, backbone)


def weights_of(head) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in head.state_dict().values()])


def codes(trained) -> set[str]:
    return {notice.code for notice in trained.notices}


def test_where_validation_was_drawn_the_model_kept_has_seen_all_clips(backbone):
    clips = [make_clip(seed, group=f"g{seed % 4}") for seed in range(8)]
    trained = train(clips, backbone)
    assert trained.measured_on == "val"
    assert "refitted_on_all_clips" in codes(trained)
    assert "measured_on_validation" not in codes(trained)  # it chose nothing
    validated = {clip.name for clip in trained.evaluation.clips}
    kept = [clip for clip in clips if clip.entry.video.name not in validated]
    expected = fit([*kept, *(c for c in clips if c not in kept)], [], 2, HEAD, TRAINING).head
    assert torch.equal(weights_of(trained.bundle.head), weights_of(expected))
    measured = fit(kept, [], 2, HEAD, TRAINING).head
    assert torch.equal(weights_of(trained.fit.head), weights_of(measured))


def test_a_split_that_was_given_is_kept_out(backbone):
    clips = [make_clip(seed, split="val" if seed > 5 else "train") for seed in range(8)]
    trained = train(clips, backbone)
    assert torch.equal(weights_of(trained.bundle.head), weights_of(trained.fit.head))
    assert "refitted_on_all_clips" not in codes(trained)


def test_the_second_fit_can_be_left_out(backbone):
    trained = train([make_clip(seed, group=f"g{seed % 4}") for seed in range(8)], backbone, refit=False)
    assert torch.equal(weights_of(trained.bundle.head), weights_of(trained.fit.head))


def test_test_clips_measure_the_model_that_is_kept(backbone):
    clips = [make_clip(seed, split="test" if seed > 5 else "train", group=f"g{seed}") for seed in range(8)]
    trained = train(clips, backbone)
    assert trained.measured_on == "test"
    assert torch.equal(weights_of(trained.bundle.head), weights_of(trained.fit.head))
    everything_else = fit([clip for clip in clips if clip.entry.split == "train"], [], 2, HEAD, TRAINING).head
    assert weights_of(everything_else).shape == weights_of(trained.bundle.head).shape
    assert {clip.name for clip in trained.evaluation.clips} == {"clip6.mp4", "clip7.mp4"}
    assert codes(trained) == set()

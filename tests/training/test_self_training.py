"""Unlabeled videos teach with the labels that the model is surest of, and are told from annotated ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.support.commands import check_one_line
from tests.support.dataset_entries import features
from tests.support.index_videos import write_video
from tests.support.light_clips import light_frames
from tests.support.switch_clips import HEAD, SETTINGS, make_clip
from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.config.schema import BackboneSettings, TrainSettings
from videoseq.data.dataset import Clip
from videoseq.data.manifest import ClipEntry
from videoseq.errors import VideoError
from videoseq.evaluation.evaluate import label_clips
from videoseq.evaluation.metrics import LabeledVideo
from videoseq.features.backbones import load_backbone
from videoseq.training.fit import fit
from videoseq.training.self_training import load_unlabeled, pseudo_labeled
from videoseq.training.train import train_model

CLASSES = ClassNames(["off", "on"])
TRAINING = SETTINGS.model_copy(update={"max_epochs": 2, "patience": None})
PROBABILITIES = arrays.arrays(np.float32, st.tuples(st.integers(1, 40), st.just(3)), elements=st.floats(0, 1, width=32))


def unlabeled(seed: int) -> Clip:
    clip = make_clip(seed)
    return replace(clip, targets=np.full_like(clip.targets, IGNORE_INDEX))


@given(PROBABILITIES)
def test_of_each_class_all_but_the_least_sure_tenth_teaches(probabilities):
    labels, count = probabilities.argmax(axis=1), len(probabilities)
    video = LabeledVideo("a.mp4", "a", np.arange(count) / 10, count / 10, np.full(count, -100), labels, probabilities)
    clip = Clip(ClipEntry(Path("a.mp4"), Path("a.mp4"), None, "a"), features(count), np.full(count, -100))
    (taught,) = pseudo_labeled([clip], [video])
    is_taught, sure = taught.targets != IGNORE_INDEX, probabilities.max(axis=1)
    assert np.array_equal(taught.targets[is_taught], labels[is_taught])
    for index in np.unique(labels):
        of_class = labels == index
        assert is_taught[of_class].sum() >= 0.9 * of_class.sum() - 1  # more where some are equally sure
        assert sure[of_class & is_taught].min() >= sure[of_class & ~is_taught].max(initial=0.0)


def test_annotated_videos_and_those_that_cannot_be_read_are_left_out():
    annotated = Clip(ClipEntry(Path("a.mp4"), Path("a.csv"), None, "a"), features(content="a"), np.zeros(10, np.int64))

    def features_of(video: Path):
        if video.name == "broken.mp4":
            raise VideoError("not_video", f"{video}: expected a video, got something else")
        return features(content=video.stem[0])

    videos = [Path("copy/a.mp4"), Path("broken.mp4"), Path("new.mp4")]
    found, (notice,) = load_unlabeled(videos, features_of, [annotated])
    assert [clip.entry.video.name for clip in found] == ["new.mp4"]
    assert set(found[0].targets) == {IGNORE_INDEX}
    assert (notice.code, notice.message.startswith("broken.mp4: ")) == ("unlabeled_video_skipped", True)


def test_the_saved_head_learned_from_them_and_is_calibrated_as_it_was_measured():
    backbone, settings = load_backbone(BackboneSettings()), TrainSettings(head=HEAD, training=TRAINING)
    clips, more = [make_clip(seed, group=f"g{seed}") for seed in range(3)], [unlabeled(7), unlabeled(8)]
    without = train_model(clips, CLASSES, settings, backbone)
    trained = train_model(clips, CLASSES, settings, backbone, unlabeled=more)
    teacher = without.contents.head
    taught = [*clips, *pseudo_labeled(more, label_clips(teacher, more, CLASSES))]
    expected = fit(taught, [], 2, HEAD, TRAINING).head
    for name, tensor in expected.state_dict().items():
        if name != "temperature":
            assert torch.equal(trained.contents.head.state_dict()[name], tensor), name
    assert trained.contents.head.temperature == teacher.temperature
    assert trained.contents.no_context.state_dict().keys() == without.contents.no_context.state_dict().keys()
    one, other = (one.validation.evaluation.metrics["model"] for one in (without, trained))
    assert one == other
    assert "taught_by_unlabeled" in {notice.code for notice in trained.validation.notices}


def test_the_command_takes_a_folder_of_videos(call, light_dataset, cache, tmp_path):
    (tmp_path / "new").mkdir()
    write_video(tmp_path / "new" / "one.mp4", light_frames(20, 10, seed=3), fps=20)
    (tmp_path / "new" / "broken.mp4").write_bytes(b"no video")
    ended = call(
        "train", light_dataset, "--out", tmp_path / "model", "--cache", cache, "--unlabeled", tmp_path / "new",
        "--set", "training.max_epochs=1", "--set", "head.hidden_size=16", "--set", "data.cross_validation=null",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    metrics = json.loads((tmp_path / "model" / "metrics.json").read_text())
    codes = {notice["code"] for notice in metrics["notices"]}
    assert {"taught_by_unlabeled", "unlabeled_video_skipped"} <= codes
    assert "1 unlabeled video taught the saved model" in ended.err


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("data.task=multilabel", "leave the unlabeled videos out"),
        ("backbone.trainable=1", "leave the unlabeled videos out"),
        ("training.seed=1", "expected videos, got none in"),
    ],
)
def test_what_cannot_learn_from_them_says_so(setting, words, call, light_dataset, tmp_path):
    (tmp_path / "empty").mkdir()
    ended = call(
        "train", light_dataset, "--out", tmp_path / "model", "--unlabeled", tmp_path / "empty", "--set", setting
    )
    check_one_line(ended, 2, "unlabeled: expected", words)
    assert not (tmp_path / "model").exists()

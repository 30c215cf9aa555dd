"""Components that training reads are the network's own, row by row, and leave nothing behind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.switch_clips import SIZE, make_clip
from videoseq.config.schema import HeadSettings
from videoseq.errors import OutputError
from videoseq.features.motion import MOTION_SIZE
from videoseq.models.causal_rnn import CausalRNN
from videoseq.training import pca_features as components
from videoseq.training.pca_features import fit_pca, pca_clips

WIDTH, COMPONENTS = SIZE, 3


def make_network() -> CausalRNN:
    torch.manual_seed(0)
    return CausalRNN(WIDTH, 2, HeadSettings(components=COMPONENTS, inputs="three_streams"))


@pytest.mark.parametrize("rows_at_once", [1, 7, 512])
def test_a_clip_of_components_is_its_features_reduced(rows_at_once, monkeypatch):
    monkeypatch.setattr(components, "_ROWS_AT_ONCE", rows_at_once)
    clips, network = [make_clip(seed, num_frames=60 + seed) for seed in range(3)], make_network()
    fit_pca(network, clips)
    with pca_clips(network, clips) as reduced:
        for clip, short in zip(clips, reduced, strict=True):
            expected = network.reduce(torch.from_numpy(clip.features.features)[None])[0]
            assert short.features.features.shape == (len(clip.targets), COMPONENTS + MOTION_SIZE)
            np.testing.assert_allclose(short.features.features, expected.numpy(), rtol=0, atol=1e-5)
            assert dataclasses.replace(short, features=clip.features).targets is clip.targets


def test_every_row_is_learned_from_where_there_are_few_and_some_of_every_clip_where_there_are_many(monkeypatch):
    clips, network = [make_clip(seed, num_frames=100) for seed in range(4)], make_network()
    rows = torch.from_numpy(np.concatenate([clip.features.features for clip in clips]))
    fit_pca(network, clips)
    assert torch.allclose(network.reduction.pca.mean, rows[:, :-MOTION_SIZE].mean(dim=0), atol=1e-6)
    monkeypatch.setattr(components, "_MAX_ROWS_TO_LEARN_FROM", 40)
    fit_pca(network, clips)
    assert torch.allclose(network.reduction.pca.mean, rows[::10, :-MOTION_SIZE].mean(dim=0), atol=1e-6)


def test_a_clip_without_a_single_step_has_no_components():
    clip = make_clip(0)
    features = dataclasses.replace(clip.features, features=clip.features.features[:0])
    with pca_clips(make_network(), [dataclasses.replace(clip, features=features)]) as (reduced,):
        assert reduced.features.features.shape == (0, COMPONENTS + MOTION_SIZE)


def test_without_a_reduction_the_features_stay_as_they_are():
    clip, network = make_clip(0), CausalRNN(WIDTH, 2, HeadSettings(components=0))
    with pca_clips(network, [clip]) as (reduced,):
        assert np.array_equal(reduced.features.features, clip.features.features)


def test_the_files_are_gone_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pca_clips(make_network(), [make_clip(0)]):
        assert len(list(tmp_path.rglob("*"))) == 2  # the folder and its file
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    class FullDisk(type(Path())):
        def open(self, *_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(components, "Path", FullDisk)
    expected = pytest.raises(OutputError, match="No space left on device; make room there, or set TMPDIR")
    with expected, pca_clips(make_network(), [make_clip(0)]):
        pass
    assert list(tmp_path.iterdir()) == []

"""Batches: in training every step is met once, in order, with the state that labeling would have."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.support.numbered_clips import NUM_CLASSES, bytes_of, make_clip
from videoseq.annotations.types import IGNORE_INDEX
from videoseq.config.schema import HeadSettings, TrainingSettings
from videoseq.data.dataset import Clip
from videoseq.data.sequences import SequenceBatch, SequenceBatches, to_sequence
from videoseq.features.motion import MOTION_SIZE
from videoseq.models.causal_rnn import CausalRNN
from videoseq.training.fit import SequenceModule
from videoseq.training.losses import chunk_loss


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """The networks here are tiny; on a busy machine threads that wait for each other cost seconds."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_clips(dataset: list[list[int]]) -> list[Clip]:
    return [make_clip(number, steps) for number, steps in enumerate(dataset)]


class Played(NamedTuple):
    """What a row showed from one start to the next, padding and all."""

    features: np.ndarray
    targets: np.ndarray
    logits: np.ndarray

    @property
    def num_steps(self) -> int:
        """Up to the last step that is not padding."""
        return int(np.flatnonzero(self.features[:, 0])[-1]) + 1

    @property
    def number(self) -> int:
        return int(self.features[0, 0]) - 1


def play(batches: list[SequenceBatch], logits: list[Tensor] | None = None) -> list[Played]:
    """Follows each row from start to start; without logits the features stand in for them."""
    logits = [batch.features for batch in batches] if logits is None else logits
    played = []
    for row in range(len(batches[0].is_start)):
        parts: list[list[list[np.ndarray]]] = []
        for batch, outputs in zip(batches, logits, strict=True):
            if batch.is_start[row]:
                parts.append([[], [], []])
            assert parts, f"row {row} begins in the middle of a video"
            for part, tensor in zip(parts[-1], (batch.features, batch.targets, outputs), strict=True):
                part.append(tensor[row].numpy())
        played += [Played(*(np.concatenate(arrays) for arrays in part)) for part in parts]
    return played


WIDTH = MOTION_SIZE + 5
STEPS = st.lists(st.sampled_from([0, 1, 1, 1, 2, 4]), max_size=25).map(lambda some: [1, *some])
DATASETS = st.lists(STEPS, min_size=1, max_size=6)
SIZES = st.tuples(st.integers(1, 8), st.integers(1, 12))


@settings(max_examples=150)
@given(DATASETS, SIZES, st.booleans(), st.integers(0, 99))
def test_every_step_of_every_clip_is_met_once_in_order(dataset, sizes, shuffle, seed):
    clips, (batch_size, tbptt_steps) = make_clips(dataset), sizes
    played = play(list(SequenceBatches(clips, batch_size, tbptt_steps, shuffle=shuffle, seed=seed)))
    assert sorted(video.number for video in played) == list(range(len(clips)))
    for video in played:
        sequence = to_sequence(clips[video.number])
        real = video.features[:, 0] != 0
        np.testing.assert_array_equal(video.features[real], sequence.features[sequence.rows])
        np.testing.assert_array_equal(video.targets[real], sequence.targets)


@settings(max_examples=150)
@given(DATASETS, SIZES, st.booleans(), st.integers(0, 99))
def test_padding_stands_only_after_a_videos_end_and_has_no_target(dataset, sizes, shuffle, seed):
    clips, (batch_size, tbptt_steps) = make_clips(dataset), sizes
    for video in play(list(SequenceBatches(clips, batch_size, tbptt_steps, shuffle=shuffle, seed=seed))):
        assert video.num_steps == len(to_sequence(clips[video.number]).rows)  # more where padding is in between
        assert not video.features[video.num_steps :].any()
        assert (video.targets[video.num_steps :] == IGNORE_INDEX).all()


@settings(max_examples=100)
@given(DATASETS, SIZES, st.booleans(), st.integers(0, 99))
def test_a_lane_starts_exactly_at_a_videos_first_chunk(dataset, sizes, shuffle, seed):
    clips, (batch_size, tbptt_steps) = make_clips(dataset), sizes
    starts = []
    for batch in SequenceBatches(clips, batch_size, tbptt_steps, shuffle=shuffle, seed=seed):
        assert len(batch.is_start) == min(batch_size, len(clips))
        assert batch.features.shape[1] <= tbptt_steps
        is_first_row = batch.features[:, 0, 1] == 1
        came_before = torch.tensor([float(number) in starts for number in batch.features[:, 0, 0]])
        assert batch.is_start.tolist() == (is_first_row & ~came_before).tolist()
        starts += batch.features[batch.is_start, 0, 0].tolist()
    assert sorted(starts) == [number + 1 for number in range(len(clips))]


def test_steps_that_catch_up_repeat_the_features_before_and_have_no_target():
    clip = make_clip(0, [1, 0, 3, 1])
    sequence = to_sequence(clip)
    assert sequence.rows.tolist() == [0, 0, 0, 1, 2]
    no = IGNORE_INDEX
    assert clip.targets.tolist() == [0, 1, 2, no]
    assert sequence.targets.tolist() == [0, no, no, 2, no]


@settings(max_examples=50)
@given(STEPS)
def test_each_sampled_frame_has_its_target_at_the_step_that_sees_it(steps):
    clip = make_clip(0, steps)
    sequence = to_sequence(clip)
    assert len(sequence.rows) == sum(steps)
    last = np.cumsum(steps)[np.array(steps) > 0] - 1
    assert sequence.rows[last].tolist() == list(range(len(last)))
    assert sequence.targets[last].tolist() == clip.targets[np.array(steps) > 0].tolist()
    assert (np.delete(sequence.targets, last) == IGNORE_INDEX).all()


def test_the_same_seed_gives_the_same_passes_and_each_pass_another_order():
    clips = make_clips([[1] * (20 + i) for i in range(8)])
    once, again, other = (SequenceBatches(clips, 3, 5, shuffle=True, seed=seed) for seed in (7, 7, 8))
    passes = [bytes_of(once) for _ in range(4)]
    assert [bytes_of(again) for _ in range(4)] == passes
    assert len({tuple(one) for one in passes}) == 4
    assert bytes_of(other) not in passes
    orders = [[video.number for video in play(list(once))] for _ in range(4)]
    assert len({tuple(order) for order in orders}) == 4


def test_chunk_borders_move_from_pass_to_pass():
    batches = SequenceBatches([make_clip(0, [1] * 50)], 1, 10, shuffle=True)
    borders = {tuple(int(np.count_nonzero(batch.features[0, :, 0])) for batch in batches) for _ in range(10)}
    assert len(borders) > 3


def test_without_shuffling_every_pass_is_the_same_and_in_order():
    clips = make_clips([[1] * 12] * 5)
    batches = SequenceBatches(clips, 2, 5, shuffle=False)
    assert bytes_of(batches) == bytes_of(batches)
    starts = [float(number) for batch in batches for number in batch.features[batch.is_start, 0, 0]]
    assert starts == [1, 2, 3, 4, 5]


def file_pages_kib() -> int:
    """How much of this process's memory is pages of files."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssFile:"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_of_mapped_features_only_the_chunks_rows_are_read_and_none_is_kept(tmp_path):
    """A gigabyte, of which a batch needs half a megabyte and a pass leaves nothing behind."""
    num_steps, width = 200_000, 1280
    np.lib.format.open_memmap(tmp_path / "features.npy", "w+", np.float32, (num_steps, width)).flush()
    clip = make_clip(0, [1] * num_steps)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    clip = dataclasses.replace(clip, features=dataclasses.replace(clip.features, features=mapped))
    assert isinstance(to_sequence(clip).features, np.memmap)
    before = file_pages_kib()
    batches = iter(SequenceBatches([clip], batch_size=1, tbptt_steps=100, shuffle=False))
    for _ in range(100):
        next(batches)
        assert file_pages_kib() < before + 4 * 1024


def test_without_a_carried_state_each_chunk_is_judged_by_itself():
    clips = [make_clip(i, [1, 2, 0, 1, 1, 3] * 6, width=WIDTH) for i in range(2)]
    torch.manual_seed(0)
    head = CausalRNN(WIDTH, NUM_CLASSES, HeadSettings(components=0, dropout=0.0, hidden_size=8, projection_size=6))
    settings = TrainingSettings(state="zero")
    module = SequenceModule(head, torch.ones(NUM_CLASSES), settings).train()
    for number, batch in enumerate(SequenceBatches(clips, batch_size=2, tbptt_steps=7, shuffle=False)):
        streams, _ = head.stream_logits(batch.features, None)
        expected, weight = chunk_loss(streams, batch.targets, torch.ones(NUM_CLASSES), settings)
        torch.testing.assert_close(module.training_step(batch, number), expected / weight.clamp_min(1e-30))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "none"])
def test_training_sees_the_state_as_labeling_does(cell, shuffle):
    """The module that is trained, chunk by chunk in batches, against the head on each whole clip alone."""
    clips = [
        make_clip(i, ([1, 2, 0, 1, 1, 3] * 9)[:length], width=WIDTH) for i, length in enumerate([37, 5, 50, 1, 22])
    ]
    torch.manual_seed(0)
    layers = 1 if cell == "none" else 2
    head = CausalRNN(
        WIDTH, NUM_CLASSES, HeadSettings(components=0, cell=cell, hidden_size=8, num_layers=layers, projection_size=6)
    ).eval()
    module = SequenceModule(head, torch.ones(NUM_CLASSES), TrainingSettings())
    logits: list[Tensor] = []
    compute = head.stream_logits

    def listen(*inputs):
        streams, state = compute(*inputs)
        logits.append(streams.mean(dim=0).detach())
        return streams, state

    head.stream_logits = listen
    in_order = SequenceBatches(clips, batch_size=2, tbptt_steps=7, shuffle=shuffle, seed=3)
    for _ in range(3):
        logits.clear()
        module.on_train_epoch_start()
        batches = list(in_order)
        for number, batch in enumerate(batches):
            module.training_step(batch, number)
        played = play(batches, list(logits))
        assert sorted(video.number for video in played) == [0, 1, 2, 3, 4]
        for video in played:
            sequence = to_sequence(clips[video.number])
            alone, _ = head(torch.from_numpy(sequence.features[sequence.rows])[None])
            real = video.features[:, 0] != 0
            np.testing.assert_allclose(video.logits[real], alone[0].detach().numpy(), rtol=0, atol=1e-5)

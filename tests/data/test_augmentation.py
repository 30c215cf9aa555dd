"""Stretched clips keep their order and targets; noise has the size that was asked for; validation sees neither."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.numbered_clips import bytes_of, make_clip
from tests.support.switch_clips import make_clip as make_switch
from videoseq.config.schema import TrainingSettings
from videoseq.data.augmentation import Augmentation, StepSequence
from videoseq.data.sequences import SequenceBatches
from videoseq.training.lightning_module import ClipData
from videoseq.training.pca_features import mean_deviation


def ramp(num_steps: int) -> StepSequence:
    """A clip whose features are its step's number, and whose targets are too."""
    steps = np.arange(num_steps)
    return StepSequence(steps[:, None].astype(np.float32), steps, steps)


def seen(sequence: StepSequence) -> np.ndarray:
    features = np.empty((len(sequence.rows), sequence.features.shape[1]), np.float32)
    for start in range(0, len(features), 3):
        span = slice(start, min(start + 3, len(features)))
        sequence.take(span, features[span])
    return features


@given(st.integers(2, 200), st.floats(0.01, 4.0), st.integers(0, 1 << 16))
def test_a_stretched_clip_goes_evenly_from_start_to_end(num_steps, time_stretch, seed):
    sequence = Augmentation(time_stretch).stretched(ramp(num_steps), np.random.default_rng(seed))
    speed = (1 + time_stretch) ** np.random.default_rng(seed).uniform(-1, 1)
    places = seen(sequence)[:, 0]
    np.testing.assert_allclose(places, np.arange(len(places)) * speed, atol=1e-3)
    assert num_steps - 1 - speed <= places[-1] < num_steps - 1 + 1e-3
    assert np.abs(sequence.targets - places).max() <= 0.5 + 1e-3


def test_speeds_are_both_faster_and_slower():
    generator = np.random.default_rng(0)
    lengths = [len(Augmentation(0.5).stretched(ramp(101), generator).rows) for _ in range(200)]
    assert 66 <= min(lengths) < 75
    assert 140 < max(lengths) <= 151
    assert 90 < np.median(lengths) < 110


@pytest.mark.parametrize("num_steps", [0, 1, 5])
def test_what_is_not_asked_for_or_too_short_stays_as_it_is(num_steps):
    sequence, generator = ramp(num_steps), np.random.default_rng(0)
    assert Augmentation().stretched(sequence, generator) is sequence
    if num_steps < 2:
        assert Augmentation(0.5).stretched(sequence, generator) is sequence


def test_noise_has_its_deviation_and_padding_none():
    clips = [make_clip(0, [1] * 900, width=50), make_clip(1, [1] * 300, width=50)]
    plain, noisy = (
        list(SequenceBatches(clips, 2, 100, shuffle=True, seed=1, augmentation=Augmentation(0.0, noise)))
        for noise in (0.0, 0.5)
    )
    first = (noisy[0].features - plain[0].features).numpy()  # later ones are of other lengths: the noise is drawn too
    assert first.std() == pytest.approx(0.5, rel=0.05)
    assert abs(first.mean()) < 0.02
    ended = [batch.features[row] for batch in noisy for row in range(2) if not (batch.targets[row] >= 0).any()]
    assert ended
    assert not any(features.any() for features in ended)


def test_every_pass_draws_anew_from_the_seed():
    clips = [make_clip(number, [1] * 60) for number in range(3)]

    def batches(seed: int) -> SequenceBatches:
        return SequenceBatches(clips, 2, 20, shuffle=True, seed=seed, augmentation=Augmentation(0.3, 0.2))

    once, again = batches(3), batches(3)
    first = bytes_of(once)
    assert first == bytes_of(again)
    assert first != bytes_of(once)
    assert first != bytes_of(batches(4))


def test_validation_clips_are_left_as_they_are():
    clips = [make_clip(number, [1] * 60) for number in range(3)]
    plain, drawn = (
        ClipData(clips, clips, TrainingSettings(), 0, augmentation)
        for augmentation in (Augmentation(), Augmentation(0.3, 0.2))
    )
    assert bytes_of(plain.val_dataloader()) == bytes_of(drawn.val_dataloader())
    assert bytes_of(plain.train_dataloader()) != bytes_of(drawn.train_dataloader())


def test_the_mean_deviation_is_that_of_all_rows():
    clips = [make_switch(seed, num_frames=50 + seed) for seed in range(3)]
    rows = np.concatenate([clip.features.features for clip in clips])
    assert mean_deviation(clips) == pytest.approx(np.sqrt(rows.var(axis=0).mean()), rel=1e-5)

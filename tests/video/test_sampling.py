"""The network ticks in seconds: no frame rate, no rounding of the container's times, no chunking changes that."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoseq.video.sampling import Sampler, step_rows


def steps_of(seconds: np.ndarray, sample_hz: float | None) -> np.ndarray:
    """The steps taken at each frame of a whole video."""
    sampler = Sampler(sample_hz)
    return np.array([sampler.steps(float(t)) for t in seconds], dtype=np.int64)


RATES = st.sampled_from([1.0, 5.0, 10.0, 12.5, 23.976, 25.0, 29.97, 30.0, 50.0, 59.94, 60.0, 240.0])
HERTZ = st.sampled_from([0.5, 1.0, 4.0, 8.0, 10.0, 15.0, 25.0, 30.0])


def test_without_a_rate_every_frame_is_a_step():
    assert steps_of(np.linspace(0, 1, 9), None).tolist() == [1] * 9


@pytest.mark.parametrize(
    ("fps", "hz", "expected"),
    [
        (10, 10, [1, 1, 1, 1, 1, 1]),
        (30, 10, [1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1]),
        (20, 10, [1, 0, 1, 0, 1, 0, 1, 0]),
        (25, 10, [1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1]),
        (5, 10, [1, 2, 2, 2]),
        (1, 4, [1, 4, 4, 4]),
    ],
)
def test_known_rates(fps, hz, expected):
    assert steps_of(np.arange(len(expected)) / fps, hz).tolist() == expected


@given(fps=RATES, hz=HERTZ, num_frames=st.integers(1, 400))
def test_ticks_follow_the_clock(fps, hz, num_frames):
    seconds = np.arange(num_frames) / fps
    ticks = np.cumsum(steps_of(seconds, hz)) - 1
    assert np.all(np.abs(ticks - seconds * hz) <= 1.0)


@given(fps=st.sampled_from([10.0, 15.0, 20.0, 25.0, 29.97, 30.0]), seed=st.integers(0, 999))
def test_rounding_to_milliseconds_changes_nothing(fps, seed):
    """Matroska keeps whole milliseconds; equal rates and simple ratios must not flicker."""
    exact = np.arange(500) / fps
    rounded = np.round(exact, 3)
    for hz in (fps, fps / 2, fps / 3):
        np.testing.assert_array_equal(steps_of(rounded, hz), steps_of(exact, hz))


def test_a_long_gap_takes_a_bounded_number_of_steps():
    assert steps_of(np.array([0.0, 1e6]), 10.0).tolist() == [1, 64]


def test_a_saved_tick_goes_on():
    seconds = np.arange(90) / 29.97
    whole = steps_of(seconds, 8.0).tolist()
    first, second = Sampler(8.0), Sampler(8.0)
    head = [first.steps(t) for t in seconds[:40]]
    second.tick = first.tick
    assert head + [second.steps(t) for t in seconds[40:]] == whole


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.data())
def test_step_rows_are_the_obvious_loop_in_any_chunks(tail, data):
    steps = np.array([1, *tail])
    seen, outputs, expected = -1, -1, []
    sequence: list[int] = []
    for count in steps:
        sequence += [seen] * (count - 1)
        if count:
            seen += 1
            sequence.append(seen)
        outputs += count
        expected.append(outputs)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(steps)), max_size=5)))
    rows: list[int] = []
    step_of_frame: list[int] = []
    features_before = 0
    for part in np.split(steps, cuts):
        part_rows, part_steps = step_rows(part)
        step_of_frame += (part_steps + len(rows)).tolist()
        rows += (part_rows + features_before - 1).tolist()
        features_before += int(np.count_nonzero(part))
    assert rows == sequence
    assert step_of_frame == expected

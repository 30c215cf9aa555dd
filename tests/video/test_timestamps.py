"""A frame's time is the container's own wherever that can be, marked elsewhere, and always later than the last."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.support.odd_videos import VARIABLE
from videoseq.video.timestamps import FALLBACK_FPS, FrameClock, FrameFlag, FrameTime

JITTERY = [0.001 * tick for tick in VARIABLE]  # 10 to 400 ms apart

increasing = st.lists(st.floats(0.0, 1e9), min_size=1, unique=True).map(sorted)
# Containers count in ticks; a day of milliseconds leaves room for every kind of disorder.
ticks = st.integers(-1000, 86_400_000).map(lambda tick: tick / 1000) | st.integers(0, 50).map(lambda k: 0.04 * k)
disorder = st.lists(ticks | st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf]), min_size=1, max_size=60)
# Recordings joined one after the other, each by its own clock, with a frame out of line here and there.
joined = st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=20), min_size=1, max_size=4).map(
    lambda parts: [0.0] + [0.04 * (abs(k - 20) if k > 30 else n) for part in parts for n, k in enumerate(part)]
)
RESTARTED_AND_OUT_OF_LINE = [0.0, 0.04, 0.08, 0.12, 0.16, 0.0, 0.04, 0.08, 0.02, 0.16, 0.2]


def clocked(
    raws: list[float], fps: float | None = 25.0, *, has_frame_times: bool = True
) -> tuple[list[FrameTime], FrameClock]:
    """What a clock makes of the container's times."""
    clock = FrameClock(fps, has_frame_times=has_frame_times)
    return [clock.next(raw) for raw in raws], clock


def seconds_of(times: list[FrameTime]) -> list[float]:
    return [time.seconds for time in times]


def constant(num_frames: int, interval: float = 0.04) -> list[float]:
    return [interval * index for index in range(num_frames)]


@given(increasing)
def test_increasing_times_are_kept_as_they_are_across_any_gap(raws):
    times, clock = clocked(raws)
    assert seconds_of(times) == raws
    assert not any(time.is_estimated for time in times)
    assert (clock.source, clock.num_estimated, clock.num_frames) == ("container", 0, len(raws))


@given(disorder | joined, st.none() | st.floats(1.0, 1000.0), st.booleans())
@example([5.0, 5.0, 5.0], 25.0, True)
@example([math.nan, math.nan, math.inf, 1.0], None, True)
def test_whatever_a_container_says_times_are_finite_and_increase(raws, fps, has_frame_times):
    times, clock = clocked(raws, fps, has_frame_times=has_frame_times)
    seconds = seconds_of(times)
    assert all(map(math.isfinite, seconds))
    assert seconds[0] >= 0.0
    assert all(later > earlier for earlier, later in itertools.pairwise(seconds))
    assert clock.end_seconds > seconds[-1]
    assert clock.num_estimated == sum(time.is_estimated for time in times)
    assert not any(time.is_estimated and time.is_after_gap for time in times)


@pytest.mark.parametrize(
    "raws",
    [
        pytest.param([0.0, 0.04, 0.08, 0.12, 0.16, 1e17, 0.0], id="so large that a frame more is no more"),
        pytest.param([1e308, 1.7e308, 0.0], id="beyond what a float holds"),
    ],
)
def test_even_after_an_absurdly_large_time_times_are_finite_and_increase(raws):
    seconds = seconds_of(clocked(raws)[0])
    assert all(map(math.isfinite, seconds))
    assert np.all(np.diff(seconds) > 0)


@settings(max_examples=300)
@given(disorder | joined)
@example(RESTARTED_AND_OUT_OF_LINE)
def test_a_time_that_is_not_the_containers_own_is_marked(raws):
    """From the second frame on."""
    times, _ = clocked(raws)
    assert all(time.is_estimated or time.seconds == raw for time, raw in list(zip(times, raws, strict=True))[1:])


def test_a_first_time_before_the_start_is_the_start():
    """OpenCV takes the decoder's time for the picture's where that is 0."""
    assert clocked([-0.08])[0] == [FrameTime(0.0, is_estimated=False, is_after_gap=False)]


@pytest.mark.parametrize("raw", [math.nan, math.inf, 1e300])
def test_a_first_time_that_is_not_the_containers_own_is_marked(raw):
    (time,), _ = clocked([raw])
    assert time == FrameTime(0.0, is_estimated=True, is_after_gap=False)


@given(st.integers(2, 28), st.integers(0, 27), st.sampled_from([constant(30), JITTERY[:30]]), st.booleans())
def test_one_frame_out_of_line_is_repaired_alone(at, takes, right, has_a_time):
    """It takes the time of an earlier frame, or none; the next right time is right again."""
    raws = [*right[:at], right[min(takes, at - 1)] if has_a_time else math.nan, *right[at + 1 :]]
    times, clock = clocked(raws)
    assume(times[at].seconds < right[at + 1])  # always so at a constant rate
    assert [index for index, time in enumerate(times) if time.is_estimated] == [at]
    assert seconds_of(times)[at + 1 :] == right[at + 1 :]
    assert right[at - 1] < times[at].seconds
    assert clock.source == "container_repaired"


def test_one_frame_out_of_line_at_a_constant_rate_is_put_in_the_middle():
    right = constant(30)
    for wrong in (0.0, right[3], right[9], math.nan):
        times, clock = clocked([*right[:10], wrong, *right[11:]])
        assert times[10].is_estimated
        assert times[10].seconds == pytest.approx(right[10], abs=1e-4)
        assert seconds_of(times)[11:] == right[11:]
        assert clock.num_estimated == 1


def test_right_after_a_frame_without_a_time_of_its_own_the_next_right_time_is_right():
    right = constant(30, 0.0625)  # without rounding
    times, _ = clocked([*right[:10], right[9], *right[10:]])
    assert [index for index, time in enumerate(times) if time.is_estimated] == [10]
    assert seconds_of(times)[11:] == right[10:]


@pytest.mark.parametrize("part", [constant(25), JITTERY], ids=["constant", "variable"])
@pytest.mark.parametrize("has_frame_times", [True, False])
def test_a_clock_that_starts_again_goes_on_with_its_own_intervals(part, has_frame_times):
    times, clock = clocked(part * 3, has_frame_times=has_frame_times)
    n = len(part)
    seconds = seconds_of(times)
    assert seconds[:n] == part
    for start in (n, 2 * n):
        np.testing.assert_allclose(np.diff(seconds[start : start + n]), np.diff(part), atol=1e-3)
        joint = seconds[start] - seconds[start - 1]
        assert min(np.diff(part)) / 2 < joint < 1.1 * max(np.diff(part))
    assert [time.is_estimated for time in times] == [False] * n + [True] * (2 * n)
    assert clock.source == ("container_repaired" if has_frame_times else "frame_rate")


@pytest.mark.parametrize("fps", [None, 0.0, 1.0, 30000 / 1001, 25.0, 240.0])
@pytest.mark.parametrize("first", [0.0, 5.0, math.nan])
def test_without_any_times_frames_are_counted_at_the_headers_rate(fps, first):
    times, clock = clocked([first] * 100, fps)
    start = first if math.isfinite(first) else 0.0
    expected = [start + index / (fps or FALLBACK_FPS) for index in range(100)]
    np.testing.assert_allclose(seconds_of(times), expected, rtol=1e-12)
    assert [time.is_estimated for time in times] == [not math.isfinite(first)] + [True] * 99
    assert clock.source == "frame_rate"
    assert clock.is_rate_a_guess
    assert clock.end_seconds == pytest.approx(start + 100 / (fps or FALLBACK_FPS))


def test_a_container_that_counts_packets_begins_at_zero_and_may_lose_count():
    """An avi's first picture may be its third packet."""
    times, clock = clocked([0.08 + raw for raw in constant(10)], has_frame_times=False)
    np.testing.assert_allclose(seconds_of(times), constant(10), atol=1e-12)
    assert not any(time.is_estimated for time in times)
    assert clock.source == "frame_rate"
    assert not clock.is_rate_a_guess
    clock.lose_count()
    later = [clock.next(0.08 + 0.04 * index) for index in range(10, 15)]
    assert [time.is_estimated for time in later] == [True] * 5
    np.testing.assert_allclose(seconds_of(later), constant(15)[10:], atol=1e-12)
    assert clock.source == "frame_rate"


def test_a_container_with_times_cannot_lose_count():
    _, clock = clocked(constant(10))
    clock.lose_count()
    assert not any(clock.next(raw).is_estimated for raw in (0.6, 0.64))
    assert clock.source == "container"


@given(
    st.floats(0.002, 2.0), st.lists(st.floats(-0.1, 0.1), min_size=12, max_size=50), st.floats(2.0, 100.0), st.data()
)
def test_a_gap_is_seen_at_a_constant_rate_though_it_jitters_but_not_in_the_first_frames(interval, jitter, factor, data):
    at = data.draw(st.integers(1, len(jitter) - 1))
    steps = [interval * (1.0 + share) for share in jitter]
    steps[at] = interval * factor
    times, _ = clocked([0.0, *np.cumsum(steps).tolist()])
    assert [index for index, time in enumerate(times) if time.is_after_gap] == ([at + 1] if at >= 4 else [])


def test_after_a_gap_the_interval_is_still_a_frames():
    """And so the next gap is seen too."""
    times, clock = clocked([start + raw for start in (0.0, 3.0, 6.0) for raw in constant(10)])
    assert [index for index, time in enumerate(times) if time.is_after_gap] == [10, 20]
    assert clock.interval_seconds == pytest.approx(0.04)
    assert clock.end_seconds == pytest.approx(6.4)


def test_variable_intervals_have_no_gaps():
    for seed in range(30):
        steps = np.random.default_rng(seed).integers(10, 400, size=200)
        times, _ = clocked([0.0, *(0.001 * np.cumsum(steps)).tolist()])
        assert not any(time.is_after_gap for time in times)


def test_a_clock_that_has_seen_no_frame_ends_at_zero_and_one_frame_lasts_one_frame():
    assert FrameClock(25.0, has_frame_times=True).end_seconds == 0.0
    for has_frame_times, source in ((True, "container"), (False, "frame_rate")):
        times, clock = clocked([0.0], 4.0, has_frame_times=has_frame_times)
        assert (times, clock.source) == ([FrameTime(0.0, is_estimated=False, is_after_gap=False)], source)
        assert clock.end_seconds == pytest.approx(0.25)


def test_the_end_is_one_usual_interval_after_the_last_frame():
    _, clock = clocked([0.0, 0.5, 1.0, 1.5, 1.6])
    assert clock.end_seconds == pytest.approx(2.1)


def test_flags_are_spelled():
    assert {flag: flag.text for flag in map(FrameFlag, range(4))} == {
        FrameFlag.NONE: "",
        FrameFlag.TIME_ESTIMATED: "time_estimated",
        FrameFlag.SUSPECT: "suspect",
        FrameFlag.TIME_ESTIMATED | FrameFlag.SUSPECT: "time_estimated+suspect",
    }

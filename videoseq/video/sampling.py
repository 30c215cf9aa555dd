"""Time → steps: how often the recurrent network advances, decided in seconds and never in frames.

The network ticks ``sample_hz`` times a second, whatever a file's frame rate. At each frame the sampler says how many
ticks have come due: none (the frame shares its predecessor's label), one, or, where a file is slower than the clock,
several: all but the last of them repeat the features seen before. It looks at the past alone.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Int

# Ticks fall due this much of a period early. At 0.45 neither equal rates, nor 2:1, 3:1, 3:2, 4:1 or 5:2, are decided
# by a rounding error of the container's times.
_TICK_PHASE = 0.45
# A gap in the times advances the network by at most this many ticks: a state held that long has settled.
_MAX_TICKS_AT_ONCE = 64


class Sampler:
    """Counts the network's steps from frame times alone.

    Attributes:
        sample_hz: Ticks a second, or None for one step at every frame.
        tick: The last tick counted, or None before the first frame; it may be set to restore a saved position.
    """

    def __init__(self, sample_hz: float | None) -> None:
        self.sample_hz = sample_hz
        self.tick: int | None = None

    def steps(self, seconds: float) -> int:
        """How many steps to take at the next frame, shown at ``seconds``: 0 to hold the last label."""
        if self.sample_hz is None:
            return 1
        tick = math.floor(seconds * self.sample_hz + _TICK_PHASE)
        due = 1 if self.tick is None else max(0, min(tick - self.tick, _MAX_TICKS_AT_ONCE))
        if due:
            self.tick = tick
        return due


def step_rows(
    steps: Int[np.ndarray, " frames"],
) -> tuple[Int[np.ndarray, " total_steps"], Int[np.ndarray, " frames"]]:
    """Which features each step sees, and which step labels each frame.

    Returns:
        rows: For every step the row of its features, 0 meaning the features before these frames and k the k-th
            sampled frame among them, counted from 1.
        step_of_frame: For every frame the step whose output it gets; −1 means the last output before these frames.
    """
    row_of_frame = np.cumsum(steps > 0)
    step_of_frame = np.cumsum(steps) - 1
    rows = np.repeat(row_of_frame - 1, steps)  # catch-up steps repeat the features seen before …
    is_sampled = steps > 0
    rows[step_of_frame[is_sampled]] = row_of_frame[is_sampled]  # … and the frame's last step sees its own
    return rows, step_of_frame

"""Clips as they might have been: a little faster or slower, and seen through a little noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64


class StepSequence(NamedTuple):
    """A clip as the network meets it, one entry per step; what step k sees is row ``rows[k]`` of the features.

    Attributes:
        features: Of the whole clip, maybe in a mapped file.
        rows: Which of them each step sees.
        targets: Those of the clip.
        next_rows: In a clip that is stretched, which features come after.
        shares: How much of those a step sees, from 0 to 1.
    """

    features: Float32[np.ndarray, "sampled features"]
    rows: Int64[np.ndarray, " steps"]
    targets: Int64[np.ndarray, "steps ..."]
    next_rows: Int64[np.ndarray, " steps"] | None = None
    shares: Float32[np.ndarray, " steps"] | None = None

    def take(self, span: slice, out: Float32[np.ndarray, "taken features"]) -> None:
        """Writes what these steps see."""
        # Copied once, from the mapped file into the batch; with mode="raise" numpy would buffer.
        np.take(self.features, self.rows[span], axis=0, out=out, mode="clip")
        if self.next_rows is not None and self.shares is not None:
            later = np.take(self.features, self.next_rows[span], axis=0)
            out += self.shares[span, None] * (later - out)


@dataclass(frozen=True)
class Augmentation:
    """What is drawn again in every pass.

    Attributes:
        time_stretch: Clips last up to 1 + time_stretch times as long, or as short.
        noise: Standard deviation of what is added to every feature of every step.
    """

    time_stretch: float = 0.0
    noise: float = 0.0

    def stretched(self, sequence: StepSequence, generator: np.random.Generator) -> StepSequence:
        """The sequence at another speed; between two steps features are mixed, targets those of the nearer one."""
        num_steps = len(sequence.rows)
        if self.time_stretch == 0 or num_steps < 2:
            return sequence
        speed = (1 + self.time_stretch) ** generator.uniform(-1, 1)
        places = np.arange(0, num_steps - 1, speed)
        before = places.astype(np.int64)
        shares = (places - before).astype(np.float32)
        targets = sequence.targets[np.rint(places).astype(np.int64)]
        return StepSequence(sequence.features, sequence.rows[before], targets, sequence.rows[before + 1], shares)

    def add_noise(self, features: Float32[np.ndarray, "steps features"], generator: np.random.Generator) -> None:
        """Adds noise in place."""
        if self.noise > 0:
            features += self.noise * generator.standard_normal(features.shape, dtype=np.float32)

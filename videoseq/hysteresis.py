"""Labels that do not flicker: the label stays until another class is clearly more probable (Schmitt 1938)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int64


class Hysteresis:
    """Probabilities of consecutive frames → labels; causal, and without delay where the classes are clear.

    Attributes:
        margin: By how much another class must be more probable than the label's; 0: the most probable always.
        label: Of the last frame; -1 before the first.
    """

    def __init__(self, margin: float) -> None:
        self.margin = margin
        self.label = -1

    def __call__(self, probabilities: Float[np.ndarray, "frames classes"]) -> Int64[np.ndarray, " frames"]:
        """The labels of the next frames."""
        labels: np.ndarray = probabilities.argmax(axis=1)
        if self.margin > 0:
            for frame, best in enumerate(labels.tolist()):
                row = probabilities[frame]
                if self.label < 0 or row[best] - row[self.label] > self.margin:
                    self.label = best
                labels[frame] = self.label
        return labels

"""A label stays until another class is clearly more probable (Schmitt 1938)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from videoseq.models.decoding.base import LabelDecoder


class Hysteresis(LabelDecoder):
    """Causal, and without delay where the classes are clear.

    Args:
        margin: By how much another class must be more probable than the label's; 0: the most probable always.
    """

    def __init__(self, margin: float) -> None:
        self._margin = margin
        self._label = -1

    def push(self, probabilities: Float[np.ndarray, "steps classes"]) -> Int64[np.ndarray, " steps"]:
        """The labels of the next steps."""
        labels: np.ndarray = probabilities.argmax(axis=1)
        if self._margin > 0:
            for step, best in enumerate(labels.tolist()):
                row = probabilities[step]
                if self._label < 0 or row[best] - row[self._label] > self._margin:
                    self._label = best
                labels[step] = self._label
        return labels

    def state_dict(self) -> dict[str, Tensor]:
        """The label; −1 before the first."""
        return {"held_label": torch.tensor(self._label)}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from where :meth:`state_dict` was taken."""
        self._label = int(tensors["held_label"])

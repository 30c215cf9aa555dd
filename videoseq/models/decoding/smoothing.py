"""Causal methods that keep a label for longer, so that it does not flicker."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from videoseq.models.decoding.base import LabelDecoder


class Hysteresis(LabelDecoder):
    """A label stays until another class is clearly more probable (Schmitt 1938).

    Causal, and without delay where the classes are clear.

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


class MinimumDuration(LabelDecoder):
    """A class becomes the label only once it has been the most probable for long enough.

    Causal; every change of the label comes ``num_steps − 1`` steps after the change of the most probable class.

    No run of labels is shorter than ``num_steps``, but for the first, which begins with the video, and the last, which
    ends with it.

    Args:
        num_steps: For how many steps in a row a class must have been the most probable; 1: it is the label at once.
    """

    def __init__(self, num_steps: int) -> None:
        self._num_steps = num_steps
        self._label = -1
        self._candidate = -1
        self._num_held = 0

    def push(self, probabilities: Float[np.ndarray, "steps classes"]) -> Int64[np.ndarray, " steps"]:
        """The labels of the next steps."""
        labels: np.ndarray = probabilities.argmax(axis=1)
        for step, best in enumerate(labels.tolist()):
            self._num_held = self._num_held + 1 if best == self._candidate else 1
            self._candidate = best
            if self._label < 0 or self._num_held >= self._num_steps:
                self._label = best
            labels[step] = self._label
        return labels

    def state_dict(self) -> dict[str, Tensor]:
        """The label, the class that has been the most probable since, and for how many steps."""
        return {"held": torch.tensor([self._label, self._candidate, self._num_held])}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from where :meth:`state_dict` was taken."""
        self._label, self._candidate, self._num_held = tensors["held"].tolist()

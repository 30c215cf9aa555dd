"""What every method of decoding is, and the one that takes the most probable class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor


class LabelDecoder(ABC):
    """Probabilities of one video's consecutive steps → one label for each, in order.

    Attributes:
        delay_steps: How many steps after it must be known before a step has its label; 0: causal.
    """

    delay_steps = 0

    @abstractmethod
    def push(self, probabilities: Float[np.ndarray, "steps classes"]) -> Int64[np.ndarray, " decided"]:
        """The labels that the next steps decide: their own, or with a delay those of earlier steps."""

    def finish(self) -> Int64[np.ndarray, " decided"]:
        """The labels of the steps that still wait for later ones, of which there are no more."""
        return np.empty(0, np.int64)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that the next labels depend on except the next probabilities, as tensors to be saved."""
        return {}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:  # noqa: B027 (nothing to load where there is none)
        """Goes on from where :meth:`state_dict` was taken; ``tensors`` may hold more."""


class MostProbable(LabelDecoder):
    """The most probable class of every step by itself."""

    def push(self, probabilities: Float[np.ndarray, "steps classes"]) -> Int64[np.ndarray, " steps"]:
        """The labels of the next steps."""
        labels: np.ndarray = probabilities.argmax(axis=1)
        return labels

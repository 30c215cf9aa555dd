"""The interface of all cells."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn


class Cell(nn.Module, ABC):
    """Layers that see steps in order, and what they remember as tensors by name, the batch first in each.

    Whole, in chunks, or step by step: the outputs are the same, as long as each call gets what the last one remembered.
    """

    @abstractmethod
    def initial(self, batch: int) -> dict[str, Tensor]:
        """What it remembers before the first step: zeros."""

    @abstractmethod
    def advance(
        self, units: Float[Tensor, "batch time inputs"], before: Mapping[str, Tensor]
    ) -> tuple[Float[Tensor, "batch time hidden"], dict[str, Tensor]]:
        """Outputs of every step, one or more, and what is remembered after the last one.

        Args:
            units: Inputs of consecutive steps.
            before: What was remembered before them; it may have other names too.
        """

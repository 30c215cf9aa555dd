"""A stage of MS-TCN (Farha & Gall 2019, arXiv:1903.01945) that looks back only: dilated convolutions over time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from videoseq.models.cells.base import Cell

_KERNEL_STEPS = 3


class TCN(Cell):
    """Residual layers x + W relu(V ∗ x), with dilations 1, 2, 4, …, and zeros before the first step.

    A step depends on itself and on the 2 (2^layers − 1) steps before it, nothing else. MS-TCN's stage has ten layers,
    and lets each look as far ahead as back. What is remembered are the last inputs of every layer.
    """

    def __init__(self, input_size: int, width: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self._width = width
        self.first = nn.Linear(input_size, width)
        self.dilated = nn.ModuleList(
            nn.Conv1d(width, width, _KERNEL_STEPS, dilation=2**layer) for layer in range(num_layers)
        )
        self.mixing = nn.ModuleList(nn.Linear(width, width) for _ in range(num_layers))
        self.dropout = nn.Dropout(dropout)

    def initial(self, batch: int) -> dict[str, Tensor]:
        """Zeros before the first step, as many as each layer looks back on."""
        weight = self.first.weight
        lengths = ((_KERNEL_STEPS - 1) * 2**layer for layer in range(len(self.dilated)))
        return {f"inputs_{layer}": weight.new_zeros(batch, steps, self._width) for layer, steps in enumerate(lengths)}

    def advance(self, units: Tensor, before: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """As :meth:`videoseq.models.cells.base.Cell.advance`."""
        after, units = {}, self.first(units)
        for layer, (dilated, mixing) in enumerate(zip(self.dilated, self.mixing, strict=True)):
            name = f"inputs_{layer}"
            known = torch.cat((before[name], units), dim=1)
            after[name] = known[:, -before[name].shape[1] :]
            looked_back = dilated(known.transpose(1, 2)).transpose(1, 2)
            units = units + self.dropout(mixing(looked_back.relu()))
        return units, after

"""Recurrent layers, as PyTorch has them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from videoseq.models.cells.base import Cell


class _Recurrent(Cell, nn.RNNBase):
    """Layers with a hidden state, which PyTorch keeps with the layers first."""

    def initial(self, batch: int) -> dict[str, Tensor]:
        """No hidden state in any layer."""
        weight = next(self.parameters())
        return {"hidden": weight.new_zeros(batch, self.num_layers, self.hidden_size)}

    def advance(self, units: Tensor, before: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """As :meth:`videoseq.models.cells.base.Cell.advance`."""
        units, hidden = self(units, _swapped(before["hidden"]))
        return units, {"hidden": _swapped(hidden)}


class RNN(_Recurrent, nn.RNN):
    """a[t] = tanh(Waa a[t−1] + Wax x[t] + ba)."""


class GRU(_Recurrent, nn.GRU):
    """Cho et al. 2014 (arXiv:1406.1078), as PyTorch writes it."""


class LSTM(_Recurrent, nn.LSTM):
    """Hochreiter & Schmidhuber 1997; it has a memory in addition to its hidden state."""

    def initial(self, batch: int) -> dict[str, Tensor]:
        """Neither hidden state nor memory in any layer."""
        hidden = super().initial(batch)["hidden"]
        return {"hidden": hidden, "memory": hidden.clone()}

    def advance(self, units: Tensor, before: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """As :meth:`videoseq.models.cells.base.Cell.advance`."""
        units, (hidden, memory) = self(units, (_swapped(before["hidden"]), _swapped(before["memory"])))
        return units, {"hidden": _swapped(hidden), "memory": _swapped(memory)}


def _swapped(state: Tensor) -> Tensor:
    """Batch first → layers first, and back; cuDNN wants it in one piece."""
    return state.transpose(0, 1).contiguous()

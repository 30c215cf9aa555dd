"""Cells: layers that see a video's steps in order and remember some of them, each in a state of its own."""

from __future__ import annotations

from videoseq.config.schema import HeadSettings
from videoseq.models.cells.attention import Attention
from videoseq.models.cells.base import Cell
from videoseq.models.cells.recurrent import GRU, LSTM, RNN
from videoseq.models.cells.tcn import TCN

__all__ = ["Cell", "make_cell"]

_RECURRENT: dict[str, type[RNN | GRU | LSTM]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


def make_cell(input_size: int, settings: HeadSettings) -> Cell | None:
    """The cell that the settings name, ``hidden_size`` wide; None for ``none``."""
    width, num_layers, dropout = settings.hidden_size, settings.num_layers, settings.dropout
    if settings.cell == "none":
        return None
    if settings.cell == "tcn":
        return TCN(input_size, width, num_layers, dropout)
    if settings.cell == "attention":
        return Attention(input_size, width, num_layers, settings.num_heads, settings.window, dropout)
    between_layers = dropout if num_layers > 1 else 0.0
    return _RECURRENT[settings.cell](input_size, width, num_layers, batch_first=True, dropout=between_layers)

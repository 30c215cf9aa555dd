"""Cells: layers that see the steps of a video in order and remember some of them, each in a state of its own."""

from __future__ import annotations

from videoseq.models.cells.attention import Attention
from videoseq.models.cells.base import Cell
from videoseq.models.cells.recurrent import GRU, LSTM, RNN
from videoseq.models.cells.tcn import TCN

__all__ = ["GRU", "LSTM", "RNN", "TCN", "Attention", "Cell"]

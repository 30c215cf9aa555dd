"""Attention to a window of past steps (Vaswani et al. 2017, arXiv:1706.03762), whose keys and values are the state."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from videoseq.models.cells.base import Cell

_MIN_BLOCK_STEPS = 64


class Attention(Cell):
    """Pre-norm layers in which a step attends to itself and the ``window`` steps before it, in each layer.

    The distance to a step is given by a bias for every head and distance, which is added to the scores (Raffel et al.
    2020, arXiv:1910.10683, without their buckets). A step depends on the ``num_layers`` × ``window`` steps before it.
    What is remembered are the window's keys and values, and how many of them there are yet.
    """

    def __init__(
        self, input_size: int, width: int, num_layers: int, num_heads: int, window: int, dropout: float
    ) -> None:
        super().__init__()
        self._window = window
        self._width = width
        self.first = nn.Linear(input_size, width)
        self.layers = nn.ModuleList(_Layer(width, num_heads, window, dropout) for _ in range(num_layers))
        self.last_norm = nn.LayerNorm(width)

    def initial(self, batch: int) -> dict[str, Tensor]:
        """No step in the window."""
        keys = self.first.weight.new_zeros(batch, len(self.layers), self._window, self._width)
        num_past = torch.zeros(batch, dtype=torch.int64, device=keys.device)
        return {"num_past": num_past, "keys": keys, "values": keys.clone()}

    def advance(self, units: Tensor, before: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """As :meth:`~videoseq.models.cells.base.Cell.advance`; in blocks, to bound memory."""
        state = dict(before)
        parts = []
        for block in self.first(units).split(max(self._window, _MIN_BLOCK_STEPS), dim=1):
            part, state = self._advance_block(block, state)
            parts.append(part)
        return self.last_norm(torch.cat(parts, dim=1)), state

    def _advance_block(self, units: Tensor, before: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        num_past, window, num_steps = before["num_past"], self._window, units.shape[1]
        step = torch.arange(num_steps, device=units.device)
        place = torch.arange(-window, num_steps, device=units.device)
        distance = step[:, None] - place
        is_known = (place >= -num_past[:, None])[:, None] & (distance >= 0) & (distance <= window)
        keys, values = [], []
        for number, layer in enumerate(self.layers):
            known = before["keys"][:, number], before["values"][:, number]
            units, *known_after = layer(units, *known, distance.clamp(0, window), is_known)
            keys.append(known_after[0][:, -window:])
            values.append(known_after[1][:, -window:])
        after = {"keys": torch.stack(keys, dim=1), "values": torch.stack(values, dim=1)}
        return units, {"num_past": (num_past + num_steps).clamp_max(window), **after}


class _Layer(nn.Module):
    """Attention, then two linear layers for each step alone; each is added to what went in."""

    def __init__(self, width: int, num_heads: int, window: int, dropout: float) -> None:
        super().__init__()
        self._num_heads = num_heads
        self.norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.distance_bias = nn.Parameter(torch.zeros(num_heads, window + 1))
        self.mixing = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        units: Float[Tensor, "batch time width"],
        keys: Float[Tensor, "batch window width"],
        values: Float[Tensor, "batch window width"],
        distance: Int64[Tensor, "time known"],
        is_known: Bool[Tensor, "batch time known"],
    ) -> tuple[
        Float[Tensor, "batch time width"], Float[Tensor, "batch known width"], Float[Tensor, "batch known width"]
    ]:
        """Outputs, and all keys and values, those of these steps behind those of the window."""
        query, key, value = self.query_key_value(self.norm(units)).chunk(3, dim=2)
        keys, values = torch.cat((keys, key), dim=1), torch.cat((values, value), dim=1)
        split = [part.unflatten(2, (self._num_heads, -1)).transpose(1, 2) for part in (query, keys, values)]
        scores = split[0] @ split[1].transpose(2, 3) / split[0].shape[-1] ** 0.5 + self.distance_bias[:, distance]
        weights = self.dropout(scores.masked_fill(~is_known[:, None], float("-inf")).softmax(dim=3))
        units = units + self.dropout(self.mixing((weights @ split[2]).transpose(1, 2).flatten(2)))
        return units + self.dropout(self.feed_forward(units)), keys, values

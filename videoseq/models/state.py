"""What a network remembers of the steps before, as tensors by name with a row for each video of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor


class RNNState:
    """All that a network remembers of the steps before, for each video of a batch.

    Its tensors have the batch first and are zero before a video's first step: ``has_started``, whether that has been
    taken, ``history``, the last steps' reduced features, as many as the longest lag, for differences, and what the
    cells of its streams keep, each under its stream's name.
    """

    def __init__(self, **tensors: Tensor) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def detach(self) -> RNNState:
        """The same values, cut off from the graph that made them."""
        return RNNState(**{name: tensor.detach() for name, tensor in self._tensors.items()})

    def reset(self, is_start: Bool[Tensor, " batch"]) -> RNNState:
        """As before any step for the videos in ``is_start``, unchanged for the others."""
        return RNNState(
            **{
                name: tensor.masked_fill(is_start.view(-1, *(1 for _ in tensor.shape[1:])), 0)
                for name, tensor in self._tensors.items()
            }
        )

    def tensors(self) -> dict[str, Tensor]:
        """By name, to be saved."""
        return dict(self._tensors)

    def split(self, num_parts: int) -> list[RNNState]:
        """The states of the first videos of the batch, of the next, and so on: as many of each."""
        parts = zip(*(tensor.chunk(num_parts) for tensor in self._tensors.values()), strict=True)
        return [RNNState(**dict(zip(self._tensors, part, strict=True))) for part in parts]

    @staticmethod
    def join(parts: Sequence[RNNState]) -> RNNState:
        """One batch of all videos, in order."""
        return RNNState(**{name: torch.cat([part[name] for part in parts]) for name in parts[0].tensors()})

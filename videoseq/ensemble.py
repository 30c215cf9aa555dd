"""Several networks that differ by their seeds and answer together (Hansen & Salamon 1990)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from videoseq.label_decoding import Decoding
from videoseq.model import CausalRNN, RNNState


class Ensemble(nn.Module):
    """The mean of its members' logits; takes and gives back one state, in which theirs stand side by side.

    Attributes:
        members: One or more, of one size, which have seen the same features.
        temperature: As of a single :class:`~videoseq.model.CausalRNN`; it divides the mean.
        decoding: As of a single one; the members' own are not asked.
    """

    temperature: Float[Tensor, ""]

    def __init__(self, members: Sequence[CausalRNN]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.feature_size = members[0].feature_size
        self.num_classes = members[0].num_classes
        self.register_buffer("temperature", torch.ones(()))
        self.decoding = Decoding()

    def initial_state(self, batch: int = 1) -> RNNState:
        """The state before a video's first step."""
        return RNNState.join([member.initial_state(batch) for member in self._networks])

    def forward(
        self, features: Float[Tensor, "batch time features"], state: RNNState | None = None
    ) -> tuple[Float[Tensor, "batch time classes"], RNNState]:
        """Logits of every step, and the state after the last one; as of one network."""
        state = self.initial_state(len(features)) if state is None else state
        parts = zip(self._networks, state.split(len(self.members)), strict=True)
        logits, after = zip(*(member(features, part) for member, part in parts), strict=True)
        return torch.stack(logits).mean(dim=0) / self.temperature, RNNState.join(after)

    @property
    def _networks(self) -> list[CausalRNN]:
        return [member for member in self.members if isinstance(member, CausalRNN)]


Head: TypeAlias = CausalRNN | Ensemble
"""What labels features: takes them with a state, gives logits and the next state."""

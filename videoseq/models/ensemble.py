"""Several networks that differ by their seeds and answer together (Hansen & Salamon 1990)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from videoseq.models.bidirectional import BidirectionalRNN, Network
from videoseq.models.causal_rnn import CausalRNN
from videoseq.models.decoding import Decoding
from videoseq.models.state import RNNState


class Ensemble(nn.Module):
    """The mean of its members' logits; takes and gives back one state, in which theirs stand side by side.

    Attributes:
        members: One or more, of one size and kind, which have seen the same features.
        looks_ahead: Whether a step's logits depend on later steps, as its members' do.
        temperature: As of a single :class:`~videoseq.models.causal_rnn.CausalRNN`; it divides the mean.
        decoding: As of a single one; the members' own are not asked.
    """

    temperature: Float[Tensor, ""]

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.looks_ahead = members[0].looks_ahead
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
        parts = zip(self._networks, self._split(state), strict=True)
        return self._together(member(features, part) for member, part in parts)

    def reduce(self, features: Float[Tensor, "batch time features"]) -> Float[Tensor, "batch time components"]:
        """The components of all members, which look ahead, side by side."""
        return torch.cat([member.reduce(features) for member in self._bidirectional], dim=2)

    def from_past(
        self, reduced: Float[Tensor, "batch time components"], state: RNNState | None = None
    ) -> tuple[Float[Tensor, "batch time classes"], RNNState]:
        """As of one network that looks ahead."""
        parts = zip(self._bidirectional, self._of_each(reduced), self._split(state), strict=True)
        return self._together(member.from_past(of_member, part) for member, of_member, part in parts)

    def from_future(
        self, reduced: Float[Tensor, "batch time components"], state: RNNState | None = None
    ) -> tuple[Float[Tensor, "batch time classes"], RNNState]:
        """As of one network that looks ahead."""
        parts = zip(self._bidirectional, self._of_each(reduced), self._split(state), strict=True)
        return self._together(member.from_future(of_member, part) for member, of_member, part in parts)

    @property
    def _networks(self) -> list[Network]:
        return [member for member in self.members if isinstance(member, (CausalRNN, BidirectionalRNN))]

    @property
    def _bidirectional(self) -> list[BidirectionalRNN]:
        return [member for member in self.members if isinstance(member, BidirectionalRNN)]

    def _of_each(self, reduced: Tensor) -> tuple[Tensor, ...]:
        return reduced.chunk(len(self.members), dim=2)

    def _split(self, state: RNNState | None) -> Sequence[RNNState | None]:
        return [None] * len(self.members) if state is None else state.split(len(self.members))

    def _together(self, answers: Iterable[tuple[Tensor, RNNState]]) -> tuple[Tensor, RNNState]:
        logits, states = zip(*answers, strict=True)
        return torch.stack(logits).mean(dim=0) / self.temperature, RNNState.join(states)


Head: TypeAlias = CausalRNN | BidirectionalRNN | Ensemble
"""What labels features: takes them with a state, gives logits and the next state."""

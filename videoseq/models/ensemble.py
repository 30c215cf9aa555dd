"""Several networks, trained with different seeds, whose logits are averaged (Hansen & Salamon 1990)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from videoseq.models.bidirectional import BidirectionalRNN
from videoseq.models.head import Head, RNNHead
from videoseq.models.state import RNNState


class Ensemble(Head):
    """The mean of its members' logits. Its state is the members' states, joined along the batch.

    The temperature divides the mean; the members' own temperature is 1, and their decoding is not used.

    Attributes:
        members: One or more networks of one size and kind, trained on the same features.
    """

    def __init__(self, members: Sequence[RNNHead]) -> None:
        super().__init__(members[0].vector_size, members[0].num_classes)
        self.members = nn.ModuleList(members)
        self.looks_ahead = members[0].looks_ahead

    def initial_state(self, batch: int = 1) -> RNNState:
        """The state before the first step of a video."""
        return RNNState.join([member.initial_state(batch) for member in self._networks])

    def forward(
        self, features: Float[Tensor, "batch time features"], state: RNNState | None = None
    ) -> tuple[Float[Tensor, "batch time classes"], RNNState]:
        """See :meth:`~videoseq.models.head.Head.forward`."""
        parts = zip(self._networks, self._split(state), strict=True)
        return self._together(member(features, part) for member, part in parts)

    def reduce(self, features: Float[Tensor, "batch time features"]) -> Float[Tensor, "batch time components"]:
        """The components of all members, side by side."""
        return torch.cat([member.reduce(features) for member in self._networks], dim=2)

    def from_past(
        self, components: Float[Tensor, "batch time components"], state: RNNState | None = None
    ) -> tuple[Float[Tensor, "batch time classes"], RNNState]:
        """See :meth:`~videoseq.models.bidirectional.BidirectionalRNN.from_past`."""
        parts = zip(self._bidirectional, self._of_each(components), self._split(state), strict=True)
        return self._together(member.from_past(of_member, part) for member, of_member, part in parts)

    def from_future(
        self, components: Float[Tensor, "batch time components"], state: RNNState | None = None
    ) -> tuple[Float[Tensor, "batch time classes"], RNNState]:
        """See :meth:`~videoseq.models.bidirectional.BidirectionalRNN.from_future`."""
        parts = zip(self._bidirectional, self._of_each(components), self._split(state), strict=True)
        return self._together(member.from_future(of_member, part) for member, of_member, part in parts)

    @property
    def _networks(self) -> list[RNNHead]:
        return [member for member in self.members if isinstance(member, RNNHead)]

    @property
    def _bidirectional(self) -> list[BidirectionalRNN]:
        return [member for member in self.members if isinstance(member, BidirectionalRNN)]

    def _of_each(self, components: Tensor) -> tuple[Tensor, ...]:
        return components.chunk(len(self.members), dim=2)

    def _split(self, state: RNNState | None) -> Sequence[RNNState | None]:
        return [None] * len(self.members) if state is None else state.split(len(self.members))

    def _together(self, answers: Iterable[tuple[Tensor, RNNState]]) -> tuple[Tensor, RNNState]:
        logits, states = zip(*answers, strict=True)
        return torch.stack(logits).mean(dim=0) / self.temperature, RNNState.join(states)

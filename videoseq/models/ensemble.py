"""Several networks, trained with different seeds, whose logits are averaged (Hansen & Salamon 1990)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from videoseq.config.schema import Inputs
from videoseq.models.bidirectional import BidirectionalRNN, make_network
from videoseq.models.head import Head, RNNHead
from videoseq.models.reduction import Reduction
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

    @property
    def reduction(self) -> Reduction:
        """That of every member: they learned it from the same clips."""
        return self._networks[0].reduction

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


def network_with(head: Head, inputs: Inputs) -> Head:
    """The part of a head that has the streams of ``inputs``, with the same weights; the head must have them all."""
    if isinstance(head, Ensemble):
        part: Head = Ensemble([_part(member, inputs) for member in head.members if isinstance(member, RNNHead)])
    else:
        assert isinstance(head, RNNHead)
        part = _part(head, inputs)
    if head.thresholds is not None:
        part.add_thresholds()
    part.copy_calibration(head)
    return part.eval()


def _part(head: RNNHead, inputs: Inputs) -> RNNHead:
    with torch.random.fork_rng(devices=[]):  # new weights, which are replaced, draw nothing from the caller
        part = make_network(head.vector_size, head.num_classes, head.settings.model_copy(update={"inputs": inputs}))
    weights = head.state_dict()
    part.load_state_dict({name: weights[name] for name in part.state_dict()})
    return part

"""A second network over a video from its end (Schuster & Paliwal 1997): for files, as it sees what is yet to come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from videoseq.config.schema import HeadSettings
from videoseq.models.causal_rnn import CausalRNN
from videoseq.models.decoding import Decoding
from videoseq.models.pca import Reduction
from videoseq.models.state import RNNState


class BidirectionalRNN(nn.Module):
    """Two causal networks, over a video's steps and over the same from the last to the first; their logits are added.

    That is one linear classifier of both hidden states. The second network sees differences to the steps after; the
    stream without memory, if there is one, stands beside both.

    A whole video is labelled exactly by :meth:`from_past` in order, then :meth:`from_future` from its end, each with
    the state that the call before gave back. :meth:`forward` and :meth:`stream_logits` carry the first network's state
    too, but take the end of what they get for the video's: in training a chunk's second direction begins at its end.

    Attributes:
        looks_ahead: Whether a step's logits depend on later steps: always.
        temperature: As of a :class:`~videoseq.models.causal_rnn.CausalRNN`.
        decoding: As of one.
    """

    looks_ahead: Final = True
    temperature: Float[Tensor, ""]

    def __init__(self, feature_size: int, num_classes: int, settings: HeadSettings) -> None:
        super().__init__()
        self.settings = settings
        self.feature_size = feature_size
        self.num_classes = num_classes
        self.past = CausalRNN(feature_size, num_classes, settings)
        self.num_components = self.past.num_components
        inputs = "differences" if settings.inputs == "two_streams" else settings.inputs
        of_components = settings.model_copy(update={"components": 0, "inputs": inputs})
        self.future = CausalRNN(self.num_components, num_classes, of_components)
        self.register_buffer("temperature", torch.ones(()))
        self.decoding = Decoding()

    @property
    def reduction(self) -> Reduction | nn.Identity:
        """What both networks see of features."""
        return self.past.reduction

    def learn_reduction(self, parts: Iterable[Float[Tensor, "_rows features"]]) -> None:
        """Fits the reduction to rows of features, before anything else is fitted."""
        self.past.learn_reduction(parts)

    def initial_state(self, batch: int = 1) -> RNNState:
        """The first network's state before a video's first step."""
        return self.past.initial_state(batch)

    def forward(
        self, features: Float[Tensor, "batch time features"], state: RNNState | None = None
    ) -> tuple[Float[Tensor, "batch time classes"], RNNState]:
        """Logits of every step, as if the video ended with the last one, and the first network's state after it."""
        streams, after = self.stream_logits(self.reduction(features), state)
        return streams.mean(dim=0) / self.temperature, after

    def stream_logits(
        self,
        reduced: Float[Tensor, "batch time components"],
        state: RNNState | None = None,
        num_steps: Int64[Tensor, " batch"] | None = None,
    ) -> tuple[Float[Tensor, "streams batch time classes"], RNNState]:
        """The logits of each stream, from components, of which perhaps only so many are steps and the rest padding."""
        streams, after = self.past.stream_logits(reduced, state)
        ahead, _ = self.future.stream_logits(_turned(reduced, num_steps))
        return torch.cat((streams[:1] + _turned(ahead[0], num_steps), streams[1:])), after

    def reduce(self, features: Float[Tensor, "batch time features"]) -> Float[Tensor, "batch time components"]:
        """What :meth:`from_past` and :meth:`from_future` take."""
        reduced: Tensor = self.reduction(features)
        return reduced

    def from_past(
        self, reduced: Float[Tensor, "batch time components"], state: RNNState | None = None
    ) -> tuple[Float[Tensor, "batch time classes"], RNNState]:
        """What steps and those before them add to the logits, and the state after the last step."""
        streams, after = self.past.stream_logits(reduced, state)
        return streams.mean(dim=0) / self.temperature, after

    def from_future(
        self, reduced: Float[Tensor, "batch time components"], state: RNNState | None = None
    ) -> tuple[Float[Tensor, "batch time classes"], RNNState]:
        """What steps and those after them add to the logits, and the state before the first step.

        Args:
            reduced: Of consecutive steps, in order of time.
            state: What the call for the steps after them returned; None at a video's last steps.
        """
        streams, before = self.future.stream_logits(reduced.flip(1), state)
        num_streams = 1 if self.past.memoryless is None else 2
        return streams[0].flip(1) / num_streams / self.temperature, before


Network: TypeAlias = CausalRNN | BidirectionalRNN
"""One network, of which an ensemble has several."""


def make_network(feature_size: int, num_classes: int, settings: HeadSettings) -> Network:
    """A new network as the settings have it."""
    if settings.bidirectional:
        return BidirectionalRNN(feature_size, num_classes, settings)
    return CausalRNN(feature_size, num_classes, settings)


def _turned(
    steps: Float[Tensor, "batch time width"], num_steps: Int64[Tensor, " batch"] | None
) -> Float[Tensor, "batch time width"]:
    """The steps from the last to the first; padding stays behind them. Turned twice, they are as before."""
    if num_steps is None:
        return steps.flip(1)
    place = torch.arange(steps.shape[1], device=steps.device)
    row = num_steps[:, None] - 1 - place
    return steps.gather(1, torch.where(row >= 0, row, place)[:, :, None].expand_as(steps))

"""A second network from the end of a video to its start (Schuster & Paliwal 1997): for files only: it looks ahead."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from videoseq.config.schema import HeadSettings
from videoseq.features.motion import MOTION_SIZE
from videoseq.models.causal_rnn import CausalRNN
from videoseq.models.head import RNNHead
from videoseq.models.reduction import Reduction
from videoseq.models.state import RNNState


class BidirectionalRNN(RNNHead):
    """Two causal networks, one over the steps of a video in order and one in reverse; their logits are added.

    That is one linear classifier of both hidden states. The second network sees differences to the steps after; the
    static stream, if there is one, belongs to the first.

    A video is labeled exactly by :meth:`from_past` in order, then :meth:`from_future` from its end, each with the state
    that the call before returned. :meth:`forward` and :meth:`stream_logits` carry the state of the first network too,
    but take the end of their input for the end of the video: in training the second network starts at the end of a
    chunk.
    """

    looks_ahead = True

    def __init__(self, vector_size: int, num_classes: int, settings: HeadSettings) -> None:
        super().__init__(vector_size, num_classes, settings)
        self.past = CausalRNN(vector_size, num_classes, settings)
        of_components = settings.model_copy(update={"components": 0})
        width = self.reduction.num_appearance + MOTION_SIZE
        self.future = CausalRNN(width, num_classes, of_components, may_be_static=False)

    @property
    def reduction(self) -> Reduction:
        """What both networks see of feature vectors."""
        return self.past.reduction

    def initial_state(self, batch: int = 1) -> RNNState:
        """The state of the first network before the first step of a video."""
        return self.past.initial_state(batch)

    def stream_logits(
        self,
        components: Float[Tensor, "batch time components"],
        state: RNNState | None = None,
        num_steps: Int64[Tensor, " batch"] | None = None,
    ) -> tuple[Float[Tensor, "streams batch time classes"], RNNState]:
        """See :meth:`~videoseq.models.head.RNNHead.stream_logits`; those of recurrent streams are of both networks."""
        streams, after = self.past.stream_logits(components, state)
        ahead, _ = self.future.stream_logits(_reversed(components, num_steps))
        both = [one + _reversed(other, num_steps) for one, other in zip(streams, ahead, strict=False)]
        return torch.stack([*both, *streams[len(both) :]]), after

    def from_past(
        self, components: Float[Tensor, "batch time components"], state: RNNState | None = None
    ) -> tuple[Float[Tensor, "batch time classes"], RNNState]:
        """What steps and those before them add to the logits, and the state after the last step."""
        streams, after = self.past.stream_logits(components, state)
        return streams.mean(dim=0) / self.temperature, after

    def from_future(
        self, components: Float[Tensor, "batch time components"], state: RNNState | None = None
    ) -> tuple[Float[Tensor, "batch time classes"], RNNState]:
        """What steps and those after them add to the logits, and the state before the first step.

        Args:
            components: Of consecutive steps, in order of time.
            state: What the call for the steps after them returned; None at the last steps of a video.
        """
        streams, before = self.future.stream_logits(components.flip(1), state)
        return streams.sum(dim=0).flip(1) / len(self.past.streams) / self.temperature, before


def make_network(vector_size: int, num_classes: int, settings: HeadSettings) -> RNNHead:
    """A new network with random weights, of the kind that the settings name."""
    kind = BidirectionalRNN if settings.bidirectional else CausalRNN
    return kind(vector_size, num_classes, settings)


def _reversed(
    steps: Float[Tensor, "batch time width"], num_steps: Int64[Tensor, " batch"] | None
) -> Float[Tensor, "batch time width"]:
    """The steps from the last to the first, with the padding still behind them. Reversed twice, they are as before."""
    if num_steps is None:
        return steps.flip(1)
    place = torch.arange(steps.shape[1], device=steps.device)
    row = num_steps[:, None] - 1 - place
    return steps.gather(1, torch.where(row >= 0, row, place)[:, :, None].expand_as(steps))

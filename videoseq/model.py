"""Features → logits: a causal recurrent network that takes its state and gives it back; it knows no Lightning.

With one layer of ``rnn`` it is the synchronous many-to-many network
a[t] = tanh(Waa a[t−1] + Wax x[t] + ba), y[t] = Wya a[t] + by on projected inputs x; ``gru`` (Cho et al. 2014,
arXiv:1406.1078, as PyTorch writes it) and ``lstm`` (Hochreiter & Schmidhuber 1997) put another cell in its place.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from videoseq.config import HeadSettings

_CELLS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


@dataclass(frozen=True, eq=False)
class RNNState:
    """All that the network remembers of the steps before, for each video of a batch.

    Attributes:
        has_started: Whether a video's first step has been taken; if not, the rest is to be ignored.
        features: The last step's features, for differences.
        hidden: Hidden state of every layer; no layers for the cell ``none``.
        memory: The LSTM's cell state; no layers for other cells.
    """

    has_started: Bool[Tensor, " batch"]
    features: Float[Tensor, "batch features"]
    hidden: Float[Tensor, "layers batch hidden"]
    memory: Float[Tensor, "memory_layers batch hidden"]

    def detach(self) -> RNNState:
        """The same values, cut off from the graph that made them."""
        return RNNState(*(getattr(self, field.name).detach() for field in fields(self)))

    def reset(self, is_start: Bool[Tensor, " batch"]) -> RNNState:
        """As before any step for the videos in ``is_start``, unchanged for the others."""
        return RNNState(
            self.has_started & ~is_start,
            self.features.masked_fill(is_start[:, None], 0.0),
            self.hidden.masked_fill(is_start[None, :, None], 0.0),
            self.memory.masked_fill(is_start[None, :, None], 0.0),
        )

    def tensors(self) -> dict[str, Tensor]:
        """By name, to be saved."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class CausalRNN(nn.Module):
    """Input projection, recurrent layers, linear classifier.

    ``forward(features, state)`` takes any number of consecutive steps; feeding a video whole, in chunks, or step by
    step gives the same logits, as long as each call gets the state that the last one returned.
    """

    def __init__(self, feature_size: int, num_classes: int, settings: HeadSettings) -> None:
        super().__init__()
        self.settings = settings
        self.feature_size = feature_size
        self.num_classes = num_classes
        width = feature_size * (2 if settings.feature_differences else 1)
        self.projection = nn.Sequential(
            nn.Linear(width, settings.projection_size),
            nn.LayerNorm(settings.projection_size),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
        )
        self.recurrence: nn.RNNBase | None = None
        if settings.cell != "none":
            between_layers = settings.dropout if settings.num_layers > 1 else 0.0
            self.recurrence = _CELLS[settings.cell](
                settings.projection_size,
                settings.hidden_size,
                settings.num_layers,
                batch_first=True,
                dropout=between_layers,
            )
        self.classifier = nn.Linear(
            settings.projection_size if self.recurrence is None else settings.hidden_size, num_classes
        )

    def initial_state(self, batch: int = 1) -> RNNState:
        """The state before a video's first step."""
        weight = self.classifier.weight
        layers = 0 if self.recurrence is None else self.settings.num_layers
        memory_layers = layers if self.settings.cell == "lstm" else 0
        return RNNState(
            has_started=torch.zeros(batch, dtype=torch.bool, device=weight.device),
            features=weight.new_zeros(batch, self.feature_size),
            hidden=weight.new_zeros(layers, batch, self.settings.hidden_size),
            memory=weight.new_zeros(memory_layers, batch, self.settings.hidden_size),
        )

    def forward(
        self, features: Float[Tensor, "batch time features"], state: RNNState | None = None
    ) -> tuple[Float[Tensor, "batch time classes"], RNNState]:
        """Logits of every step, and the state after the last one.

        Args:
            features: One vector per step, in order.
            state: What the call before returned; None at a video's first step.
        """
        state = self.initial_state(len(features)) if state is None else state
        if features.shape[1] == 0:
            return features.new_zeros(len(features), 0, self.num_classes), state
        inputs = features
        if self.settings.feature_differences:
            inputs = torch.cat((features, features - self._previous(features, state)), dim=2)
        outputs, hidden, memory = self._recur(self.projection(inputs), state)
        after = RNNState(torch.ones_like(state.has_started), features[:, -1], hidden, memory)
        return self.classifier(outputs), after

    def _previous(
        self, features: Float[Tensor, "batch time features"], state: RNNState
    ) -> Float[Tensor, "batch time features"]:
        """x[t−1] for every t; a video's first step is its own predecessor, so that its difference is zero."""
        before_first = torch.where(state.has_started[:, None], state.features, features[:, 0])
        return torch.cat((before_first[:, None], features[:, :-1]), dim=1)

    def _recur(
        self, inputs: Float[Tensor, "batch time projection"], state: RNNState
    ) -> tuple[Float[Tensor, "batch time units"], Tensor, Tensor]:
        if self.recurrence is None:
            return inputs, state.hidden, state.memory
        if self.settings.cell == "lstm":
            outputs, (hidden, memory) = self.recurrence(inputs, (state.hidden, state.memory))
            return outputs, hidden, memory
        outputs, hidden = self.recurrence(inputs, state.hidden)
        return outputs, hidden, state.memory

"""Features → logits: a causal recurrent network that takes its state and gives it back; it knows no Lightning.

The synchronous many-to-many network a[t] = f(a[t−1], x[t]), y[t] = Wya a[t] + by, with a cell of
:mod:`videoseq.models.cells` for f: a recurrent one, or one whose a[t] is a window of past steps. What x is matters more
than which cell: features hold a room and a person more than what is being done, and from a few clips a network learns
those by heart. So by default the recurrent stream sees only how features change, a second stream sees the features as
well and remembers nothing, and their logits are averaged, as Simonyan & Zisserman 2014 (arXiv:1406.2199) do with motion
and appearance.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from videoseq.config.schema import HeadSettings
from videoseq.models.branches import Stream
from videoseq.models.decoding import Decoding
from videoseq.models.pca import Reduction
from videoseq.models.state import RNNState


class CausalRNN(nn.Module):
    """Reduction, differences, a recurrent stream, and beside it one that sees all of a step and remembers none.

    ``forward(features, state)`` takes any number of consecutive steps; feeding a video whole, in chunks, or step by
    step gives the same logits, as long as each call gets the state that the last one returned.

    Attributes:
        looks_ahead: Whether a step's logits depend on later steps: never.
        temperature: What logits are divided by, so that their softmax means what it says (Guo et al. 2017); 1 until
            it is fitted on clips that were not learnt from.
        decoding: How its probabilities become labels; by default the most probable class.
    """

    looks_ahead: Final = False
    temperature: Float[Tensor, ""]

    def __init__(self, feature_size: int, num_classes: int, settings: HeadSettings) -> None:
        super().__init__()
        self.settings = settings
        self.feature_size = feature_size
        self.num_classes = num_classes
        self.num_components = min(settings.components, feature_size) or feature_size
        self.reduction = Reduction(feature_size, self.num_components) if settings.components else nn.Identity()
        self.register_buffer("temperature", torch.ones(()))
        self.decoding = Decoding()
        self._lags = () if settings.inputs == "features" else settings.difference_lags
        num_inputs = (1 + len(self._lags)) * self.num_components
        self._first_seen = self.num_components if settings.inputs in ("differences", "two_streams") else 0
        self.recurrent = Stream(num_inputs - self._first_seen, num_classes, settings, is_recurrent=True)
        self.memoryless: Stream | None = None
        if settings.inputs == "two_streams":
            self.memoryless = Stream(num_inputs, num_classes, settings, is_recurrent=False)

    def learn_reduction(self, parts: Iterable[Float[Tensor, "_rows features"]]) -> None:
        """Fits the reduction to rows of features, before anything else is fitted."""
        if isinstance(self.reduction, Reduction):
            self.reduction.learn(parts)

    def initial_state(self, batch: int = 1) -> RNNState:
        """The state before a video's first step."""
        weight = self.recurrent.classifier.weight
        return RNNState(
            has_started=torch.zeros(batch, dtype=torch.bool, device=weight.device),
            history=weight.new_zeros(batch, max(self._lags, default=0), self.num_components),
            **self.recurrent.initial(batch),
        )

    def forward(
        self, features: Float[Tensor, "batch time features"], state: RNNState | None = None
    ) -> tuple[Float[Tensor, "batch time classes"], RNNState]:
        """Logits of every step, and the state after the last one.

        Args:
            features: One vector per step, in order.
            state: What the call before returned; None at a video's first step.
        """
        streams, after = self.stream_logits(self.reduction(features), state)
        return streams.mean(dim=0) / self.temperature, after

    def stream_logits(
        self, reduced: Float[Tensor, "batch time components"], state: RNNState | None = None
    ) -> tuple[Float[Tensor, "streams batch time classes"], RNNState]:
        """The logits of each stream, which are trained each for itself, from components; else as :meth:`forward`."""
        state = self.initial_state(len(reduced)) if state is None else state
        if reduced.shape[1] == 0:
            return reduced.new_zeros(1, len(reduced), 0, self.num_classes), state
        inputs, history = self._with_differences(reduced, state)
        logits, after = self.recurrent(inputs[..., self._first_seen :], state.tensors())
        streams = [logits]
        if self.memoryless is not None:
            streams.append(self.memoryless(inputs, {})[0])
        has_started = torch.ones_like(state["has_started"])
        return torch.stack(streams), RNNState(has_started=has_started, history=history, **after)

    def _with_differences(
        self, reduced: Float[Tensor, "batch time components"], state: RNNState
    ) -> tuple[Float[Tensor, "batch time inputs"], Float[Tensor, "batch lag components"]]:
        """x[t], then x[t] − x[t−k] for every lag k; before a video's first step stands that step."""
        if not self._lags:
            return reduced, state["history"]
        before = torch.where(state["has_started"][:, None, None], state["history"], reduced[:, :1])
        known = torch.cat((before, reduced), dim=1)
        longest, time = before.shape[1], reduced.shape[1]
        differences = [reduced - known[:, longest - lag : longest - lag + time] for lag in self._lags]
        return torch.cat((reduced, *differences), dim=2), known[:, -longest:]

"""Features → logits: a causal recurrent network that takes its state and returns it; it does not know Lightning.

The synchronous many-to-many network a[t] = f(a[t−1], x[t]), y[t] = Wya a[t] + by, with a cell of
:mod:`videoseq.models.cells` for f: a recurrent one, or one whose a[t] depends on a window of past steps.

The choice of x matters more than the choice of the cell: features describe the room and the person more than the
behavior, and from a few clips a network memorizes those. So by default the recurrent stream sees only how things move,
a static stream sees the features as well but has no memory, and their logits are averaged, as Simonyan & Zisserman
2014 (arXiv:1406.2199) do with motion and appearance.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from videoseq.config.schema import HeadSettings, Inputs
from videoseq.features.motion import MOTION_SIZE
from videoseq.models.cells import GRU, LSTM, RNN, TCN, Attention, Cell
from videoseq.models.head import RNNHead
from videoseq.models.reduction import Reduction
from videoseq.models.state import RNNState

_RECURRENT: dict[str, type[RNN | GRU | LSTM]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


_STATIC = "static"
_STREAMS: dict[Inputs, tuple[str, ...]] = {
    "auto": ("motion", _STATIC),
    "motion": ("motion", _STATIC),
    "two_streams": ("differences", _STATIC),
    "three_streams": ("motion", "differences", _STATIC),
    "features": ("features",),
    "differences": ("differences",),
    "joint": ("joint",),
}
"""By what the settings call the inputs: what each stream sees; all are recurrent but the static one, the last."""


class CausalRNN(RNNHead):
    """Principal components, differences over time, recurrent streams, and a static one that sees each step by itself.

    ``forward(features, state)`` takes any number of consecutive steps. A video as one call, in chunks, or step by step
    gives the same logits, as long as each call gets the state that the last one returned.

    Args:
        vector_size: The length of a feature vector.
        num_classes: How many logits a step has.
        settings: Of the network.
        may_be_static: Whether it has the static stream, where the settings ask for one.
    """

    looks_ahead = False

    def __init__(
        self, vector_size: int, num_classes: int, settings: HeadSettings, *, may_be_static: bool = True
    ) -> None:
        names = _STREAMS[settings.inputs]
        super().__init__(vector_size, num_classes, settings)
        self.input_reduction = Reduction(vector_size, settings.components, sees_motion="motion" in names)
        self._lags = () if settings.inputs == "features" else settings.difference_lags
        first_difference = self.reduction.num_appearance
        first_motion = first_difference * (1 + len(self._lags))
        self._inputs = {
            "features": slice(0, first_difference),
            "differences": slice(first_difference, first_motion),
            "joint": slice(0, first_motion),
            _STATIC: slice(0, first_motion),
            "motion": slice(first_motion, first_motion + MOTION_SIZE),
        }
        self.streams = nn.ModuleDict()
        for name in names:
            if name == _STATIC and not may_be_static:
                continue
            width = self._inputs[name].stop - self._inputs[name].start
            self.streams[name] = Stream(width, num_classes, settings, is_recurrent=name != _STATIC)

    @property
    def reduction(self) -> Reduction:
        """What the network applies to feature vectors first."""
        return self.input_reduction

    @property
    def _named_streams(self) -> list[tuple[str, Stream]]:
        return [(name, stream) for name, stream in self.streams.items() if isinstance(stream, Stream)]

    def initial_state(self, batch: int = 1) -> RNNState:
        """The state before the first step of a video."""
        streams = self._named_streams
        weight = streams[0][1].classifier.weight
        cells = {f"{name}.{key}": tensor for name, stream in streams for key, tensor in stream.initial(batch).items()}
        return RNNState(
            has_started=torch.zeros(batch, dtype=torch.bool, device=weight.device),
            history=weight.new_zeros(batch, max(self._lags, default=0), self.reduction.num_appearance),
            **cells,
        )

    def stream_logits(
        self,
        components: Float[Tensor, "batch time components"],
        state: RNNState | None = None,
        num_steps: Int64[Tensor, " batch"] | None = None,  # noqa: ARG002 (padding comes later, where it does not look)
    ) -> tuple[Float[Tensor, "streams batch time classes"], RNNState]:
        """See :meth:`~videoseq.models.head.RNNHead.stream_logits`; the static stream comes last."""
        state = self.initial_state(len(components)) if state is None else state
        if components.shape[1] == 0:
            return components.new_zeros(1, len(components), 0, self.num_classes), state
        inputs, history = self._with_differences(components, state)
        before = state.tensors()
        after: dict[str, Tensor] = {}
        logits = []
        for name, stream in self._named_streams:
            own = {key.removeprefix(f"{name}."): value for key, value in before.items() if key.startswith(f"{name}.")}
            of_stream, left = stream(inputs[..., self._inputs[name]], own)
            after.update({f"{name}.{key}": value for key, value in left.items()})
            logits.append(of_stream)
        has_started = torch.ones_like(state["has_started"])
        return torch.stack(logits), RNNState(has_started=has_started, history=history, **after)

    def _with_differences(
        self, components: Float[Tensor, "batch time components"], state: RNNState
    ) -> tuple[Float[Tensor, "batch time inputs"], Float[Tensor, "batch lag appearance"]]:
        """x[t], x[t] − x[t−k] for every lag k, then motion; the first step of a video is repeated before it."""
        if not self._lags:
            return components, state["history"]
        appearance, motion = components.tensor_split((self.reduction.num_appearance,), dim=2)
        before = torch.where(state["has_started"][:, None, None], state["history"], appearance[:, :1])
        known = torch.cat((before, appearance), dim=1)
        longest, time = before.shape[1], appearance.shape[1]
        differences = [appearance - known[:, longest - lag : longest - lag + time] for lag in self._lags]
        return torch.cat((appearance, *differences, motion), dim=2), known[:, -longest:]


class Stream(nn.Module):
    """Inputs → logits: projection, a cell unless the stream is static, linear classifier."""

    def __init__(self, input_size: int, num_classes: int, settings: HeadSettings, *, is_recurrent: bool) -> None:
        super().__init__()
        self.projection = nn.Sequential(
            nn.Linear(input_size, settings.projection_size),
            nn.LayerNorm(settings.projection_size),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
        )
        self.recurrence: Cell | None = make_cell(settings.projection_size, settings) if is_recurrent else None
        width = settings.projection_size if self.recurrence is None else settings.hidden_size
        self.classifier = nn.Linear(width, num_classes)

    def initial(self, batch: int) -> dict[str, Tensor]:
        """The state of the cell before the first step."""
        return {} if self.recurrence is None else self.recurrence.initial(batch)

    def forward(
        self, inputs: Float[Tensor, "batch time inputs"], before: Mapping[str, Tensor]
    ) -> tuple[Float[Tensor, "batch time classes"], dict[str, Tensor]]:
        """Logits of every step, and the state of the cell after the last step."""
        units = self.projection(inputs)
        if self.recurrence is None:
            return self.classifier(units), {}
        units, after = self.recurrence.advance(units, before)
        return self.classifier(units), after


def make_cell(input_size: int, settings: HeadSettings) -> Cell | None:
    """The cell that the settings name, ``hidden_size`` wide; None for ``none``."""
    width, num_layers, dropout = settings.hidden_size, settings.num_layers, settings.dropout
    if settings.cell == "none":
        return None
    if settings.cell == "tcn":
        return TCN(input_size, width, num_layers, dropout)
    if settings.cell == "attention":
        return Attention(input_size, width, num_layers, settings.num_heads, settings.window, dropout)
    between_layers = dropout if num_layers > 1 else 0.0
    return _RECURRENT[settings.cell](input_size, width, num_layers, batch_first=True, dropout=between_layers)

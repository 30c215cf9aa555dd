"""Features → logits: a causal recurrent network that takes its state and gives it back; it knows no Lightning.

The synchronous many-to-many network a[t] = f(a[t−1], x[t]), y[t] = Wya a[t] + by, with one of three cells for f:
``rnn`` is tanh(Waa a[t−1] + Wax x[t] + ba), ``gru`` Cho et al. 2014 (arXiv:1406.1078, as PyTorch writes it), ``lstm``
Hochreiter & Schmidhuber 1997. What x is matters more than which cell: features hold a room and a person more than what
is being done, and from a few clips a network learns those by heart. So by default the recurrent stream sees only how
features change, a second stream without memory sees the features, and their logits are averaged, as Simonyan &
Zisserman 2014 (arXiv:1406.2199) do with appearance and motion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from videoseq.config import HeadSettings
from videoseq.label_decoding import Decoding

_BATCH_DIMENSION = {"has_started": 0, "history": 0, "hidden": 1, "memory": 1}
_CELLS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


@dataclass(frozen=True, eq=False)
class RNNState:
    """All that the network remembers of the steps before, for each video of a batch.

    Attributes:
        has_started: Whether a video's first step has been taken; if not, the rest is to be ignored.
        history: The last steps' reduced features, as many as the longest lag, for differences.
        hidden: Hidden state of every layer; no layers for the cell ``none``.
        memory: The LSTM's cell state; no layers for other cells.
    """

    has_started: Bool[Tensor, " batch"]
    history: Float[Tensor, "batch lag components"]
    hidden: Float[Tensor, "layers batch hidden"]
    memory: Float[Tensor, "memory_layers batch hidden"]

    def detach(self) -> RNNState:
        """The same values, cut off from the graph that made them."""
        return RNNState(*(getattr(self, field.name).detach() for field in fields(self)))

    def reset(self, is_start: Bool[Tensor, " batch"]) -> RNNState:
        """As before any step for the videos in ``is_start``, unchanged for the others."""
        return RNNState(
            self.has_started & ~is_start,
            self.history.masked_fill(is_start[:, None, None], 0.0),
            self.hidden.masked_fill(is_start[None, :, None], 0.0),
            self.memory.masked_fill(is_start[None, :, None], 0.0),
        )

    def tensors(self) -> dict[str, Tensor]:
        """By name, to be saved."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def split(self, num_parts: int) -> list[RNNState]:
        """The states of the first videos of the batch, of the next, and so on: as many of each."""
        parts = zip(*(getattr(self, name).chunk(num_parts, dim) for name, dim in _BATCH_DIMENSION.items()), strict=True)
        return [RNNState(*part) for part in parts]

    @staticmethod
    def join(parts: Sequence[RNNState]) -> RNNState:
        """One batch of all videos, in order."""
        return RNNState(*(torch.cat([getattr(p, name) for p in parts], dim) for name, dim in _BATCH_DIMENSION.items()))


class Reduction(nn.Module):
    """Features → their first principal components, all on one scale; learnt once, then fixed (Pearson 1901)."""

    mean: Float[Tensor, " features"]
    basis: Float[Tensor, "features components"]

    def __init__(self, feature_size: int, num_components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_size))
        # Uniform: on the meta device, where models are loaded, normal draws import a second's worth of torch._dynamo.
        bound = (3 / feature_size) ** 0.5
        self.register_buffer("basis", torch.empty(feature_size, num_components).uniform_(-bound, bound))

    def forward(self, features: Float[Tensor, "batch time features"]) -> Float[Tensor, "batch time components"]:
        """Centred, turned, and scaled so that the components' mean variance is 1."""
        return (features - self.mean) @ self.basis

    def learn(self, parts: Iterable[Float[Tensor, "_rows features"]]) -> None:
        """Takes mean and components from rows of features, which come in parts; directions they lack stay zero."""
        origin, num_rows = None, 0
        total, products = self.mean.double() * 0.0, self.basis.new_zeros(2 * (len(self.mean),), dtype=torch.float64)
        for part in parts:
            origin = part[0].double() if origin is None else origin  # near the mean: sums of squares lose no digits
            rows = part.double() - origin
            total += rows.sum(dim=0)
            products += rows.T @ rows
            num_rows += len(rows)
        if origin is None:
            raise ValueError("expected rows of features, got none")
        mean = total / num_rows
        variances, directions = torch.linalg.eigh(products / num_rows - torch.outer(mean, mean))
        num_components = self.basis.shape[1]
        variances, directions = variances.flip(0)[:num_components], directions.flip(1)[:, :num_components]
        is_spanned = variances > 1e-9 * variances[0]
        scale = variances.mean().clamp_min(torch.finfo(torch.float32).tiny).sqrt()
        self.mean.copy_(origin + mean)
        self.basis.copy_(directions * is_spanned / scale)


class Stream(nn.Module):
    """Inputs → logits: projection, recurrent layers if any, linear classifier."""

    def __init__(self, input_size: int, num_classes: int, settings: HeadSettings, *, is_recurrent: bool) -> None:
        super().__init__()
        self.projection = nn.Sequential(
            nn.Linear(input_size, settings.projection_size),
            nn.LayerNorm(settings.projection_size),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
        )
        self.recurrence: nn.RNNBase | None = None
        if is_recurrent and settings.cell != "none":
            self.recurrence = _CELLS[settings.cell](
                settings.projection_size,
                settings.hidden_size,
                settings.num_layers,
                batch_first=True,
                dropout=settings.dropout if settings.num_layers > 1 else 0.0,
            )
        self.classifier = nn.Linear(
            settings.projection_size if self.recurrence is None else settings.hidden_size, num_classes
        )

    def forward(
        self, inputs: Float[Tensor, "batch time inputs"], hidden: Tensor, memory: Tensor
    ) -> tuple[Float[Tensor, "batch time classes"], Tensor, Tensor]:
        """Logits of every step, and the recurrent layers' state after the last one."""
        units = self.projection(inputs)
        if isinstance(self.recurrence, nn.LSTM):
            units, (hidden, memory) = self.recurrence(units, (hidden, memory))
        elif self.recurrence is not None:
            units, hidden = self.recurrence(units, hidden)
        return self.classifier(units), hidden, memory


class CausalRNN(nn.Module):
    """Reduction, differences, a recurrent stream, and beside it one that sees the features without memory.

    ``forward(features, state)`` takes any number of consecutive steps; feeding a video whole, in chunks, or step by
    step gives the same logits, as long as each call gets the state that the last one returned.

    Attributes:
        temperature: What logits are divided by, so that their softmax means what it says (Guo et al. 2017); 1 until
            it is fitted on clips that were not learnt from.
        decoding: How its probabilities become labels; by default the most probable class.
    """

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
        sees_features = settings.inputs in ("features", "joint")
        width = (len(self._lags) + sees_features) * self.num_components
        self.recurrent = Stream(width, num_classes, settings, is_recurrent=True)
        self.appearance: Stream | None = None
        if settings.inputs == "two_streams":
            self.appearance = Stream(self.num_components, num_classes, settings, is_recurrent=False)

    def learn_reduction(self, parts: Iterable[Float[Tensor, "_rows features"]]) -> None:
        """Fits the reduction to rows of features, before anything else is fitted."""
        if isinstance(self.reduction, Reduction):
            self.reduction.learn(parts)

    def initial_state(self, batch: int = 1) -> RNNState:
        """The state before a video's first step."""
        weight = self.recurrent.classifier.weight
        layers = 0 if self.recurrent.recurrence is None else self.settings.num_layers
        memory_layers = layers if self.settings.cell == "lstm" else 0
        return RNNState(
            has_started=torch.zeros(batch, dtype=torch.bool, device=weight.device),
            history=weight.new_zeros(batch, max(self._lags, default=0), self.num_components),
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
        logits, hidden, memory = self.recurrent(inputs, state.hidden, state.memory)
        streams = [logits]
        if self.appearance is not None:
            streams.append(self.appearance(reduced, state.hidden, state.memory)[0])
        return torch.stack(streams), RNNState(torch.ones_like(state.has_started), history, hidden, memory)

    def _with_differences(
        self, reduced: Float[Tensor, "batch time components"], state: RNNState
    ) -> tuple[Float[Tensor, "batch time inputs"], Float[Tensor, "batch lag components"]]:
        """x[t] − x[t−k] for every lag k, after x[t] if asked for; before a video's first step stands that step."""
        if not self._lags:
            return reduced, state.history
        before = torch.where(state.has_started[:, None, None], state.history, reduced[:, :1])
        known = torch.cat((before, reduced), dim=1)
        longest, time = before.shape[1], reduced.shape[1]
        parts = [reduced - known[:, longest - lag : longest - lag + time] for lag in self._lags]
        if self.settings.inputs == "joint":
            parts.insert(0, reduced)
        return torch.cat(parts, dim=2), known[:, -longest:]

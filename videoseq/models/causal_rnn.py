"""Features → logits: a causal recurrent network that takes its state and returns it; it does not know Lightning.

The synchronous many-to-many network a[t] = f(a[t−1], x[t]), y[t] = Wya a[t] + by, with a cell of
:mod:`videoseq.models.cells` for f: a recurrent one, or one whose a[t] depends on a window of past steps.

The choice of x matters more than the choice of the cell: features describe the room and the person more than the
behavior, and from a few clips a network memorizes those. So by default the recurrent branch sees only how features
change, a static branch sees the features as well but has no memory, and their logits are averaged, as
Simonyan & Zisserman 2014 (arXiv:1406.2199) do with motion and appearance.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from videoseq.config.schema import HeadSettings
from videoseq.models.cells import GRU, LSTM, RNN, TCN, Attention, Cell
from videoseq.models.head import RNNHead
from videoseq.models.pca import PCA
from videoseq.models.state import RNNState

_RECURRENT: dict[str, type[RNN | GRU | LSTM]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


class CausalRNN(RNNHead):
    """PCA, differences over time, a recurrent branch, and a static branch that sees each step by itself.

    ``forward(features, state)`` takes any number of consecutive steps. A video as one call, in chunks, or step by step
    gives the same logits, as long as each call gets the state that the last one returned.

    The modules ``reduction`` and ``memoryless`` have the names that their weights have in model files.
    """

    looks_ahead = False

    def __init__(self, feature_size: int, num_classes: int, settings: HeadSettings) -> None:
        super().__init__(feature_size, num_classes, settings)
        self.num_components = min(settings.components, feature_size) or feature_size
        self.reduction = PCA(feature_size, self.num_components) if settings.components else nn.Identity()
        self._lags = () if settings.inputs == "features" else settings.difference_lags
        num_inputs = (1 + len(self._lags)) * self.num_components
        self._first_seen = self.num_components if settings.inputs in ("differences", "two_streams") else 0
        self.recurrent = Branch(num_inputs - self._first_seen, num_classes, settings, is_recurrent=True)
        self.memoryless: Branch | None = None
        if settings.inputs == "two_streams":
            self.memoryless = Branch(num_inputs, num_classes, settings, is_recurrent=False)

    @property
    def pca(self) -> PCA | nn.Identity:
        """What the network applies to features first."""
        return self.reduction

    def initial_state(self, batch: int = 1) -> RNNState:
        """The state before the first step of a video."""
        weight = self.recurrent.classifier.weight
        return RNNState(
            has_started=torch.zeros(batch, dtype=torch.bool, device=weight.device),
            history=weight.new_zeros(batch, max(self._lags, default=0), self.num_components),
            **self.recurrent.initial(batch),
        )

    def branch_logits(
        self,
        components: Float[Tensor, "batch time components"],
        state: RNNState | None = None,
        num_steps: Int64[Tensor, " batch"] | None = None,  # noqa: ARG002 (padding comes later, where it does not look)
    ) -> tuple[Float[Tensor, "branches batch time classes"], RNNState]:
        """See :meth:`~videoseq.models.head.RNNHead.branch_logits`; the recurrent branch comes first."""
        state = self.initial_state(len(components)) if state is None else state
        if components.shape[1] == 0:
            return components.new_zeros(1, len(components), 0, self.num_classes), state
        inputs, history = self._with_differences(components, state)
        logits, after = self.recurrent(inputs[..., self._first_seen :], state.tensors())
        branches = [logits]
        if self.memoryless is not None:
            branches.append(self.memoryless(inputs, {})[0])
        has_started = torch.ones_like(state["has_started"])
        return torch.stack(branches), RNNState(has_started=has_started, history=history, **after)

    def _with_differences(
        self, components: Float[Tensor, "batch time components"], state: RNNState
    ) -> tuple[Float[Tensor, "batch time inputs"], Float[Tensor, "batch lag components"]]:
        """x[t], then x[t] − x[t−k] for every lag k; the first step of a video is repeated before it."""
        if not self._lags:
            return components, state["history"]
        before = torch.where(state["has_started"][:, None, None], state["history"], components[:, :1])
        known = torch.cat((before, components), dim=1)
        longest, time = before.shape[1], components.shape[1]
        differences = [components - known[:, longest - lag : longest - lag + time] for lag in self._lags]
        return torch.cat((components, *differences), dim=2), known[:, -longest:]


class Branch(nn.Module):
    """Inputs → logits: projection, a cell unless the branch is static, linear classifier."""

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

"""Inputs of a network → logits, with or without memory."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from videoseq.config.schema import HeadSettings
from videoseq.models.cells import Cell, make_cell


class Stream(nn.Module):
    """Inputs → logits: projection, a cell if there is one, linear classifier."""

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
        """What the cell remembers before the first step."""
        return {} if self.recurrence is None else self.recurrence.initial(batch)

    def forward(
        self, inputs: Float[Tensor, "batch time inputs"], before: Mapping[str, Tensor]
    ) -> tuple[Float[Tensor, "batch time classes"], dict[str, Tensor]]:
        """Logits of every step, and what the cell remembers after the last one."""
        units = self.projection(inputs)
        if self.recurrence is None:
            return self.classifier(units), {}
        units, after = self.recurrence.advance(units, before)
        return self.classifier(units), after

"""One fit of a network: what it needs, what it reports while it runs, its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from videoseq.config.schema import TrainerSettings, TrainingSettings
from videoseq.errors import Notice, OutputError
from videoseq.training.checkpoints import Checkpoint
from videoseq.training.lightning_module import ClipData, SequenceModule


@dataclass(frozen=True)
class EpochRecord:
    """The losses of one epoch.

    Attributes:
        epoch: From 0.
        train_loss: The mean over chunks.
        val_loss: The mean over labeled frames; None without a validation split.
        learning_rate: During the epoch.
        member: Which network of an ensemble, from 0.
        max_epochs: Of how many at most.
    """

    epoch: int
    train_loss: float
    val_loss: float | None
    learning_rate: float
    member: int = 0
    max_epochs: int = 1

    @property
    def text(self) -> str:
        """The losses, for people."""
        val_loss = "" if self.val_loss is None else f", validation {self.val_loss:.3f}"
        return f"loss {self.train_loss:.3f}{val_loss}"


Tell = Callable[[EpochRecord | Notice], None]
"""Called with every epoch, and with what a user should know."""


@dataclass(frozen=True, eq=False)
class FitJob:
    """A network that is to be fitted.

    Attributes:
        module: With its initial weights.
        data: The clips.
        settings: How to fit it.
        trainer: In how many processes, and in what precision.
        device: Where.
        member: Which network of an ensemble.
        checkpoint: What it continues from and is kept in, if anything.
    """

    module: SequenceModule
    data: ClipData
    settings: TrainingSettings
    trainer: TrainerSettings
    device: torch.device
    member: int = 0
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True, eq=False)
class Fitted:
    """The result of a fit.

    Attributes:
        weights: Of the module at the end of the epoch that is taken.
        best_epoch: Which that is.
        history: Every epoch's record.
        batch_size: Clips side by side, at most.
    """

    weights: dict[str, Tensor]
    best_epoch: int
    history: tuple[EpochRecord, ...]
    batch_size: int

    def as_state(self) -> dict[str, Any]:
        """Tensors and plain values for a checkpoint."""
        return {**vars(self), "history": [asdict(record) for record in self.history]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Fitted:
        """From what :meth:`as_state` gave."""
        return cls(**{**state, "history": tuple(EpochRecord(**record) for record in state["history"])})


def write_or_tell(checkpoint: Checkpoint, state: dict[str, Any], tell: Tell, *, is_done: bool) -> None:
    """Keeps a state; if it cannot be written, training continues, with a notice."""
    try:
        checkpoint.write(state, is_done=is_done)
    except OutputError as error:
        text = f"{error}; training continues, and starts from the beginning if it is interrupted"
        tell(Notice("checkpoint_not_kept", text))

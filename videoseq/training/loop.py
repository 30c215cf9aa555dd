"""The epochs of one network, by Lightning: each is recorded, now and then one is kept, the right weights are taken."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from torch import Tensor

from videoseq.config.schema import TrainerSettings, TrainingSettings
from videoseq.errors import ConfigError, Notice, OutputError
from videoseq.system.torch_devices import random_state, set_random_state
from videoseq.training.checkpoints import Checkpoint
from videoseq.training.lightning_module import MONITORED, ClipData, SequenceModule
from videoseq.training.trainer import cores_for, make_trainer, quiet_lightning


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch came to.

    Attributes:
        epoch: From 0.
        train_loss: The mean over chunks.
        val_loss: The mean over labelled frames; None without a validation split.
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
"""Is told of every epoch, and of what a user should know."""


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
        checkpoint: What it goes on from and is kept in, if anything.
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
    """What a fit came to.

    Attributes:
        weights: Of the module at the end of the epoch that is taken.
        best_epoch: Which that is.
        history: Every epoch's record.
        num_lanes: Clips side by side, at most.
    """

    weights: dict[str, Tensor]
    best_epoch: int
    history: tuple[EpochRecord, ...]
    num_lanes: int

    def as_state(self) -> dict[str, Any]:
        """Tensors and plain values for a checkpoint."""
        return {**vars(self), "history": [asdict(record) for record in self.history]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Fitted:
        """From what :meth:`as_state` gave."""
        return cls(**{**state, "history": tuple(EpochRecord(**record) for record in state["history"])})


def run_epochs(job: FitJob, tell: Tell, *, may_resume: bool = True) -> Fitted:
    """Fits a network, of which this process, if there are several, has some lanes; going on where a checkpoint is.

    Args:
        job: What to fit; the module ends with the weights of the last epoch.
        tell: Told of each epoch.
        may_resume: Whether a checkpoint is read; if not, one is only written.

    Raises:
        ConfigError: The loss became infinite or no number.
        torch.OutOfMemoryError: The device has no room for so many lanes.
    """
    settings, checkpoint = job.settings, job.checkpoint
    patience = settings.patience if job.data.has_validation else None
    stopping = [EarlyStopping(MONITORED, patience=patience)] if patience else []
    job.module.is_fused = job.trainer.precision == "float32"
    recorder = _Recorder(tell, job, takes_best=bool(stopping))
    callbacks: list[Callback] = [*stopping, recorder]
    if checkpoint is not None:
        state = checkpoint.read(is_done=False) if may_resume else None
        job.data.num_lanes = state["num_lanes"] if state is not None else job.data.num_lanes
        callbacks.append(_Keeper(checkpoint, job, [*callbacks], state, tell))
    with quiet_lightning(), cores_for(job.module):
        trainer = make_trainer(job.settings, job.trainer, job.device, callbacks, has_validation=job.data.has_validation)
        trainer.fit(job.module, datamodule=job.data)
    if not recorder.best_weights or not all(torch.isfinite(t).all() for t in recorder.best_weights.values()):
        raise _no_finite_loss(settings)
    return recorder.fitted


class _Recorder(Callback):
    """Keeps each epoch's numbers, and a copy of the weights: of the best epoch by validation loss, or of the last."""

    def __init__(self, tell: Tell, job: FitJob, *, takes_best: bool) -> None:
        self._tell = tell
        self._job = job
        self._takes_best = takes_best
        self.history: list[EpochRecord] = []
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}
        self._losses: list[float] = []

    @property
    def fitted(self) -> Fitted:
        """All of it, by now."""
        return Fitted(self.best_weights, self.best_epoch, tuple(self.history), self._job.data.num_lanes)

    def state_dict(self) -> dict[str, Any]:
        return self.fitted.as_state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        fitted = Fitted.from_state(state_dict)
        self.best_weights, self.best_epoch, self.history = fitted.weights, fitted.best_epoch, list(fitted.history)

    def on_train_epoch_start(self, *_: object) -> None:
        self._losses = []

    def on_train_batch_end(self, trainer: pl.Trainer, _module: pl.LightningModule, outputs: Any, *_: object) -> None:  # noqa: ANN401
        self._losses.append(float(outputs["loss"]))
        if not math.isfinite(self._losses[-1]):  # no later step mends it
            raise _no_finite_loss(self._job.settings, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        value = trainer.callback_metrics.get(MONITORED)
        val_loss = float(value) if value is not None else None
        best = min((r.val_loss for r in self.history if r.val_loss is not None), default=float("inf"))
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        own_loss = torch.tensor(float(np.mean(self._losses)), dtype=torch.float64, device=module.device)
        train_loss = float(trainer.strategy.reduce(own_loss, reduce_op="mean"))
        epoch, max_epochs = trainer.current_epoch, trainer.max_epochs or 1
        self.history.append(EpochRecord(epoch, train_loss, val_loss, rate, self._job.member, max_epochs))
        if not self._takes_best or (val_loss is not None and val_loss < best):
            self.best_epoch = trainer.current_epoch
            self.best_weights = copy.deepcopy(module.state_dict())
        self._tell(self.history[-1])


class _Keeper(Callback):
    """Keeps all that the next epochs depend on, where an epoch begins: what each process draws from then on is part.

    Lightning's own checkpoints do not bring back what a loader draws, and what cannot be written is not told.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        job: FitJob,
        others: Sequence[Callback],
        state: dict[str, Any] | None,
        tell: Tell,
    ) -> None:
        self._checkpoint = checkpoint
        self._job = job
        self._others = others
        self._state = state
        self._tell = tell
        self._kept_at = time.monotonic()

    def on_fit_start(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        if self._state is not None:
            progress: Any = trainer.fit_loop.epoch_progress.current
            progress.processed = progress.completed = self._state["epoch"]

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self._state is not None:
            self._bring_back(self._state, trainer, module)
            self._state = None
        elif trainer.current_epoch and self._is_due(trainer):
            state = self._all_of(trainer, module)
            if trainer.is_global_zero:
                write_or_tell(self._checkpoint, state, self._tell, is_done=False)
            self._kept_at = time.monotonic()
        self._job.data.begin_pass(trainer.current_epoch)

    def _is_due(self, trainer: pl.Trainer) -> bool:
        is_due = time.monotonic() - self._kept_at >= self._job.trainer.checkpoint_seconds
        return bool(trainer.strategy.broadcast(is_due))  # clocks differ; all processes take part, or none

    def _all_of(self, trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Any]:
        random_states = [random_state(module.device)] * trainer.world_size
        if trainer.world_size > 1:
            torch.distributed.all_gather_object(random_states, random_states[0])
        return {
            "epoch": trainer.current_epoch,
            "num_lanes": self._job.data.num_lanes,
            "weights": module.state_dict(),
            "optimizer": trainer.optimizers[0].state_dict(),
            "schedule": trainer.lr_scheduler_configs[0].scheduler.state_dict(),
            "callbacks": [callback.state_dict() for callback in self._others],
            "random_states": random_states,
        }

    def _bring_back(self, state: dict[str, Any], trainer: pl.Trainer, module: pl.LightningModule) -> None:
        module.load_state_dict(state["weights"])
        trainer.optimizers[0].load_state_dict(state["optimizer"])
        trainer.lr_scheduler_configs[0].scheduler.load_state_dict(state["schedule"])
        for callback, kept in zip(self._others, state["callbacks"], strict=True):
            callback.load_state_dict(kept)
        set_random_state(state["random_states"][trainer.global_rank], module.device)


def write_or_tell(checkpoint: Checkpoint, state: dict[str, Any], tell: Tell, *, is_done: bool) -> None:
    """Keeps a state; that it cannot be kept stops no training, but is told."""
    try:
        checkpoint.write(state, is_done=is_done)
    except OutputError as error:
        tell(Notice("checkpoint_not_kept", f"{error}; training goes on, and begins anew if it is interrupted"))


def _no_finite_loss(settings: TrainingSettings, epoch: int | None = None) -> ConfigError:
    where = "" if epoch is None else f" in epoch {epoch}"
    rate = settings.learning_rate
    return ConfigError(
        f"training: expected a finite loss, got none{where}; lower training.learning_rate (it is {rate:g})"
    )

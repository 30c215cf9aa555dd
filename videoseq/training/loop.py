"""The epochs of one network, by Lightning: each is recorded, now and then one is kept, the right weights are taken."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from torch import Tensor

from videoseq.config.schema import TrainingSettings
from videoseq.errors import ConfigError
from videoseq.system.torch_devices import random_state, set_random_state
from videoseq.training.checkpoints import Checkpoint
from videoseq.training.fit_job import EpochRecord, FitJob, Fitted, Tell, write_or_tell
from videoseq.training.lightning_module import MONITORED
from videoseq.training.trainer import cores_for, make_trainer, quiet_lightning


def run_epochs(job: FitJob, tell: Tell, *, may_resume: bool = True) -> Fitted:
    """Fits a network; of several processes this one has some rows of every batch. Continues from a checkpoint.

    Args:
        job: What to fit; the module ends with the weights of the last epoch.
        tell: Told of each epoch.
        may_resume: Whether a checkpoint is read; if not, one is only written.

    Raises:
        ConfigError: The loss became infinite or no number.
        torch.OutOfMemoryError: The device has no room for such a batch.
    """
    settings, checkpoint = job.settings, job.checkpoint
    patience = settings.patience if job.data.has_validation else None
    stopping = [EarlyStopping(MONITORED, patience=patience)] if patience else []
    job.module.is_fused = job.trainer.precision == "float32"
    recorder = _Recorder(tell, job, takes_best=bool(stopping))
    callbacks: list[Callback] = [*stopping, recorder]
    if checkpoint is not None:
        state = checkpoint.read(is_done=False) if may_resume else None
        job.data.batch_size = state["batch_size"] if state is not None else job.data.batch_size
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
        return Fitted(self.best_weights, self.best_epoch, tuple(self.history), self._job.data.batch_size)

    def state_dict(self) -> dict[str, Any]:
        return self.fitted.as_state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        fitted = Fitted.from_state(state_dict)
        self.best_weights, self.best_epoch, self.history = fitted.weights, fitted.best_epoch, list(fitted.history)

    def on_train_epoch_start(self, *_: object) -> None:
        self._losses = []

    def on_train_batch_end(self, trainer: pl.Trainer, _module: pl.LightningModule, outputs: Any, *_: object) -> None:  # noqa: ANN401
        self._losses.append(float(outputs["loss"]))
        if not math.isfinite(self._losses[-1]):  # no later step repairs it
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

    Lightning's own checkpoints do not restore what a loader draws, and do not report what cannot be written.
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
            "batch_size": self._job.data.batch_size,
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


def _no_finite_loss(settings: TrainingSettings, epoch: int | None = None) -> ConfigError:
    where = "" if epoch is None else f" in epoch {epoch}"
    rate = settings.learning_rate
    return ConfigError(
        f"training: expected a finite loss, got none{where}; lower training.learning_rate (it is {rate:g})"
    )

"""Annotated clips → a fitted head: truncated backpropagation through time, the state carried as in labelling.

Lightning stopped doing this by itself in 2.0, so the module keeps the detached state from chunk to chunk and resets
it where :class:`~videoseq.lanes.LaneBatches` says that a video starts.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader

from videoseq.annotations import IGNORE_INDEX
from videoseq.clips import Clip
from videoseq.components import as_components, learn_components
from videoseq.config import HeadSettings, TrainingSettings
from videoseq.errors import ConfigError
from videoseq.lanes import LaneBatch, LaneBatches
from videoseq.metrics import sqrt_inverse_weights
from videoseq.model import CausalRNN, RNNState
from videoseq.runtimes.machine import one_core

_MONITORED = "val_loss"
_VALIDATION_CHUNKS = 4
_SMALL_NETWORK = 500_000


class SequenceModule(pl.LightningModule):
    """The steps, the optimizer, and the state that lives between chunks."""

    class_weights: Tensor

    def __init__(self, head: CausalRNN, class_weights: Tensor, settings: TrainingSettings) -> None:
        super().__init__()
        self.head = head
        self.settings = settings
        self.register_buffer("class_weights", class_weights)
        self._state: RNNState | None = None
        self._loss_sum = 0.0
        self._loss_weight = 0.0

    def training_step(self, batch: LaneBatch, _: int) -> Tensor:
        """One chunk of every lane."""
        loss_sum, weight = self._chunk_loss(batch)
        return loss_sum / weight.clamp_min(torch.finfo(weight.dtype).tiny)

    def validation_step(self, batch: LaneBatch, _: int) -> None:
        """One chunk of every lane, summed up over the epoch."""
        loss_sum, weight = self._chunk_loss(batch)
        self._loss_sum += loss_sum.item()
        self._loss_weight += weight.item()

    def on_train_epoch_start(self) -> None:
        """Every pass begins with videos' first frames."""
        self._state = None

    def on_validation_epoch_start(self) -> None:
        """Validation videos must not meet the state of training videos."""
        self._state, self._loss_sum, self._loss_weight = None, 0.0, 0.0

    def on_validation_epoch_end(self) -> None:
        """The weighted mean over all frames, not over chunks."""
        self.log(_MONITORED, self._loss_sum / max(self._loss_weight, 1e-12))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW (Loshchilov & Hutter 2019) with a linear warm-up, then a cosine to zero, stepped by epoch."""
        rate, decay = self.settings.learning_rate, self.settings.weight_decay
        optimizer = torch.optim.AdamW(self.head.parameters(), lr=rate, weight_decay=decay, fused=True)
        warmup = max(1, round(self.settings.warmup_fraction * self.settings.max_epochs))
        rise = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
        fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, self.settings.max_epochs - warmup))
        schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[warmup])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}

    def _chunk_loss(self, batch: LaneBatch) -> tuple[Tensor, Tensor]:
        """The summed weighted cross-entropy of a chunk, and the sum of the weights of its labelled steps."""
        state = (
            self.head.initial_state(len(batch.is_start)) if self._state is None else self._state.reset(batch.is_start)
        )
        streams, after = self.head.stream_logits(batch.features, state)
        self._state = after.detach()
        # Each stream learns for itself, or the one that learns faster would leave nothing to the other.
        logits = streams if self.training else streams.mean(dim=0, keepdim=True)
        targets = batch.targets.flatten()
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 2), targets.repeat(len(logits)), self.class_weights,
            ignore_index=IGNORE_INDEX, reduction="sum",
        ) / len(logits)  # fmt: skip
        return loss, self.class_weights[targets[targets != IGNORE_INDEX]].sum()


class ClipData(pl.LightningDataModule):
    """Training and validation clips as lanes of ordered chunks."""

    def __init__(self, train: Sequence[Clip], val: Sequence[Clip], settings: TrainingSettings) -> None:
        super().__init__()
        self._train = LaneBatches(train, settings.lanes, settings.chunk_steps, shuffle=True, seed=settings.seed)
        # Nothing is truncated where nothing is learnt: longer chunks give the same numbers with fewer calls.
        chunk_steps = _VALIDATION_CHUNKS * settings.chunk_steps
        self._val = LaneBatches(val, settings.lanes, chunk_steps, shuffle=False) if val else None

    def train_dataloader(self) -> DataLoader[LaneBatch]:
        """A new order of videos in every epoch."""
        return DataLoader(self._train, batch_size=None)

    def val_dataloader(self) -> DataLoader[LaneBatch] | list[Any]:
        """The same order always; nothing where there is no validation split."""
        return DataLoader(self._val, batch_size=None) if self._val is not None else []


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch came to; ``val_loss`` is None without a validation split."""

    epoch: int
    train_loss: float
    val_loss: float | None
    learning_rate: float


@dataclass(frozen=True, eq=False)
class FitResult:
    """The head with the weights of ``best_epoch``, the one that was taken, in eval mode, and every epoch's record."""

    head: CausalRNN
    best_epoch: int
    history: tuple[EpochRecord, ...]


class _Recorder(Callback):
    """Keeps each epoch's numbers, and a copy of the weights: of the best epoch by validation loss, or of the last."""

    def __init__(self, on_epoch: Callable[[EpochRecord], None] | None, *, takes_best: bool) -> None:
        self._on_epoch = on_epoch
        self._takes_best = takes_best
        self.history: list[EpochRecord] = []
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}
        self._losses: list[float] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self._losses = []

    def on_train_batch_end(self, _trainer: pl.Trainer, _module: pl.LightningModule, outputs: Any, *_: object) -> None:  # noqa: ANN401
        self._losses.append(float(outputs["loss"]))

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        value = trainer.callback_metrics.get(_MONITORED)
        val_loss = float(value) if value is not None else None
        best = min((r.val_loss for r in self.history if r.val_loss is not None), default=float("inf"))
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.history.append(EpochRecord(trainer.current_epoch, float(np.mean(self._losses)), val_loss, rate))
        if not self._takes_best or (val_loss is not None and val_loss < best):
            assert isinstance(module, SequenceModule)
            self.best_epoch = trainer.current_epoch
            self.best_weights = copy.deepcopy(module.head.state_dict())
        if self._on_epoch is not None:
            self._on_epoch(self.history[-1])


def fit(
    train: Sequence[Clip],
    val: Sequence[Clip],
    num_classes: int,
    head: HeadSettings,
    settings: TrainingSettings,
    *,
    device: torch.device | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> FitResult:
    """Fits a new head; with ``settings.patience`` the validation clips decide when to stop and which epoch to take.

    Every draw comes from ``settings.seed``; the caller's random state is as before when this returns.

    Args:
        train: Clips to learn from; at least one with a labelled frame.
        val: Clips to validate on; there may be none, and then the last epoch's weights are taken.
        num_classes: Size of the logits.
        head: The network.
        settings: How to fit it.
        device: Where to train; the CPU by default.
        on_epoch: Called with each epoch's record, to show progress.

    Raises:
        ConfigError: The loss became infinite or no number; the settings ask for too large steps.
    """
    counts = np.sum([clip.class_counts(num_classes) for clip in train], axis=0)
    weights = sqrt_inverse_weights(counts) if settings.class_weighting == "sqrt_inverse" else np.ones(num_classes)
    stopping = [EarlyStopping(_MONITORED, patience=settings.patience)] if val and settings.patience else []
    recorder = _Recorder(on_epoch, takes_best=bool(stopping))
    with _seeded(settings.seed), _quiet_lightning():
        network = CausalRNN(train[0].features.features.shape[1], num_classes, head)
        learn_components(network, train)
        trainer = pl.Trainer(
            accelerator="gpu" if device is not None and device.type == "cuda" else "cpu",
            devices=[device.index or 0] if device is not None and device.type == "cuda" else 1,
            max_epochs=settings.max_epochs,
            gradient_clip_val=settings.gradient_clip_norm,
            callbacks=[*stopping, recorder],
            limit_val_batches=None if val else 0,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        module = SequenceModule(network, torch.tensor(weights, dtype=torch.float32), settings)
        with as_components(network, [*train, *val]) as clips, _cores_for(network):
            trainer.fit(module, datamodule=ClipData(clips[: len(train)], clips[len(train) :], settings))
    if not recorder.best_weights or not all(torch.isfinite(t).all() for t in recorder.best_weights.values()):
        rate = settings.learning_rate
        raise ConfigError(f"training: expected a finite loss, got none; lower training.learning_rate (it is {rate:g})")
    network.load_state_dict(recorder.best_weights)
    return FitResult(network.cpu().eval(), recorder.best_epoch, tuple(recorder.history))


def _cores_for(network: CausalRNN) -> AbstractContextManager[None]:
    """One core for a small network: more of them gain a tenth when idle, and lose most of it when they are not.

    Many small products wait for one another; torch's threads spin meanwhile, against whatever else wants the cores.
    """
    is_small = sum(parameter.numel() for parameter in network.parameters()) < _SMALL_NETWORK
    return one_core() if is_small else nullcontext()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Initial weights and dropout draw from ``seed`` inside, and nothing outside notices."""
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silences Lightning's advice about loaders and accelerators, which is about other programs than this."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # The features lie in memory or in mapped files: worker processes would only copy them.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
            # Lightning 2.6 beside torch 2.13 uses a name that torch will rename; it is theirs to mend.
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)

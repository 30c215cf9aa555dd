"""Annotated clips → a fitted head: truncated backpropagation through time, the state carried as in labelling."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from torch import Tensor, nn

from videoseq.augmentation import Augmentation
from videoseq.bidirectional import Network, make_network
from videoseq.clips import Clip
from videoseq.components import as_components, learn_components, mean_deviation
from videoseq.config import HeadSettings, TrainingSettings
from videoseq.ensemble import Ensemble, Head
from videoseq.errors import ConfigError
from videoseq.runtimes.devices import one_core
from videoseq.sequence_module import MONITORED, ClipData, SequenceModule, loss_weights
from videoseq.thresholds import add_thresholds

_SMALL_NETWORK = 500_000


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


@dataclass(frozen=True, eq=False)
class FitResult:
    """A fitted head in eval mode.

    Attributes:
        head: With the weights of the epoch that was taken.
        best_epoch: Which that was; of an ensemble, the first member's.
        history: Every epoch's record; of an ensemble, the first member's.
    """

    head: Head
    best_epoch: int
    history: tuple[EpochRecord, ...]


class _Recorder(Callback):
    """Keeps each epoch's numbers, and a copy of the weights: of the best epoch by validation loss, or of the last."""

    def __init__(self, on_epoch: Callable[[EpochRecord], None] | None, member: int, *, takes_best: bool) -> None:
        self._on_epoch = on_epoch
        self._member = member
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
        value = trainer.callback_metrics.get(MONITORED)
        val_loss = float(value) if value is not None else None
        best = min((r.val_loss for r in self.history if r.val_loss is not None), default=float("inf"))
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        train_loss = float(np.mean(self._losses))
        epoch, max_epochs = trainer.current_epoch, trainer.max_epochs or 1
        self.history.append(EpochRecord(epoch, train_loss, val_loss, rate, self._member, max_epochs))
        if not self._takes_best or (val_loss is not None and val_loss < best):
            self.best_epoch = trainer.current_epoch
            self.best_weights = copy.deepcopy(module.state_dict())
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

    Every draw comes from ``settings.seed``, for further members of an ensemble from the numbers after it; the caller's
    random state is as before when this returns.

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
        OutputError: There is no room for the clips' components.
    """
    weights = loss_weights(train, num_classes, settings)
    networks: list[Network] = []
    results: list[FitResult] = []
    with ExitStack() as stack:
        for member in range(settings.ensemble):
            stack.enter_context(seeded(settings.seed + member))
            networks.append(make_network(train[0].features.features.shape[1], num_classes, head))
            if member == 0:
                learn_components(networks[0], train)
                clips = stack.enter_context(as_components(networks[0], [*train, *val]))
                deviation = mean_deviation(clips[: len(train)]) if settings.noise else 0.0
                augmentation = Augmentation(settings.stretch, settings.noise * deviation)
            networks[-1].reduction.load_state_dict(networks[0].reduction.state_dict())
            module = SequenceModule(networks[-1], weights, settings)
            data = ClipData(clips[: len(train)], clips[len(train) :], settings, settings.seed + member, augmentation)
            results.append(fit_module(module, data, settings, device, on_epoch, member))
    fitted = networks[0] if len(networks) == 1 else Ensemble(networks).eval()
    if train[0].is_multilabel:
        add_thresholds(fitted)
    return replace(results[0], head=fitted)


def fit_module(
    module: SequenceModule,
    data: ClipData,
    settings: TrainingSettings,
    device: torch.device | None,
    on_epoch: Callable[[EpochRecord], None] | None,
    member: int = 0,
) -> FitResult:
    """Fits one module, which ends on the CPU with the weights of the epoch that is taken.

    Raises:
        ConfigError: The loss became infinite or no number.
    """
    patience = settings.patience if data.has_validation else None
    stopping = [EarlyStopping(MONITORED, patience=patience)] if patience else []
    recorder = _Recorder(on_epoch, member, takes_best=bool(stopping))
    with _quiet_lightning(), _cores_for(module):
        trainer = _make_trainer(settings, [*stopping, recorder], device, has_validation=data.has_validation)
        trainer.fit(module, datamodule=data)
    if not recorder.best_weights or not all(torch.isfinite(t).all() for t in recorder.best_weights.values()):
        rate = settings.learning_rate
        raise ConfigError(f"training: expected a finite loss, got none; lower training.learning_rate (it is {rate:g})")
    module.load_state_dict(recorder.best_weights)
    return FitResult(module.cpu().head.eval(), recorder.best_epoch, tuple(recorder.history))


def _make_trainer(
    settings: TrainingSettings, callbacks: list[Callback], device: torch.device | None, *, has_validation: bool
) -> pl.Trainer:
    on_gpu = device is not None and device.type == "cuda"
    return pl.Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=[device.index or 0] if device is not None and on_gpu else 1,
        max_epochs=settings.max_epochs,
        gradient_clip_val=settings.gradient_clip_norm,
        callbacks=callbacks,
        limit_val_batches=None if has_validation else 0,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _cores_for(network: nn.Module) -> AbstractContextManager[None]:
    """One core for a small network: more of them gain a tenth when idle, and lose most of it when they are not.

    Many small products wait for one another; torch's threads spin meanwhile, against whatever else wants the cores.
    """
    is_small = sum(parameter.numel() for parameter in network.parameters()) < _SMALL_NETWORK
    return one_core() if is_small else nullcontext()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
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
            # A backbone that is fine-tuned is meant to be in eval mode.
            warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
            # Lightning 2.6 beside torch 2.13 uses a name that torch will rename; it is theirs to mend.
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)

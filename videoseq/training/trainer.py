"""Lightning, set up: in how many processes, on which cores, and without what it says to other programs than this."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch import nn

from videoseq.config.schema import TrainerSettings, TrainingSettings
from videoseq.system.torch_devices import one_core

_SMALL_NETWORK = 500_000


def make_trainer(
    settings: TrainingSettings,
    trainer: TrainerSettings,
    device: torch.device,
    callbacks: list[Callback],
    *,
    has_validation: bool,
) -> pl.Trainer:
    """Lightning's trainer for one fit, which writes and says nothing by itself."""
    is_on_gpu = device.type == "cuda"
    in_one_process = [device.index or 0] if is_on_gpu else 1
    return pl.Trainer(
        accelerator="gpu" if is_on_gpu else "cpu",
        devices=trainer.devices if is_distributed(trainer) else in_one_process,
        strategy=_strategy(is_on_gpu=is_on_gpu) if is_distributed(trainer) else "auto",
        precision="32-true" if trainer.precision == "float32" else "bf16-mixed",
        max_epochs=settings.max_epochs,
        gradient_clip_val=settings.gradient_clip_norm,
        callbacks=callbacks,
        # Else Lightning would ask SLURM, whose job may be of another shape than the training.
        plugins=[LightningEnvironment()],
        limit_val_batches=None if has_validation else 0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def is_distributed(trainer: TrainerSettings) -> bool:
    """Whether a fit runs in processes of its own."""
    return trainer.strategy == "ddp" or trainer.devices > 1


def _strategy(*, is_on_gpu: bool) -> Strategy:
    # Buffers stay as they are; sent around before each forward pass, they would wait for processes without validation.
    return DDPStrategy(process_group_backend="nccl" if is_on_gpu else "gloo", forward_sync_buffers=False)


def cores_for(network: nn.Module) -> AbstractContextManager[None]:
    """One core for a small network: more of them gain a tenth when idle, and lose most of it when they are not.

    Many small products wait for one another; torch's threads spin meanwhile, against whatever else wants the cores.
    """
    is_small = sum(parameter.numel() for parameter in network.parameters()) < _SMALL_NETWORK
    return one_core() if is_small else nullcontext()


@contextmanager
def quiet_lightning() -> Iterator[None]:
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
            # Lightning 2.6 uses a name that torch 2.13 will rename; only Lightning can repair that.
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)

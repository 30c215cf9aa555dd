"""The Lightning module of the network: its loss, its optimizer, and the state that lives between chunks.

Lightning stopped doing this by itself in 2.0, so the module keeps the detached state from chunk to chunk and resets
it where :class:`~videoseq.data.sequences.SequenceBatches` says that a video starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from jaxtyping import Float
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.utils.data import DataLoader

from videoseq.config.schema import TrainingSettings
from videoseq.data.augmentation import Augmentation
from videoseq.data.dataset import Clip
from videoseq.data.sequences import SequenceBatch, SequenceBatches
from videoseq.models.head import RNNHead
from videoseq.models.state import RNNState
from videoseq.training.losses import chunk_loss, multilabel_chunk_loss, sqrt_inverse_weights

MONITORED = "val_loss"
"""What validation logs."""
_VALIDATION_CHUNKS = 4
_PLAIN = TrainingSettings(label_smoothing=0.0, focal_gamma=0.0, temporal_smoothing=0.0)


class SequenceModule(pl.LightningModule):
    """The steps, the optimizer, and the state that lives between chunks.

    Attributes:
        is_fused: Whether the optimizer is the fast one, which Lightning refuses in other precisions than float32.
    """

    class_weights: Tensor

    def __init__(self, head: RNNHead, class_weights: Tensor, settings: TrainingSettings) -> None:
        super().__init__()
        self.head = head
        self.settings = settings
        self.register_buffer("class_weights", class_weights)
        self._state: RNNState | None = None
        self._loss_sum = 0.0
        self._loss_weight = 0.0
        self._num_ranks = 1
        self.is_fused = True

    def on_fit_start(self) -> None:
        """Takes the number of processes that share a batch."""
        self._num_ranks = self.trainer.world_size

    def training_step(self, batch: SequenceBatch, _: int) -> Tensor:
        """One chunk of every row; the mean over the losses of several processes is the loss of the whole batch."""
        loss_sum, weight = self._chunk_loss(batch)
        return self._num_ranks * loss_sum / weight.clamp_min(torch.finfo(weight.dtype).tiny)

    def validation_step(self, batch: SequenceBatch, _: int) -> None:
        """One chunk of every row, summed up over the epoch."""
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
        """The weighted mean over all frames of all processes, not over chunks."""
        sums = torch.tensor([self._loss_sum, self._loss_weight], dtype=torch.float64, device=self.device)
        loss_sum, loss_weight = self._total(sums).tolist()
        self.log(MONITORED, loss_sum / max(loss_weight, 1e-12), sync_dist=self._num_ranks > 1)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW (Loshchilov & Hutter 2019) with a linear warm-up, then a cosine to zero, stepped by epoch."""
        rate, decay = self.settings.learning_rate, self.settings.weight_decay
        optimizer = torch.optim.AdamW(self._parameter_groups(), lr=rate, weight_decay=decay, fused=self.is_fused)
        warmup = max(1, round(self.settings.warmup_fraction * self.settings.max_epochs))
        rise = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
        fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, self.settings.max_epochs - warmup))
        schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[warmup])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """What is fitted, each group with its own learning rate if it has one; the head's group is the first."""
        return [{"params": list(self.head.parameters())}]

    def _chunk_loss(self, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
        """The summed loss of a chunk, in validation plain cross-entropy, and the weights of its labeled steps."""
        state = self._chunk_state(batch)
        streams, after = self.head.stream_logits(batch.features, state, batch.num_steps)
        self._state = after.detach()
        # Each stream has a loss of its own: otherwise the one that learns faster would leave nothing to the other.
        logits = streams if self.training else streams.mean(dim=0, keepdim=True)
        loss = multilabel_chunk_loss if batch.targets.ndim == 3 else chunk_loss
        if not self.training:  # summed up over processes at the end, for they may have unequally many chunks
            return loss(logits, batch.targets, self.class_weights, _PLAIN)
        return loss(logits, batch.targets, self.class_weights, self.settings, self._total)

    def _total(self, numbers: Tensor) -> Tensor:
        """The sum over all processes."""
        if self._num_ranks > 1:
            numbers = numbers.detach().clone()
            torch.distributed.all_reduce(numbers)
        return numbers

    def _chunk_state(self, batch: SequenceBatch) -> RNNState:
        """What the chunk begins with; at a video's first frame always nothing."""
        is_carried = not self.training or self.settings.state == "carried"
        if self._state is None or not is_carried:
            return self.head.initial_state(len(batch.is_start))
        return self._state.reset(batch.is_start)


def loss_weights(clips: Sequence[Clip], num_classes: int, settings: TrainingSettings) -> Float[Tensor, "classes ..."]:
    """The weight of a labeled step by its class; in multilabel, of each class not being there and being there."""
    counts = np.sum([clip.class_counts(num_classes) for clip in clips], axis=0)
    if clips[0].is_multilabel:
        num_labeled = sum(int(clip.is_labeled.sum()) for clip in clips)
        counts = np.stack((num_labeled - counts, counts), axis=1)
    if settings.class_weighting == "none":
        return torch.ones(counts.shape)
    return torch.tensor(np.apply_along_axis(sqrt_inverse_weights, -1, counts), dtype=torch.float32)


class ClipData(pl.LightningDataModule):
    """Training and validation clips as batches of ordered chunks.

    Args:
        train: To learn from.
        val: To validate on.
        settings: How they are cut up.
        seed: Of the order and of what is drawn.
        augmentation: What training clips undergo; validation clips are left as they are.

    Attributes:
        has_validation: Whether there are clips to validate on.
        batch_size: Videos side by side at most; may be lowered between fits.
    """

    def __init__(
        self,
        train: Sequence[Clip],
        val: Sequence[Clip],
        settings: TrainingSettings,
        seed: int,
        augmentation: Augmentation,
    ) -> None:
        super().__init__()
        self.has_validation = bool(val)
        self.batch_size = settings.batch_size
        self._clips = train, val
        self._settings = settings
        self._seed = seed
        self._augmentation = augmentation
        self._train: SequenceBatches | None = None

    def halve_batch_size(self) -> bool:
        """Puts half as many clips side by side; whether that leaves any."""
        self.batch_size = self.training_batch_size // 2
        return self.batch_size > 0

    @property
    def training_batch_size(self) -> int:
        """Training clips side by side."""
        return min(self.batch_size, len(self._clips[0]))

    def begin_pass(self, number: int) -> None:
        """The training clips as they come in a pass, counted from 0."""
        if self._train is not None:
            self._train.begin_pass(number)

    def train_dataloader(self) -> DataLoader[SequenceBatch]:
        """A new order of videos in every epoch."""
        tbptt_steps = self._settings.tbptt_steps
        self._train = SequenceBatches(
            self._clips[0], self.batch_size, tbptt_steps, shuffle=True, seed=self._seed, augmentation=self._augmentation
        )
        self._train.share(*self._rank_and_number)
        return DataLoader(self._train, batch_size=None)

    def val_dataloader(self) -> DataLoader[SequenceBatch] | list[Any]:
        """The same order always; nothing where there is no validation split."""
        if not self.has_validation:
            return []
        # Without gradients nothing is truncated: longer chunks give the same numbers with fewer calls.
        tbptt_steps = _VALIDATION_CHUNKS * self._settings.tbptt_steps
        batches = SequenceBatches(self._clips[1], self.batch_size, tbptt_steps, shuffle=False)
        batches.share(*self._rank_and_number)
        return DataLoader(batches, batch_size=None)

    @property
    def _rank_and_number(self) -> tuple[int, int]:
        """Which of how many processes this is."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

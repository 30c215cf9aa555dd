"""The CNN fine-tuned together with the head: from pictures to the loss, the state carried as in labelling.

The head is fitted on features first; then the CNN's last blocks and the head go on from there together, the CNN with a
learning rate of its own. BatchNorm keeps the statistics that it was pretrained with: those of a batch of neighbouring
frames would be of one room and one person. After that the CNN is a backbone like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from videoseq.config.schema import LastBlocks, TrainingSettings, TrainSettings
from videoseq.data.augmentation import Augmentation
from videoseq.data.dataset import Clip
from videoseq.data.image_augmentation import ImageAugmentation
from videoseq.data.sequences import LaneBatch
from videoseq.errors import ConfigError
from videoseq.features.backbones import Backbone
from videoseq.features.runtimes import Runtime
from videoseq.features.store import VideoFeatures
from videoseq.models.head import RNNHead
from videoseq.storage.disk_arrays import TemporaryArray
from videoseq.training.fit import HERE, FitPlace, FitResult, fit_module, seeded
from videoseq.training.image_store import PictureStore, rows_of
from videoseq.training.lightning_module import ClipData, SequenceModule, loss_weights
from videoseq.training.loop import EpochRecord
from videoseq.training.trainer import is_distributed

_PICTURES_AT_ONCE = 16  # what the CNN computes of so many pictures is in memory at once, whatever a chunk has


def check_finetuning(settings: TrainSettings, backbone: Backbone) -> None:
    """Says so if the settings ask for what is not to be had, before hours are spent.

    Raises:
        ConfigError: The CNN has fewer blocks, an ensemble would share one CNN, or pictures are to be changed that
            nobody looks at again.
    """
    training = settings.training
    backbone.last_parameters(settings.backbone.trainable)
    if settings.backbone.trainable == 0 and _augmentation(training) != ImageAugmentation():
        raise ConfigError(
            "training.flip, training.color_jitter, training.crop: change the pictures that a CNN is fine-tuned on; "
            "set backbone.trainable, or leave them out"
        )
    if settings.backbone.trainable != 0 and training.ensemble > 1:
        raise ConfigError(
            f"training.ensemble: expected 1 with backbone.trainable, got {training.ensemble}; the networks of an "
            "ensemble share one CNN, which is fine-tuned with one head"
        )
    if settings.backbone.trainable != 0 and is_distributed(settings.trainer):
        raise ConfigError(
            "trainer.devices, trainer.strategy: expected 1 and auto with backbone.trainable: one process has all "
            "pictures; leave them out"
        )


class FinetuningModule(SequenceModule):
    """A CNN before the head; a batch's features are the numbers of pictures (:meth:`PictureStore.numbered`).

    Args:
        head: What is fitted with it.
        weights: What a step of each class counts in the loss.
        settings: As for the head alone; ``max_epochs`` is that of fine-tuning.
        backbone: The CNN, which is changed in place.
        trainable: Its last blocks that are fitted, or ``all``.
        pictures: Those of all clips.
        handed_over: What the CNN makes of each before these blocks, where it was computed once for all.
    """

    def __init__(
        self,
        head: RNNHead,
        weights: Float[Tensor, "classes ..."],
        settings: TrainingSettings,
        backbone: Backbone,
        trainable: LastBlocks,
        pictures: PictureStore,
        handed_over: TemporaryArray | None = None,
    ) -> None:
        super().__init__(head, weights, settings)
        self.backbone = backbone
        self._fitted = backbone.last_parameters(trainable)
        for parameter in self._fitted:
            parameter.requires_grad_()
        self._before, self._rest = backbone.divided(trainable)
        self._pictures = pictures
        self._handed_over = handed_over
        self._augmentation = _augmentation(settings)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        return [*super()._parameter_groups(), {"params": self._fitted, "lr": self.settings.backbone_learning_rate}]

    def _chunk_loss(self, batch: LaneBatch) -> tuple[Tensor, Tensor]:
        features = self._features(batch.features[..., 0].long())
        return super()._chunk_loss(batch._replace(features=self.head.reduce(features)))

    def _features(self, numbers: Int64[Tensor, "lanes steps"]) -> Float[Tensor, "lanes steps features"]:
        """What the CNN makes of each step's picture, computed once for each; zeros after a video's end.

        Of a chunk only what the fitted blocks are given is kept for the way back, on which they compute again, a few
        pictures at a time, what lies between that and the features (Chen et al. 2016, arXiv:1604.06174).
        """
        distinct, places = torch.unique(numbers, return_inverse=True)
        is_padding = distinct == 0  # the first, if any
        padding = self.backbone.mean.new_zeros(int(is_padding.sum()), self.backbone.identity.feature_size)
        parts = [
            checkpoint(self._rest, self._given(some), use_reentrant=False)
            for some in torch.split(distinct[~is_padding].cpu(), _PICTURES_AT_ONCE)
        ]
        return torch.cat([padding, *parts])[places]

    def _given(self, numbers: Int64[Tensor, " pictures"]) -> Shaped[Tensor, "pictures ..."]:
        """What the fitted blocks are given of pictures."""
        if self._handed_over is not None:
            return rows_of(self._handed_over, numbers).to(self.device)
        images = self._read(numbers).to(self.device)
        with torch.no_grad():
            return images if self._before is None else self._before(images)

    def _read(self, numbers: Int64[Tensor, " pictures"]) -> UInt8[Tensor, "pictures 3 height width"]:
        """Pictures, in training changed as is drawn for their clips in this epoch."""
        images = self._pictures.read(numbers)
        if not self.training or self._augmentation == ImageAugmentation():
            return images
        clips = self._pictures.clip_indices(numbers)
        for clip in np.unique(clips):
            draw = np.random.default_rng((self.settings.seed, self.current_epoch, int(clip)))
            are_its = torch.from_numpy(clips == clip)
            images[are_its] = self._augmentation.draw(draw)(images[are_its])
        return images


class TunedBackbone:
    """A CNN that was fine-tuned, and clips as it sees them.

    Attributes:
        backbone: The CNN, frozen again.
    """

    def __init__(self, backbone: Backbone, runtime: Runtime, pictures: PictureStore) -> None:
        self.backbone = backbone
        self._runtime = runtime
        self._pictures = pictures
        self._known: dict[Path, VideoFeatures] = {}

    def seen(self, clips: Sequence[Clip]) -> list[Clip]:
        """The clips with its features, each computed once, from their pictures and by what will run it in labelling.

        Raises:
            OutputError: There is no room for them.
        """
        return [replace(clip, features=self._features_of(clip)) for clip in clips]

    def _features_of(self, clip: Clip) -> VideoFeatures:
        video = clip.entry.video
        if video not in self._known:
            self._known[video] = self._pictures.seen_by(self._runtime, clip).features
        return self._known[video]


class Finetuner:
    """Fine-tunes a copy of one CNN as the settings say, for each head anew.

    Args:
        backbone: The CNN as it is to begin with.
        pictures: Of all clips.
        settings: All of them.
        make_runtime: What runs a CNN in labelling.
        device: Where frozen blocks are computed; the CPU by default.

    Raises:
        ConfigError: On construction, as :func:`check_finetuning`.
    """

    def __init__(
        self,
        backbone: Backbone,
        pictures: PictureStore,
        settings: TrainSettings,
        make_runtime: Callable[[Backbone], Runtime],
        device: torch.device | None = None,
    ) -> None:
        check_finetuning(settings, backbone)
        self._backbone = backbone
        self._pictures = pictures
        self._settings = settings
        self._make_runtime = make_runtime
        self._device = device
        self._handed_over: TemporaryArray | None = None

    def prepare(self, on_progress: Callable[[int], None] | None = None) -> None:
        """Computes what frozen blocks make of each picture, unless that changes; else the first call does.

        Args:
            on_progress: Called with how many pictures are done.

        Raises:
            OutputError: There is no room for it.
        """
        if self._handed_over is None and _augmentation(self._settings.training) == ImageAugmentation():
            backbone, device = deepcopy(self._backbone), self._device or torch.device("cpu")
            before, _ = backbone.divided(self._settings.backbone.trainable)
            if before is not None:
                backbone.to(device)
                self._handed_over = self._pictures.passed_through(lambda images: before(images.to(device)), on_progress)

    def __call__(
        self,
        fitted: FitResult,
        train: Sequence[Clip],
        val: Sequence[Clip],
        place: FitPlace = HERE,
        name: str = "fine-tuning",
        on_epoch: Callable[[EpochRecord], None] | None = None,
    ) -> tuple[FitResult, TunedBackbone]:
        """Goes on with a head that was fitted on the CNN's features; the head is changed in place.

        Args:
            fitted: The head, and how it came about.
            train: The clips that it was fitted on; the CNN is fitted on them too, and on no others.
            val: As in :func:`videoseq.training.fit`.
            place: As there.
            name: As there.
            on_epoch: Called with each epoch's record.

        Raises:
            ConfigError: The loss became infinite or no number; the settings ask for too large steps.
        """
        head, training = fitted.head, self._settings.training
        assert isinstance(head, RNNHead)  # check_finetuning refuses ensembles
        training = training.model_copy(update={"max_epochs": training.finetune_epochs})
        weights = loss_weights(train, head.num_classes, training)
        backbone, trainable = deepcopy(self._backbone), self._settings.backbone.trainable
        numbered = [self._pictures.numbered(clip) for clip in (*train, *val)]
        parts = numbered[: len(train)], numbered[len(train) :]
        self.prepare()
        with seeded(training.seed):
            module = FinetuningModule(
                head.train(), weights, training, backbone, trainable, self._pictures, self._handed_over
            )
            data = ClipData(*parts, training, training.seed, Augmentation())
            found = fit_module(module, data, training, place, on_epoch, name)
        tuned = backbone.with_own_weights()
        before = fitted.history
        after = (replace(record, epoch=len(before) + record.epoch) for record in found.history)
        result = FitResult(found.head, len(before) + found.best_epoch, (*before, *after))
        return result, TunedBackbone(tuned, self._make_runtime(tuned), self._pictures)


def _augmentation(settings: TrainingSettings) -> ImageAugmentation:
    return ImageAugmentation(settings.flip, settings.color_jitter, settings.crop)

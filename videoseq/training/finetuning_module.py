"""The CNN before the head, as one Lightning module: from images to the loss, the state carried as in labeling.

BatchNorm keeps the statistics that it was pretrained with: those of a batch of neighboring frames would be of one room
and one person.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from videoseq.config.schema import LastBlocks, TrainingSettings
from videoseq.data.image_augmentation import ImageAugmentation
from videoseq.data.sequences import SequenceBatch
from videoseq.features.backbones import Backbone
from videoseq.models.head import RNNHead
from videoseq.storage.disk_arrays import TemporaryArray
from videoseq.training.image_store import ImageStore, rows_of
from videoseq.training.lightning_module import SequenceModule

_IMAGES_AT_ONCE = 16  # what the CNN computes of so many images is in memory at once, however long a chunk is


class FinetuningModule(SequenceModule):
    """A CNN before the head; a batch's features are the numbers of images (:meth:`ImageStore.numbered`).

    Args:
        head: What is fitted with it.
        weights: What a step of each class counts in the loss.
        settings: As for the head alone; ``max_epochs`` is that of fine-tuning.
        backbone: The CNN, which is changed in place.
        trainable: Its last blocks that are fitted, or ``all``.
        images: Those of all clips.
        handed_over: What the CNN makes of each before these blocks, where it was computed once for all.
    """

    def __init__(
        self,
        head: RNNHead,
        weights: Float[Tensor, "classes ..."],
        settings: TrainingSettings,
        backbone: Backbone,
        trainable: LastBlocks,
        images: ImageStore,
        handed_over: TemporaryArray | None = None,
    ) -> None:
        super().__init__(head, weights, settings)
        self.backbone = backbone
        self._fitted = backbone.last_parameters(trainable)
        for parameter in self._fitted:
            parameter.requires_grad_()
        self._before, self._rest = backbone.divided(trainable)
        self._images = images
        self._handed_over = handed_over
        self._augmentation = image_augmentation(settings)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        return [*super()._parameter_groups(), {"params": self._fitted, "lr": self.settings.backbone_learning_rate}]

    def _chunk_loss(self, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
        features = self._features(batch.features[..., 0].long())
        return super()._chunk_loss(batch._replace(features=self.head.reduce(features)))

    def _features(self, numbers: Int64[Tensor, "batch steps"]) -> Float[Tensor, "batch steps features"]:
        """What the CNN makes of each step's image, computed once for each; zeros after a video's end.

        Of a chunk only what the fitted blocks are given is kept for the way back, on which they compute again, a few
        images at a time, what lies between that and the features (Chen et al. 2016, arXiv:1604.06174).
        """
        distinct, places = torch.unique(numbers, return_inverse=True)
        is_padding = distinct == 0  # the first, if any
        padding = self.backbone.mean.new_zeros(int(is_padding.sum()), self.backbone.identity.vector_size)
        numbers = distinct[~is_padding].cpu()
        parts = [
            checkpoint(self._rest, self._given(some), use_reentrant=False)
            for some in torch.split(numbers, _IMAGES_AT_ONCE)
        ]
        vectors = torch.cat((torch.cat(parts), self._images.motion(numbers).to(self.device)), dim=1)
        return torch.cat((padding, vectors))[places]

    def _given(self, numbers: Int64[Tensor, " images"]) -> Shaped[Tensor, "images ..."]:
        """What the fitted blocks are given of images."""
        if self._handed_over is not None:
            return rows_of(self._handed_over, numbers).to(self.device)
        images = self._read(numbers).to(self.device)
        with torch.no_grad():
            return images if self._before is None else self._before(images)

    def _read(self, numbers: Int64[Tensor, " images"]) -> UInt8[Tensor, "images 3 height width"]:
        """Images, in training changed as is drawn for their clips in this epoch."""
        images = self._images.read(numbers)
        if not self.training or self._augmentation == ImageAugmentation():
            return images
        clips = self._images.clip_indices(numbers)
        for clip in np.unique(clips):
            draw = np.random.default_rng((self.settings.seed, self.current_epoch, int(clip)))
            are_its = torch.from_numpy(clips == clip)
            images[are_its] = self._augmentation.draw(draw)(images[are_its])
        return images


def image_augmentation(settings: TrainingSettings) -> ImageAugmentation:
    """How the settings change images while the CNN is fine-tuned."""
    return ImageAugmentation(settings.flip, settings.color_jitter, settings.crop)

"""The CNN fine-tuned together with the head: from images to the loss, the state carried as in labeling.

The head is fitted on features first; then the CNN's last blocks and the head are trained together, the CNN with its own
learning rate. After that the CNN is a backbone like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch

from videoseq.config.schema import TrainSettings
from videoseq.data.augmentation import Augmentation
from videoseq.data.dataset import Clip
from videoseq.data.image_augmentation import ImageAugmentation
from videoseq.errors import ConfigError
from videoseq.features.backbones import Backbone
from videoseq.features.runtimes import Runtime, select_runtime
from videoseq.features.store import VideoFeatures
from videoseq.jobs.events import Progress
from videoseq.jobs.feature_provider import Resources
from videoseq.jobs.progress import each_file
from videoseq.models.head import RNNHead
from videoseq.storage.disk_arrays import TemporaryArray
from videoseq.system.torch_devices import choose_device
from videoseq.training.finetuning_module import FinetuningModule, image_augmentation
from videoseq.training.fit import FitEnvironment, FitResult, fit_module, seeded
from videoseq.training.image_store import ImageStore
from videoseq.training.lightning_module import ClipData, loss_weights
from videoseq.training.trainer import is_distributed
from videoseq.video.access import open_videos


def check_finetuning(settings: TrainSettings, backbone: Backbone) -> None:
    """Raises an error if the settings do not go together, before hours are spent.

    Raises:
        ConfigError: The CNN has fewer blocks, an ensemble or several processes would share one CNN, or images would be
            changed although no CNN is fine-tuned on them.
    """
    training = settings.training
    backbone.last_parameters(settings.backbone.trainable)
    if settings.backbone.trainable == 0 and image_augmentation(training) != ImageAugmentation():
        raise ConfigError(
            "training.flip, training.color_jitter, training.crop: change the images that a CNN is fine-tuned on; "
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
            "images; leave them out"
        )


class TunedBackbone:
    """A CNN that was fine-tuned, and clips with its features.

    Attributes:
        backbone: The CNN, frozen again.
    """

    def __init__(self, backbone: Backbone, runtime: Runtime, images: ImageStore) -> None:
        self.backbone = backbone
        self._runtime = runtime
        self._images = images
        self._known: dict[Path, VideoFeatures] = {}

    def with_own_features(self, clips: Sequence[Clip]) -> list[Clip]:
        """The clips with its features, each computed once, from their images and by what runs it in labeling.

        Raises:
            OutputError: There is no room for them.
        """
        return [replace(clip, features=self._features_of(clip)) for clip in clips]

    def _features_of(self, clip: Clip) -> VideoFeatures:
        video = clip.entry.video
        if video not in self._known:
            self._known[video] = self._images.seen_by(self._runtime, clip).features
        return self._known[video]


class Finetuner:
    """Fine-tunes a copy of one CNN as the settings say, another copy for each head.

    Args:
        backbone: The CNN as it is to begin with.
        images: Of all clips.
        settings: All of them.
        make_runtime: Gives what runs a CNN in labeling.
        device: Where frozen blocks are computed; the CPU by default.

    Raises:
        ConfigError: On construction, as :func:`check_finetuning`.
    """

    def __init__(
        self,
        backbone: Backbone,
        images: ImageStore,
        settings: TrainSettings,
        make_runtime: Callable[[Backbone], Runtime],
        device: torch.device | None = None,
    ) -> None:
        check_finetuning(settings, backbone)
        self._backbone = backbone
        self._images = images
        self._settings = settings
        self._make_runtime = make_runtime
        self._device = device
        self._handed_over: TemporaryArray | None = None

    def prepare(self, on_progress: Callable[[int], None] | None = None) -> None:
        """Computes what frozen blocks make of each image, unless that changes; else the first call does.

        Args:
            on_progress: Called with how many images are done.

        Raises:
            OutputError: There is no room for it.
        """
        if self._handed_over is None and image_augmentation(self._settings.training) == ImageAugmentation():
            backbone, device = deepcopy(self._backbone), self._device or torch.device("cpu")
            before, _ = backbone.divided(self._settings.backbone.trainable)
            if before is not None:
                backbone.to(device)
                self._handed_over = self._images.passed_through(lambda images: before(images.to(device)), on_progress)

    def __call__(
        self,
        fitted: FitResult,
        train: Sequence[Clip],
        val: Sequence[Clip],
        environment: FitEnvironment | None = None,
        name: str = "fine-tuning",
    ) -> tuple[FitResult, TunedBackbone]:
        """Goes on with a head that was fitted on the CNN's features; the head is changed in place.

        Args:
            fitted: The head, and how it came about.
            train: The clips that it was fitted on; the CNN is fitted on them too, and on no others.
            val: As in :func:`videoseq.training.fit`.
            environment: As there.
            name: As there.

        Raises:
            ConfigError: The loss became infinite or no number; the settings ask for too large steps.
        """
        head, training, environment = fitted.head, self._settings.training, environment or FitEnvironment()
        assert isinstance(head, RNNHead)  # check_finetuning refuses ensembles
        training = training.model_copy(update={"max_epochs": training.finetune_epochs})
        weights = loss_weights(train, head.num_classes, training)
        backbone, trainable = deepcopy(self._backbone), self._settings.backbone.trainable
        numbered = [self._images.numbered(clip) for clip in (*train, *val)]
        parts = numbered[: len(train)], numbered[len(train) :]
        self.prepare()
        with seeded(training.seed):
            module = FinetuningModule(
                head.train(), weights, training, backbone, trainable, self._images, self._handed_over
            )
            data = ClipData(*parts, training, training.seed, Augmentation())
            found = fit_module(module, data, training, environment, name)
            environment.end(name)
        tuned = backbone.with_own_weights()
        before = fitted.history
        after = (replace(record, epoch=len(before) + record.epoch) for record in found.history)
        result = FitResult(found.head, len(before) + found.best_epoch, (*before, *after))
        return result, TunedBackbone(tuned, self._make_runtime(tuned), self._images)


@contextmanager
def open_finetuner(
    clips: Sequence[Clip], backbone: Backbone, settings: TrainSettings, resources: Resources
) -> Iterator[Finetuner | None]:
    """Stores the clips' images, and gives what fine-tunes the CNN on them; None where the settings do not ask for it.

    Args:
        clips: With features of ``backbone``.
        backbone: The CNN as it is before.
        settings: All of them.
        resources: Where images are kept, what runs the CNN, and who hears how far the work is.

    Raises:
        VideoError: A video cannot be read to its end.
        OutputError: There is no room for the images.
    """
    if settings.backbone.trainable == 0:
        yield None
        return
    listener, choice = resources.listener, resources.choice
    with ImageStore(resources.cache, backbone.identity.preprocessing) as images:
        by_video = {clip.entry.video: clip for clip in clips}
        with open_videos() as access:
            for video, show in each_file(by_video, len(by_video), "images", listener):
                with access.open(video) as reader:
                    images.add(by_video[video], reader, settings.sample_hz, show)
        listener.on_message(f"{images.num_images} images are kept in {resources.cache} until training ends")
        device, total = choose_device(choice.device), images.num_images
        finetuner = Finetuner(backbone, images, settings, lambda tuned: select_runtime(tuned, choice), device)
        finetuner.prepare(lambda num_images: listener.on_progress(Progress("frozen blocks", num_images, total)))
        yield finetuner

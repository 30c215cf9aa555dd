"""Clips as the images that a CNN is given: kept on disk while it is fine-tuned, so that no pass decodes anything.

An image is its number, from 1 on; so clips of images make the same batches as clips of features, and what is read
from disk is what a chunk needs.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from jaxtyping import Float32, Int64, Shaped, UInt8
from torch import Tensor

from videoseq.data.dataset import Clip
from videoseq.errors import ModelError
from videoseq.features.backbones import Preprocessing
from videoseq.features.motion import MOTION_SIZE
from videoseq.features.runtimes import Runtime
from videoseq.storage.disk_arrays import TemporaryArray
from videoseq.system.hardware import num_usable_cores
from videoseq.system.torch_devices import one_core, one_core_threads
from videoseq.video.frames import FrameReader, OnFrames

_IMAGES_AT_ONCE = 128
_BATCH = 8


@dataclass(frozen=True)
class _Place:
    """The position of a clip's images: how many are before them, and how many they are."""

    num_before: int
    num_images: int

    @property
    def numbers(self) -> Int64[Tensor, " images"]:
        return torch.arange(self.num_before + 1, self.num_before + self.num_images + 1)


class ImageStore:
    """The sampled frames of clips, resized for a CNN, and the motion at each. Use it as a context manager.

    Three bytes a pixel: at 224 × 224 and ten steps a second 5.4 GB for an hour of video.

    Args:
        folder: Where files without a name are to lie.
        preprocessing: The CNN's.

    Attributes:
        num_images: How many there are.

    Raises:
        OutputError: On construction, when nothing can be written there.
    """

    def __init__(self, folder: Path, preprocessing: Preprocessing) -> None:
        self._folder = folder
        self._preprocessing = preprocessing
        self._places: dict[Path, _Place] = {}
        self._files = ExitStack()
        self._images = self._files.enter_context(closing(self._open_file()))
        self._motion = self._files.enter_context(closing(self._open_file()))
        self.num_images = 0

    def __enter__(self) -> ImageStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def add(
        self, clip: Clip, reader: FrameReader, sample_hz: float | None, on_progress: OnFrames | None = None
    ) -> None:
        """Takes a clip's images, one for each row of its features.

        Raises:
            VideoError: The video cannot be read to its end.
            ModelError: It has other frames now than when its features were computed.
            OutputError: There is no room for them.
        """
        num_before = self.num_images
        for frame in reader.sampled(sample_hz):
            if frame.image is not None:
                self._images.append(self._preprocessing.resize(frame.image)[None].numpy())
                self.num_images += 1
                if on_progress is not None:
                    on_progress(frame.stamp.index + 1, reader.fraction_read)
        got, expected = self.num_images - num_before, len(clip.features.features)
        if got != expected:  # its features were kept by another version of OpenCV
            text = f"expected {expected} sampled frames of {clip.entry.video}, got {got}"
            raise ModelError(f"{text}; name another cache folder to compute its features again")
        self._motion.append(np.array(clip.features.features[:, -MOTION_SIZE:]))
        self._places[clip.entry.video] = _Place(num_before, got)

    def numbered(self, clip: Clip) -> Clip:
        """The clip with its images' numbers in the place of features: exact up to 2²⁴, which are 2.5 TB of them."""
        numbers = self._places[clip.entry.video].numbers.numpy().astype(np.float32)[:, None]
        return replace(clip, features=replace(clip.features, features=numbers))

    def clip_indices(self, numbers: Int64[Tensor, " images"]) -> Int64[np.ndarray, " images"]:
        """Which clip each image is from, in the order in which clips were added."""
        starts = [place.num_before for place in self._places.values()]
        return np.searchsorted(starts, numbers.numpy(), side="left") - 1

    def read(self, numbers: Int64[Tensor, " images"]) -> UInt8[Tensor, "images 3 height width"]:
        """Images by their numbers."""
        return rows_of(self._images, numbers)

    def motion(self, numbers: Int64[Tensor, " images"]) -> Float32[Tensor, "images motion"]:
        """The motion at images, by their numbers."""
        return rows_of(self._motion, numbers)

    def passed_through(
        self, network: Callable[[Tensor], Tensor], on_progress: Callable[[int], None] | None = None
    ) -> TemporaryArray:
        """What a network makes of every image, kept as long as the images; reports how many are done.

        Raises:
            OutputError: There is no room for it.
        """
        file = self._files.enter_context(closing(self._open_file()))
        with one_core(), one_core_threads(num_usable_cores(), "cnn") as threads:
            for numbers in torch.split(torch.arange(1, self.num_images + 1), _IMAGES_AT_ONCE):
                for some in threads.map(torch.inference_mode()(network), torch.split(self.read(numbers), _BATCH)):
                    file.append(some.cpu().numpy())
                if on_progress is not None:
                    on_progress(int(numbers[-1]))
        return file

    def seen_by(self, runtime: Runtime, clip: Clip) -> Clip:
        """The clip with the features that this runtime makes of its images and its motion, in a mapped file.

        Raises:
            OutputError: There is no room for them.
        """
        with (
            closing(self._open_file()) as file,
            one_core(),
            one_core_threads(runtime.num_streams, "cnn") as threads,
        ):
            for numbers in torch.split(self._places[clip.entry.video].numbers, _IMAGES_AT_ONCE):
                images = torch.split(self.read(numbers), runtime.batch_images)
                features = torch.cat(list(threads.map(runtime, images)))
                file.append(torch.cat((features, self.motion(numbers)), dim=1).numpy())
            return replace(clip, features=replace(clip.features, features=file.mapped()))

    def _open_file(self) -> TemporaryArray:
        what, hint = "the images of the clips", "name another cache folder"
        return TemporaryArray(what, self._folder, hint)


def rows_of(array: TemporaryArray, numbers: Int64[Tensor, " images"]) -> Shaped[Tensor, "images ..."]:
    """What an array has of images, by their numbers."""
    return torch.from_numpy(array.take(numbers.numpy() - 1))

"""Clips as the pictures that a CNN is given: kept on disk while it is fine-tuned, so that no pass decodes anything.

A picture is its number, from 1 on; so clips of pictures go through the same lanes as clips of features, and what is
read from disk is what a chunk needs.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from videoseq.backbones import Preprocessing
from videoseq.clips import Clip
from videoseq.errors import ModelError, OutputError
from videoseq.features import Progress, one_core_threads
from videoseq.frames import FrameReader
from videoseq.runtimes import Runtime
from videoseq.runtimes.machine import one_core

_PICTURES_AT_ONCE = 256


@dataclass(frozen=True)
class _Place:
    """Where a clip's pictures stand among all: how many are before them, and how many they are."""

    index: int
    num_before: int
    num_pictures: int


class PictureStore:
    """The sampled frames of clips, resized for a CNN, in one file that has no name and is gone with the process.

    Three bytes a pixel: at 224 × 224 and ten steps a second 5.4 GB for an hour of video. Use it as a context manager.

    Args:
        folder: Where the file is to lie.
        preprocessing: The CNN's.

    Raises:
        OutputError: On construction, when nothing can be written there.
    """

    def __init__(self, folder: Path, preprocessing: Preprocessing) -> None:
        self._folder = folder
        self._preprocessing = preprocessing
        self._shape = (3, preprocessing.height, preprocessing.width)
        self._places: dict[Path, _Place] = {}
        self._starts: list[int] = []
        self._num_pictures = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._make_file()
        except OSError as error:
            raise self._refused(error) from None

    def __enter__(self) -> PictureStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def num_bytes(self) -> int:
        """How much room they take."""
        return self._num_pictures * 3 * self._preprocessing.height * self._preprocessing.width

    def add(
        self, clip: Clip, reader: FrameReader, sample_hz: float | None, on_progress: Progress | None = None
    ) -> None:
        """Takes a clip's pictures, one for each row of its features.

        Raises:
            VideoError: The video cannot be read to its end.
            ModelError: It has other frames now than when its features were computed.
            OutputError: There is no room for them.
        """
        num_pictures = 0
        for frame in reader.sampled(sample_hz):
            if frame.image is not None:
                self._append(self._preprocessing.resize(frame.image))
                num_pictures += 1
                if on_progress is not None:
                    on_progress(frame.stamp.index + 1, reader.fraction_read)
        expected = len(clip.features.features)
        if num_pictures != expected:  # its features were kept by another version of OpenCV
            text = f"expected {expected} sampled frames of {clip.entry.video}, got {num_pictures}"
            raise ModelError(f"{text}; name another --cache to compute its features anew")
        self._places[clip.entry.video] = _Place(len(self._starts), self._num_pictures, num_pictures)
        self._starts.append(self._num_pictures)
        self._num_pictures += num_pictures

    def numbered(self, clip: Clip) -> Clip:
        """The clip with its pictures' numbers in the place of features: exact up to 2²⁴, which are 2.5 TB of them."""
        numbers = self._numbers(clip).numpy().astype(np.float32)[:, None]
        return replace(clip, features=replace(clip.features, features=numbers))

    def clip_indices(self, numbers: Int64[Tensor, " pictures"]) -> Int64[np.ndarray, " pictures"]:
        """Which clip each picture is from, in the order in which clips were added."""
        return np.searchsorted(self._starts, numbers.numpy() - 1, side="right") - 1

    def read(self, numbers: Int64[Tensor, " pictures"]) -> UInt8[Tensor, "pictures 3 height width"]:
        """Pictures by their numbers."""
        pictures = np.empty((len(numbers), *self._shape), np.uint8)
        for picture, number in zip(pictures, numbers.tolist(), strict=True):
            self._file.seek((number - 1) * picture.size)
            picture[:] = np.frombuffer(self._file.read(picture.size), np.uint8).reshape(self._shape)
        return torch.from_numpy(pictures)

    def seen_by(self, runtime: Runtime, clip: Clip) -> Clip:
        """The clip with the features that this runtime makes of its pictures, in a mapped file without a name.

        Raises:
            OutputError: There is no room for them.
        """
        shape = len(clip.features.features), runtime.identity.feature_size
        try:
            with self._make_file() as file, one_core(), one_core_threads(runtime.num_streams, "cnn") as threads:
                for numbers in torch.split(self._numbers(clip), _PICTURES_AT_ONCE):
                    for features in threads.map(runtime, torch.split(self.read(numbers), runtime.batch_images)):
                        file.write(features.numpy().tobytes())
                file.flush()
                features_of_clip = np.memmap(file, np.float32, "r", shape=shape)
        except OSError as error:
            raise self._refused(error) from None
        return replace(clip, features=replace(clip.features, features=features_of_clip))

    def _numbers(self, clip: Clip) -> Int64[Tensor, " pictures"]:
        place = self._places[clip.entry.video]
        return torch.arange(place.num_before + 1, place.num_before + place.num_pictures + 1)

    def _append(self, picture: UInt8[Tensor, "3 height width"]) -> None:
        try:
            self._file.write(picture.contiguous().numpy().tobytes())
        except OSError as error:
            raise self._refused(error) from None

    def _make_file(self) -> IO[bytes]:
        return tempfile.TemporaryFile(dir=self._folder)

    def _refused(self, error: OSError) -> OutputError:
        what = f"{self._folder}: the clips' pictures could not be kept; {error.strerror or error}"
        return OutputError(f"{what}; make room there, or name another --cache")

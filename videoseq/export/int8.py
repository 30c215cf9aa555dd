"""A model in 8-bit integers: on which pictures it is calibrated, and whether its labels are still the same."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from videoseq.features.extraction import FeatureChunk, stream_features
from videoseq.features.runtimes import QuantizedNetwork, Runtime
from videoseq.features.runtimes.int8 import Quantization
from videoseq.inference.labels import LabeledFrames, num_equal_answers
from videoseq.inference.whole_video import video_labeler
from videoseq.models.model_folder import ModelFolder
from videoseq.video.frames import FrameReader, Progress

_Video = TypeVar("_Video")

NUM_CALIBRATION_IMAGES = 300
MAX_COMPARED_FRAMES = 50_000
"""Enough to tell an agreement of 99.5 % from 99 %."""
_MIN_FRAMES_PER_VIDEO = 5_000
_MIN_VIDEOS_TO_PART = 6


@dataclass(frozen=True)
class Comparison:
    """Labels from two features of the same frames, side by side.

    Attributes:
        num_frames: Frames compared.
        num_equal: Those among them with one label from both.
        num_images: Pictures of which features were compared.
        cosine_sum: The sum of the cosines between the features of each picture.
        names: The labels from the first of the two.
    """

    num_frames: int = 0
    num_equal: int = 0
    num_images: int = 0
    cosine_sum: float = 0.0
    names: frozenset[str] = frozenset()

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(
            self.num_frames + other.num_frames,
            self.num_equal + other.num_equal,
            self.num_images + other.num_images,
            self.cosine_sum + other.cosine_sum,
            self.names | other.names,
        )

    @property
    def agreement(self) -> float:
        """The share of frames with one label from both."""
        return self.num_equal / self.num_frames if self.num_frames else 0.0

    @property
    def cosine(self) -> float:
        """Between the features, on average."""
        return self.cosine_sum / self.num_images if self.num_images else 0.0


def max_frames_per_video(num_videos: int) -> int:
    """How far into each of so many videos to look: an hour of one, or the beginnings of many."""
    return max(_MIN_FRAMES_PER_VIDEO, MAX_COMPARED_FRAMES // num_videos)


def part_videos(videos: Sequence[_Video]) -> tuple[Sequence[_Video], Sequence[_Video]]:
    """Those to calibrate on and those to compare on: others, where there are enough for both."""
    if len(videos) < _MIN_VIDEOS_TO_PART:
        return videos, videos
    return videos[::2], videos[1::2]


def spread_images(
    reader: FrameReader, contents: ModelFolder, num_images: int, max_frames: int, on_progress: Progress | None = None
) -> list[UInt8[Tensor, "3 height width"]]:
    """So many resized pictures, spread evenly over a video's first frames; fewer if the network looks at fewer.

    Raises:
        VideoError: The video cannot be read.
    """
    resize = contents.backbone.identity.preprocessing.resize
    kept: list[Tensor] = []
    stride, num_seen = 1, 0
    for frame in reader.sampled(contents.config.sample_hz):
        if frame.stamp.index >= max_frames:
            break
        if frame.image is None:
            continue
        if num_seen % stride == 0:
            kept.append(resize(frame.image))
        num_seen += 1
        if len(kept) == 2 * num_images:  # how many there will be is known at the end only
            kept, stride = kept[::2], 2 * stride
        if on_progress is not None:
            on_progress(frame.stamp.index + 1, reader.fraction_read)
    rows = np.linspace(0, len(kept) - 1, min(num_images, len(kept))).round().astype(int)
    return [kept[row] for row in rows]


def compare_labels(
    reader: FrameReader,
    contents: ModelFolder,
    runtimes: tuple[Runtime, Runtime],
    max_frames: int,
    on_progress: Progress | None = None,
) -> Comparison:
    """A video's first frames, labelled with features by one runtime and by another; read once, in bounded memory.

    Raises:
        VideoError: The video cannot be read.
        ModelError: The network answered with something that is not a number.
    """
    found, num_frames = Comparison(), 0
    with (
        closing(_chunks(reader, _Pair(*runtimes), contents.config.sample_hz, on_progress)) as chunks,
        closing(video_labeler(contents.head, contents.classes)) as one,
        closing(video_labeler(contents.head, contents.classes)) as other,
    ):
        for pair in chunks:
            cosines = torch.nn.functional.cosine_similarity(pair[0].features, pair[1].features)
            found += Comparison(num_images=len(cosines), cosine_sum=float(cosines.sum()))
            found += _compare(one.add(pair[0]), other.add(pair[1]))
            num_frames += len(pair[0].index)
            if num_frames >= max_frames:
                break
        found += _compare(one.finish(), other.finish())
    return found


def _compare(ones: Iterable[LabeledFrames], others: Iterable[LabeledFrames]) -> Comparison:
    found = Comparison()
    for one, other in zip(ones, others, strict=True):
        found += Comparison(len(one), num_equal_answers(one.answers, other.answers), names=frozenset(one.names))
    return found


def with_int8(contents: ModelFolder, network: QuantizedNetwork, agreement: float, origin: Quantization) -> ModelFolder:
    """The same model, with a network in 8-bit integers beside its own and what is known of it."""
    shares = {**contents.config.agreement, "int8": round(agreement, 6)}
    config = contents.config.model_copy(update={"agreement": shares, "int8": origin})
    return replace(contents, config=config, quantized=network, sha256="")


def _chunks(
    reader: FrameReader, pair: _Pair, sample_hz: float | None, on_progress: Progress | None
) -> Generator[tuple[FeatureChunk, FeatureChunk], None, None]:
    for chunk in stream_features(reader, pair, sample_hz, on_progress):
        one, other = chunk.features.chunk(2, dim=1)
        yield replace(chunk, features=one), replace(chunk, features=other)


class _Pair(Runtime):
    """Two runtimes of one backbone on the same pictures; their features side by side."""

    def __init__(self, one: Runtime, other: Runtime) -> None:
        self._both = one, other
        self.identity = one.identity.model_copy(update={"feature_size": 2 * one.identity.feature_size})
        self.description = f"{one.description}; {other.description}"
        self.precision = one.precision
        self.num_streams = min(one.num_streams, other.num_streams)
        self.batch_images = one.batch_images

    def __call__(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features"]:
        """Features of resized images."""
        return torch.cat([runtime(images) for runtime in self._both], dim=1)

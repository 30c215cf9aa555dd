"""The labels of one video from the features of two runtimes, compared frame by frame."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import cosine_similarity

from videoseq.features.extraction import FeatureChunk, stream_features
from videoseq.features.motion import MOTION_SIZE
from videoseq.features.runtimes import Runtime
from videoseq.inference.labels import LabeledFrames, num_equal_answers
from videoseq.inference.whole_video import video_labeler
from videoseq.models.model_folder import ModelFolder
from videoseq.video.frames import FrameReader, OnFrames


@dataclass(frozen=True)
class Comparison:
    """How far two ways to compute features give the same labels; comparisons of several videos can be added.

    Attributes:
        num_frames: Frames compared.
        num_equal: Frames with the same label from both.
        num_images: Images whose features were compared.
        cosine_sum: The sum of the cosines between both features of each image, motion left out.
        names: The labels that the first gave.
        num_videos: Videos compared.
    """

    num_frames: int = 0
    num_equal: int = 0
    num_images: int = 0
    cosine_sum: float = 0.0
    names: frozenset[str] = frozenset()
    num_videos: int = 0

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(
            self.num_frames + other.num_frames,
            self.num_equal + other.num_equal,
            self.num_images + other.num_images,
            self.cosine_sum + other.cosine_sum,
            self.names | other.names,
            self.num_videos + other.num_videos,
        )

    @property
    def agreement(self) -> float:
        """The share of frames with the same label from both."""
        return self.num_equal / self.num_frames if self.num_frames else 0.0

    @property
    def cosine(self) -> float:
        """The mean cosine between both features of an image."""
        return self.cosine_sum / self.num_images if self.num_images else 0.0


def compare_labels(
    reader: FrameReader,
    contents: ModelFolder,
    runtimes: tuple[Runtime, Runtime],
    max_frames: int,
    on_progress: OnFrames | None = None,
) -> Comparison:
    """Labels a video's first frames from the features of two runtimes; reads them once, in bounded memory.

    Args:
        reader: The video.
        contents: The model.
        runtimes: The two that compute the features.
        max_frames: Where to stop; a chunk of frames that has begun is compared to its end.
        on_progress: Hears the number of frames and the fraction of the file that was read.

    Raises:
        VideoError: The video cannot be read.
        ModelError: The network computed values that are not finite numbers.
    """
    found, num_frames = Comparison(num_videos=1), 0
    with (
        closing(_chunks(reader, _Pair(*runtimes), contents.config.sample_hz, on_progress)) as chunks,
        closing(video_labeler(contents.head, contents.classes)) as one,
        closing(video_labeler(contents.head, contents.classes)) as other,
    ):
        for pair in chunks:
            cosines = cosine_similarity(pair[0].features[:, :-MOTION_SIZE], pair[1].features[:, :-MOTION_SIZE])
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


def _chunks(
    reader: FrameReader, pair: _Pair, sample_hz: float | None, on_progress: OnFrames | None
) -> Generator[tuple[FeatureChunk, FeatureChunk], None, None]:
    for chunk in stream_features(reader, pair, sample_hz, on_progress):
        size = pair.identity.feature_size // 2
        one, other, motion = chunk.features.tensor_split((size, 2 * size), dim=1)
        yield (
            replace(chunk, features=torch.cat((one, motion), dim=1)),
            replace(chunk, features=torch.cat((other, motion), dim=1)),
        )


class _Pair(Runtime):
    """Two runtimes of one backbone as one; it gives the features of both, concatenated."""

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

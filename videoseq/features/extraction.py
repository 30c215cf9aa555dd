"""Frames → feature vectors: taking frames, resizing them, measuring motion and running the CNN overlap."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar, cast

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from videoseq.features.backbones import BackboneIdentity
from videoseq.features.motion import MOTION_SIZE, MotionTracker
from videoseq.features.runtimes import Runtime
from videoseq.system.processes import check_not_forked
from videoseq.system.torch_devices import one_core, one_core_threads
from videoseq.video.frames import FrameSource, FrameStamp, OnFrames

_CHUNK_FRAMES = 64  # the recurrent network is slow where it is called for every few frames
_MAX_FRAMES_PER_BATCH = 256  # bounds a batch in which few frames are sampled
_QUEUE_BATCHES = 3


@dataclass(frozen=True, eq=False)
class FeatureChunk:
    """Consecutive frames with the features of those among them that were sampled.

    Attributes:
        index: Frame indices.
        seconds: Frame times.
        flags: :class:`videoseq.video.timestamps.FrameFlag` of each frame, as numbers.
        steps: Steps of the network due at each frame; 0 where the frame was not sampled.
        features: One row for each frame with ``steps > 0``: the CNN's features, then motion.
    """

    index: Int[np.ndarray, " frames"]
    seconds: Float[np.ndarray, " frames"]
    flags: Int[np.ndarray, " frames"]
    steps: Int[np.ndarray, " frames"]
    features: Float[Tensor, "sampled features"]

    def __post_init__(self) -> None:
        lengths = [len(part) for part in (self.index, self.seconds, self.flags, self.steps)]
        if len(set(lengths)) != 1:
            raise ValueError(f"expected equal lengths, got {', '.join(map(str, lengths))}")
        if np.count_nonzero(self.steps) != len(self.features):
            raise ValueError(f"expected {np.count_nonzero(self.steps)} feature rows, got {len(self.features)}")


class FeatureSequence(NamedTuple):
    """The features of a video: the time of each sampled frame, and its feature vector.

    Example:
        >>> model.features("clip.mp4")
        FeatureSequence(21 steps, 3860 features)
    """

    seconds: Float[np.ndarray, " steps"]
    features: Float[np.ndarray, "steps features"]

    def __repr__(self) -> str:
        return f"FeatureSequence({self.features.shape[0]} steps, {self.features.shape[1]} features)"


def read_features(source: FrameSource, runtime: Runtime, sample_hz: float | None) -> FeatureSequence:
    """The features of all sampled frames, in memory; the arguments are those of :func:`stream_features`.

    Raises:
        VideoError: The video cannot be read to its end.
    """
    chunks = list(stream_features(source, runtime, sample_hz))
    seconds = np.concatenate([chunk.seconds[chunk.steps > 0] for chunk in chunks])
    return FeatureSequence(seconds, torch.cat([chunk.features for chunk in chunks]).numpy())


def stream_features(
    reader: FrameSource,
    runtime: Runtime,
    sample_hz: float | None,
    on_progress: OnFrames | None = None,
    *,
    reuse_threshold: float = 0.0,
) -> Iterator[FeatureChunk]:
    """The features of a video, chunk by chunk: one thread takes frames and resizes, others run the CNN.

    Args:
        reader: The video.
        runtime: What runs the CNN, in as many threads as it has streams.
        sample_hz: Steps of the network a second.
        on_progress: Called while frames are read, several times per chunk.
        reuse_threshold: A sampled image that differs from the last one computed by at most so many gray levels, on
            average over the resized image, gets that one's features. At 0 only equal images do.

    Raises:
        VideoError: The video cannot be read to its end.
        RuntimeError: This is a fork of a process that computes.
    """
    check_not_forked()
    batches = _image_batches(reader, sample_hz, runtime, reuse_threshold)
    chunks = _chunks(_computed(_in_background(batches, depth=_QUEUE_BATCHES), runtime), runtime, on_progress, reader)
    while True:
        with one_core():  # torch's own threads would spin while they wait for the next small thing to do
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk


def _chunks(
    batches: Iterator[tuple[_Batch, Tensor]], runtime: Runtime, on_progress: OnFrames | None, reader: FrameSource
) -> Iterator[FeatureChunk]:
    waiting = _ChunkBuilder(runtime.identity)
    for batch, computed in batches:
        waiting.add(batch, computed)
        if on_progress is not None:
            on_progress(batch.stamps[-1].index + 1, reader.fraction_read)
        if waiting.num_frames >= _CHUNK_FRAMES:
            yield waiting.take()
    if waiting.num_frames:
        yield waiting.take()


@dataclass(frozen=True, eq=False)
class _Batch:
    """Consecutive frames; ``rows`` says where each sampled one is in ``images``, from 1; 0 is the one before."""

    stamps: list[FrameStamp] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    images: list[UInt8[Tensor, "3 height width"]] = field(default_factory=list)
    motion: list[Float[Tensor, " motion"]] = field(default_factory=list)


def _image_batches(
    reader: FrameSource, sample_hz: float | None, runtime: Runtime, reuse_threshold: float
) -> Iterator[_Batch]:
    resize, tracker = runtime.identity.preprocessing.resize, MotionTracker()
    computed: Tensor | None = None
    batch = _Batch()
    for frame in reader.sampled(sample_hz):
        batch.stamps.append(frame.stamp)
        batch.steps.append(frame.steps)
        if frame.image is not None:
            image = resize(frame.image)
            if computed is None or not _is_still(image, computed, reuse_threshold):
                batch.images.append(image)
                computed = image
            batch.rows.append(len(batch.images))
            batch.motion.append(tracker.step(image, frame.stamp.seconds))
        if len(batch.images) == runtime.batch_images or len(batch.stamps) == _MAX_FRAMES_PER_BATCH:
            yield batch
            batch = _Batch()
    if batch.stamps:
        yield batch


def _is_still(
    image: UInt8[Tensor, "3 height width"], computed: UInt8[Tensor, "3 height width"], threshold: float
) -> bool:
    if threshold == 0.0:
        return torch.equal(image, computed)
    return float((image.to(torch.int16) - computed).abs_().float().mean()) <= threshold


def _computed(batches: Iterator[_Batch], runtime: Runtime) -> Iterator[tuple[_Batch, Float[Tensor, "images features"]]]:
    """Each batch with its images' features, in order; every stream of the runtime is kept busy."""
    pending: deque[tuple[_Batch, Future[Tensor]]] = deque()
    with one_core_threads(runtime.num_streams, "cnn") as threads:
        for batch in batches:
            pending.append((batch, threads.submit(_features_of, batch.images, runtime)))
            if len(pending) > runtime.num_streams + 1:
                first, future = pending.popleft()
                yield first, future.result()
        for last, future in pending:
            yield last, future.result()


def _features_of(images: list[UInt8[Tensor, "3 height width"]], runtime: Runtime) -> Float[Tensor, "batch features"]:
    return runtime(torch.stack(images)) if images else torch.empty(0, runtime.identity.feature_size)


class _ChunkBuilder:
    """Joins batches, which suit the CNN, into chunks, which suit what comes after it."""

    def __init__(self, identity: BackboneIdentity) -> None:
        self._last = torch.empty(0, identity.feature_size)  # features of the image computed last
        self._clear()

    def _clear(self) -> None:
        self.num_frames = 0
        self._batches: list[_Batch] = []
        self._features: list[Float[Tensor, "sampled features"]] = []

    def add(self, batch: _Batch, computed: Float[Tensor, "images features"]) -> None:
        known = torch.cat((self._last if len(self._last) else computed[:1], computed))
        seen = known[torch.tensor(batch.rows, dtype=torch.long)]
        motion = torch.stack(batch.motion) if batch.motion else torch.empty(0, MOTION_SIZE)
        self._features.append(torch.cat((seen, motion), dim=1))
        self._last = known[-1:]
        self._batches.append(batch)
        self.num_frames += len(batch.stamps)

    def take(self) -> FeatureChunk:
        stamps = [stamp for batch in self._batches for stamp in batch.stamps]
        chunk = FeatureChunk(
            index=np.array([stamp.index for stamp in stamps]),
            seconds=np.array([stamp.seconds for stamp in stamps]),
            flags=np.array([int(stamp.flags) for stamp in stamps]),
            steps=np.array([steps for batch in self._batches for steps in batch.steps]),
            features=torch.cat(self._features),
        )
        self._clear()
        return chunk


_T = TypeVar("_T")


def _in_background(items: Iterator[_T], depth: int) -> Iterator[_T]:
    """The same items, made by one thread that stays at most ``depth`` ahead; its errors are raised here."""
    end = object()
    with one_core_threads(1, "decode") as thread:
        ahead = deque(thread.submit(next, items, end) for _ in range(depth))
        try:
            while (item := ahead.popleft().result()) is not end:
                ahead.append(thread.submit(next, items, end))
                yield cast(_T, item)
        finally:
            for future in ahead:
                future.cancel()  # leaving the executor waits for the item in progress, which is not used

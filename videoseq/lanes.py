"""Clips → sequences → batches that carry state: several videos side by side, each in order, chunk after chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor
from torch.utils.data import IterableDataset

from videoseq.annotations import IGNORE_INDEX
from videoseq.clips import Clip
from videoseq.sampling import step_rows


class StepSequence(NamedTuple):
    """A clip as the network meets it: one row per step."""

    features: Float32[np.ndarray, "sampled features"]
    rows: Int64[np.ndarray, " steps"]
    targets: Int64[np.ndarray, " steps"]


_Chunk = tuple[StepSequence, slice]
"""Part of a sequence: these of its steps."""


def to_sequence(clip: Clip) -> StepSequence:
    """The steps of a clip: which feature row each sees, and the target of the frame it is taken at.

    Catch-up steps, which repeat earlier features, have no frame of their own and no target.
    """
    rows, step_of_frame = step_rows(clip.features.steps)
    targets = np.full(len(rows), IGNORE_INDEX, dtype=np.int64)
    is_sampled = clip.features.steps > 0
    targets[step_of_frame[is_sampled]] = clip.targets[is_sampled]
    return StepSequence(clip.features.features, rows - 1, targets)


class LaneBatch(NamedTuple):
    """The next chunk of several videos side by side.

    Attributes:
        features: What the network sees.
        targets: Class indices, ``IGNORE_INDEX`` where unlabelled and where a video has ended.
        is_start: Lanes in which this chunk is a video's first, so that the state is reset.
    """

    features: Float[Tensor, "lanes steps features"]
    targets: Int64[Tensor, "lanes steps"]
    is_start: Bool[Tensor, " lanes"]


class LaneBatches(IterableDataset[LaneBatch]):
    """Ordered chunks of whole videos, several lanes side by side, for truncated backpropagation through time.

    A lane plays one video from its first step to its last, then takes the next one; padding stands only after a
    video's end, where a causal network cannot be disturbed by it. With ``shuffle`` each pass draws a new order and,
    for each video, a new length of its first chunk, from the seed and the number of the pass.
    """

    def __init__(self, clips: Sequence[Clip], lanes: int, chunk_steps: int, *, shuffle: bool, seed: int = 0) -> None:
        super().__init__()
        self._sequences = [to_sequence(clip) for clip in clips]
        self._lanes = min(lanes, len(clips))
        self._chunk_steps = chunk_steps
        self._shuffle = shuffle
        self._seed = seed
        self._num_passes = 0

    def __iter__(self) -> Iterator[LaneBatch]:
        generator = np.random.default_rng((self._seed, self._num_passes))
        self._num_passes += 1
        order = generator.permutation(len(self._sequences)) if self._shuffle else range(len(self._sequences))
        waiting = iter([self._chunks(self._sequences[i], generator) for i in order])
        playing: list[Iterator[_Chunk] | None] = [None] * self._lanes
        while True:
            chunks: list[_Chunk | None] = [None] * self._lanes
            for lane in range(self._lanes):
                chunks[lane], playing[lane] = _next_chunk(playing[lane], waiting)
            if all(chunk is None for chunk in chunks):
                return
            yield self._stack(chunks)

    def _chunks(self, sequence: StepSequence, generator: np.random.Generator) -> Iterator[_Chunk]:
        start = 0
        stop = int(generator.integers(1, self._chunk_steps + 1)) if self._shuffle else self._chunk_steps
        while start < len(sequence.rows):
            yield sequence, slice(start, stop)
            start, stop = stop, stop + self._chunk_steps

    def _stack(self, chunks: Sequence[_Chunk | None]) -> LaneBatch:
        width = self._sequences[0].features.shape[1]
        features = np.zeros((self._lanes, self._chunk_steps, width), dtype=np.float32)
        targets = np.full((self._lanes, self._chunk_steps), IGNORE_INDEX, dtype=np.int64)
        is_start = np.zeros(self._lanes, dtype=bool)
        for lane, chunk in enumerate(chunks):
            if chunk is not None:
                sequence, span = chunk
                rows = sequence.rows[span]
                features[lane, : len(rows)] = sequence.features[rows]
                targets[lane, : len(rows)] = sequence.targets[span]
                is_start[lane] = span.start == 0
        return LaneBatch(torch.from_numpy(features), torch.from_numpy(targets), torch.from_numpy(is_start))


def _next_chunk(
    playing: Iterator[_Chunk] | None, waiting: Iterator[Iterator[_Chunk]]
) -> tuple[_Chunk | None, Iterator[_Chunk] | None]:
    """A lane's next chunk: of the video it plays, else of the next one waiting, else nothing."""
    chunk = next(playing, None) if playing is not None else None
    while chunk is None and (playing := next(waiting, None)) is not None:
        chunk = next(playing, None)
    return chunk, playing

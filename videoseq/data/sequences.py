"""Clips → sequences → batches that carry state: several videos side by side, each in order, chunk after chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.utils.data import IterableDataset

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.data.augmentation import Augmentation, StepSequence
from videoseq.data.dataset import Clip
from videoseq.storage.disk_arrays import release_pages
from videoseq.video.sampling import step_rows

_Chunk = tuple[StepSequence, slice]
"""Part of a sequence: these of its steps."""


def to_sequence(clip: Clip) -> StepSequence:
    """The steps of a clip: which feature row each sees, and the target of the frame it is taken at.

    Catch-up steps, which repeat earlier features, have no frame of their own and no target.
    """
    rows, step_of_frame = step_rows(clip.features.steps)
    targets = np.full((len(rows), *clip.targets.shape[1:]), IGNORE_INDEX, dtype=np.int64)
    is_sampled = clip.features.steps > 0
    targets[step_of_frame[is_sampled]] = clip.targets[is_sampled]
    return StepSequence(clip.features.features, rows - 1, targets)


class LaneBatch(NamedTuple):
    """The next chunk of several videos side by side.

    Attributes:
        features: What the network sees.
        targets: Those of the clips, ``IGNORE_INDEX`` where unlabelled and where a video has ended.
        is_start: Lanes in which this chunk is a video's first, so that the state is reset.
        num_steps: How many steps of each lane there are; padding follows. None if it is all of them.
    """

    features: Float[Tensor, "lanes steps features"]
    targets: Int64[Tensor, "lanes steps ..."]
    is_start: Bool[Tensor, " lanes"]
    num_steps: Int64[Tensor, " lanes"] | None = None


class LaneBatches(IterableDataset[LaneBatch]):
    """Ordered chunks of whole videos, several lanes side by side, for truncated backpropagation through time.

    A lane plays one video from its first step to its last, then takes the next one; padding stands only after a
    video's end, where a causal network cannot be disturbed by it, and a bidirectional one is told of it. With
    ``shuffle`` each pass draws a new order of videos, and each batch a length between half of ``chunk_steps`` and all
    of it, so that the borders move; the augmentation changes the clips. All of it comes from the seed and the number of
    the pass. Several processes (:meth:`share`) draw the same, and each has some lanes of every batch.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        lanes: int,
        chunk_steps: int,
        *,
        shuffle: bool,
        seed: int = 0,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__()
        self._augmentation = augmentation or Augmentation()
        self._clips = clips
        self._num_lanes = min(lanes, len(clips))
        self._chunk_steps = chunk_steps
        self._shuffle = shuffle
        self._seed = seed
        self._num_passes = 0
        self._rank, self._num_ranks = 0, 1

    def share(self, rank: int, num_ranks: int) -> None:
        """Leaves to process ``rank`` of ``num_ranks`` its lanes of every batch; with none, there are no batches."""
        self._rank, self._num_ranks = rank, num_ranks

    def begin_pass(self, number: int) -> None:
        """Goes on with a pass, counted from 0, as if those before it had been."""
        self._num_passes = number

    def __iter__(self) -> Iterator[LaneBatch]:
        generator = np.random.default_rng((self._seed, self._num_passes))
        self._num_passes += 1
        if self._rank >= self._num_lanes:
            return
        order = generator.permutation(len(self._clips)) if self._shuffle else range(len(self._clips))
        waiting = (self._augmentation.stretched(to_sequence(self._clips[i]), generator) for i in order)
        lanes = [_Lane(waiting) for _ in range(self._num_lanes)]
        shortest = (self._chunk_steps + 1) // 2 if self._shuffle else self._chunk_steps
        while True:
            num_steps = int(generator.integers(shortest, self._chunk_steps, endpoint=True))
            chunks = [lane.take(num_steps) for lane in lanes]
            if all(chunk is None for chunk in chunks):
                return
            yield self._stack(chunks, num_steps, generator)

    def _stack(self, chunks: Sequence[_Chunk | None], num_steps: int, generator: np.random.Generator) -> LaneBatch:
        width = self._clips[0].features.features.shape[1]
        num_own = len(chunks[self._rank :: self._num_ranks])
        features = np.empty((num_own, num_steps, width), dtype=np.float32)
        targets = np.full((num_own, num_steps, *self._clips[0].targets.shape[1:]), IGNORE_INDEX, dtype=np.int64)
        is_start = np.zeros(num_own, dtype=bool)
        num_taken = np.zeros(num_own, dtype=np.int64)
        for number, chunk in enumerate(chunks):
            lane, rank = divmod(number, self._num_ranks)
            if rank != self._rank:
                if chunk is not None:  # another process adds this noise: it is drawn here to be past it
                    shape = len(chunk[0].rows[chunk[1]]), width
                    self._augmentation.add_noise(np.zeros(shape, np.float32), generator)
                continue
            if chunk is not None:
                sequence, span = chunk
                num_taken[lane] = taken = len(sequence.rows[span])
                sequence.take(span, features[lane, :taken])
                release_pages(sequence.features)
                self._augmentation.add_noise(features[lane, :taken], generator)
                targets[lane, :taken] = sequence.targets[span]
                is_start[lane] = span.start == 0
            features[lane, num_taken[lane] :] = 0.0
        return LaneBatch(*(torch.from_numpy(array) for array in (features, targets, is_start, num_taken)))


class _Lane:
    """Plays one video after another, those that ``waiting`` still has, so many steps at a time."""

    def __init__(self, waiting: Iterator[StepSequence]) -> None:
        self._waiting = waiting
        self._playing: StepSequence | None = None
        self._position = 0

    def take(self, num_steps: int) -> _Chunk | None:
        """The next steps of the video, fewer at its end; None when there is no video any more."""
        if self._playing is None or self._position >= len(self._playing.rows):
            self._playing, self._position = next(self._waiting, None), 0
        if self._playing is None:
            return None
        span = slice(self._position, self._position + num_steps)
        self._position = span.stop
        return self._playing, span

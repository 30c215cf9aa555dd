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


class SequenceBatch(NamedTuple):
    """The next chunk of several videos side by side.

    Attributes:
        features: What the network sees.
        targets: Those of the clips, ``IGNORE_INDEX`` where unlabeled and where a video has ended.
        is_start: Rows in which this chunk is a video's first, so that the state is reset.
        num_steps: How many steps of each row there are; padding follows. None if it is all of them.
    """

    features: Float[Tensor, "batch steps features"]
    targets: Int64[Tensor, "batch steps ..."]
    is_start: Bool[Tensor, " batch"]
    num_steps: Int64[Tensor, " batch"] | None = None


class SequenceBatches(IterableDataset[SequenceBatch]):
    """Ordered chunks of whole videos, several videos in a batch, for truncated backpropagation through time.

    A row of the batches goes through one video from its first step to its last, then through the next one. Padding
    comes only after a video's end, where it cannot change the output of a causal network; a bidirectional network is
    told where it begins. With ``shuffle`` each pass draws a new order of videos, and each batch a length from half of
    ``tbptt_steps`` to all of it, so that the borders move; the augmentation changes the clips. All of this comes from
    the seed and the number of the pass. Several processes (:meth:`share`) draw the same, and each has some rows of
    every batch.

    Args:
        clips: All of one task.
        batch_size: Videos side by side, at most.
        tbptt_steps: Steps of a chunk, at most.
        shuffle: Whether orders and lengths are drawn.
        seed: Of all that is drawn.
        augmentation: What the clips undergo; nothing by default.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        batch_size: int,
        tbptt_steps: int,
        *,
        shuffle: bool,
        seed: int = 0,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__()
        self._augmentation = augmentation or Augmentation()
        self._clips = clips
        self._batch_size = min(batch_size, len(clips))
        self._tbptt_steps = tbptt_steps
        self._shuffle = shuffle
        self._seed = seed
        self._num_passes = 0
        self._rank, self._num_ranks = 0, 1

    def share(self, rank: int, num_ranks: int) -> None:
        """Gives process ``rank`` of ``num_ranks`` its rows of every batch; a process without rows gets no batches."""
        self._rank, self._num_ranks = rank, num_ranks

    def begin_pass(self, number: int) -> None:
        """Continues with a pass, counted from 0, as if the passes before it were done."""
        self._num_passes = number

    def __iter__(self) -> Iterator[SequenceBatch]:
        generator = np.random.default_rng((self._seed, self._num_passes))
        self._num_passes += 1
        if self._rank >= self._batch_size:
            return
        order = generator.permutation(len(self._clips)) if self._shuffle else range(len(self._clips))
        waiting = (self._augmentation.stretched(to_sequence(self._clips[i]), generator) for i in order)
        rows = [_Row(waiting) for _ in range(self._batch_size)]
        shortest = (self._tbptt_steps + 1) // 2 if self._shuffle else self._tbptt_steps
        while True:
            num_steps = int(generator.integers(shortest, self._tbptt_steps, endpoint=True))
            chunks = [row.take(num_steps) for row in rows]
            if all(chunk is None for chunk in chunks):
                return
            yield self._stack(chunks, num_steps, generator)

    def _stack(self, chunks: Sequence[_Chunk | None], num_steps: int, generator: np.random.Generator) -> SequenceBatch:
        width = self._clips[0].features.features.shape[1]
        num_own = len(chunks[self._rank :: self._num_ranks])
        features = np.empty((num_own, num_steps, width), dtype=np.float32)
        targets = np.full((num_own, num_steps, *self._clips[0].targets.shape[1:]), IGNORE_INDEX, dtype=np.int64)
        is_start = np.zeros(num_own, dtype=bool)
        num_taken = np.zeros(num_own, dtype=np.int64)
        for number, chunk in enumerate(chunks):
            row, rank = divmod(number, self._num_ranks)
            if rank != self._rank:
                if chunk is not None:  # another process adds this noise; all draw the same
                    shape = len(chunk[0].rows[chunk[1]]), width
                    self._augmentation.add_noise(np.zeros(shape, np.float32), generator)
                continue
            if chunk is not None:
                sequence, span = chunk
                num_taken[row] = taken = len(sequence.rows[span])
                sequence.take(span, features[row, :taken])
                release_pages(sequence.features)
                self._augmentation.add_noise(features[row, :taken], generator)
                targets[row, :taken] = sequence.targets[span]
                is_start[row] = span.start == 0
            features[row, num_taken[row] :] = 0.0
        return SequenceBatch(*(torch.from_numpy(array) for array in (features, targets, is_start, num_taken)))


class _Row:
    """Goes through one video after another, those that ``waiting`` still has, so many steps at a time."""

    def __init__(self, waiting: Iterator[StepSequence]) -> None:
        self._waiting = waiting
        self._sequence: StepSequence | None = None
        self._position = 0

    def take(self, num_steps: int) -> _Chunk | None:
        """The next steps of the video, fewer at its end; None when no video is left."""
        if self._sequence is None or self._position >= len(self._sequence.rows):
            self._sequence, self._position = next(self._waiting, None), 0
        if self._sequence is None:
            return None
        span = slice(self._position, self._position + num_steps)
        self._position = span.stop
        return self._sequence, span

"""Feature chunks of one video → labels of all its frames: in one pass, or in two where the head looks ahead.

What waits for the second pass, which begins at the video's end, lies in temporary files: for each step its components,
in an ensemble those of every member, and what the first pass says of it, 4 bytes for each component and each class, and
40 bytes for each frame.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing

import numpy as np
import torch
from torch import Tensor

from videoseq.annotations.types import ClassNames
from videoseq.features.extraction import FeatureChunk
from videoseq.inference.labels import LabeledFrames
from videoseq.inference.streaming import LabelQueue, SequenceLabeler
from videoseq.models.bidirectional import BidirectionalRNN
from videoseq.models.ensemble import Ensemble
from videoseq.models.head import Head
from videoseq.models.state import RNNState
from videoseq.storage.disk_arrays import TemporaryArray
from videoseq.system.torch_devices import one_core
from videoseq.video.sampling import step_rows

_ROWS_AT_ONCE = 1024
_FRAME = np.dtype(
    [("index", np.int64), ("seconds", np.float64), ("flags", np.int64), ("steps", np.int64), ("row", np.int64)]
)


def label_chunks(head: Head, chunks: Iterable[FeatureChunk], classes: ClassNames) -> Iterator[LabeledFrames]:
    """The labels of a whole video, in order, in bounded memory; where the head looks ahead, none before the last chunk.

    Raises:
        ModelError: The network answered with something that is not a number.
        OutputError: There is no room for temporary files.
    """
    with closing(video_labeler(head, classes)) as labeler:
        for chunk in chunks:
            yield from labeler.add(chunk)
        yield from labeler.finish()


def video_labeler(head: Head, classes: ClassNames) -> VideoLabeler:
    """What labels one video; it is to be closed.

    Raises:
        OutputError: The head looks ahead, and no temporary file can be made.
    """
    if not head.looks_ahead:
        return _OnePass(head, classes)
    assert isinstance(head, (BidirectionalRNN, Ensemble))
    return _TwoPasses(head, classes)


class VideoLabeler(ABC):
    """Takes a video's features chunk by chunk, and gives the labels of its frames in order when they are known."""

    @abstractmethod
    def add(self, chunk: FeatureChunk) -> list[LabeledFrames]:
        """Takes the next frames; the labels that are known by now and were not before.

        Raises:
            ModelError: The network answered with something that is not a number.
            OutputError: There is no room for temporary files.
        """

    @abstractmethod
    def finish(self) -> Iterator[LabeledFrames]:
        """The labels that were not known before it was clear that no frame follows; raises what :meth:`add` does."""

    @abstractmethod
    def close(self) -> None:
        """Gives back what it holds."""


class _OnePass(VideoLabeler):
    """Knows every label at once, or as soon as decoding does."""

    def __init__(self, head: Head, classes: ClassNames) -> None:
        self._sequence = SequenceLabeler(head)
        self._classes = classes

    def add(self, chunk: FeatureChunk) -> list[LabeledFrames]:
        return [self._sequence.label(chunk, self._classes)]

    def finish(self) -> Iterator[LabeledFrames]:
        yield from self._sequence.finish()

    def close(self) -> None:
        """Holds nothing."""


class _TwoPasses(VideoLabeler):
    """Goes over the steps as they come, and at the end over the same from the last to the first."""

    def __init__(self, head: BidirectionalRNN | Ensemble, classes: ClassNames) -> None:
        self._head = head
        self._classes = classes
        self._state: RNNState | None = None
        self._last_features = torch.zeros(1, head.vector_size)
        with ExitStack() as files:
            self._frames, self._components, self._logits = (
                files.enter_context(closing(TemporaryArray("intermediate results"))) for _ in range(3)
            )
            self._logits.append(np.zeros((1, head.num_classes), np.float32))  # of frames before the first step
            self._files = files.pop_all()

    def close(self) -> None:
        self._files.close()

    def add(self, chunk: FeatureChunk) -> list[LabeledFrames]:
        rows, step_of_frame = step_rows(chunk.steps)
        seen = torch.cat((self._last_features, chunk.features))  # row 0: the features before this chunk
        self._last_features = seen[-1:]
        with one_core(), torch.inference_mode():
            components = self._head.reduce(seen[torch.from_numpy(rows)][None])
            logits, self._state = self._head.from_past(components, self._state)
        frames = np.empty(len(chunk.index), _FRAME)
        frames["index"], frames["seconds"], frames["flags"] = chunk.index, chunk.seconds, chunk.flags
        frames["steps"], frames["row"] = chunk.steps, step_of_frame + len(self._logits)
        self._frames.append(frames)
        self._components.append(components[0].numpy())
        self._logits.append(logits[0].numpy())
        return []

    def finish(self) -> Iterator[LabeledFrames]:
        self._add_the_future()
        queue = LabelQueue(self._head)
        for start in range(0, len(self._frames), _ROWS_AT_ONCE):
            frames = self._frames.read(start, start + _ROWS_AT_ONCE)
            first, last = int(frames["row"][0]), int(frames["row"][-1])
            logits = torch.from_numpy(self._logits.read(first, last + 1)[frames["row"] - first])
            index, seconds, flags, steps = (frames[name] for name in ("index", "seconds", "flags", "steps"))
            yield queue.push(self._classes, index, seconds, flags, steps, logits)
        yield from queue.finish()

    def _add_the_future(self) -> None:
        """The second pass: completes every step's logits, of which the first row is no step's."""
        state: RNNState | None = None
        for stop in range(len(self._components), 0, -_ROWS_AT_ONCE):
            start = max(0, stop - _ROWS_AT_ONCE)
            components: Tensor = torch.from_numpy(self._components.read(start, stop))[None]
            with one_core(), torch.inference_mode():
                logits, state = self._head.from_future(components, state)
            self._logits.write(start + 1, self._logits.read(start + 1, stop + 1) + logits[0].numpy())

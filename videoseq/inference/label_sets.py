"""Logits → the classes of each frame, any number of them → segments of each class.

In ``clip.mp4.frames.csv`` the label is the classes of the frame joined by ``|``, nothing where there is none; in
``clip.mp4.segments.csv`` each class has segments of its own, which overlap those of others.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from videoseq.annotations.multilabel import joined
from videoseq.annotations.types import ClassNames, Segment
from videoseq.inference.labels import LabelledFrames, check_finite
from videoseq.inference.segments import SegmentBuilder


@dataclass(frozen=True, eq=False)
class FrameLabelSets(LabelledFrames):
    """Any number of classes for each of consecutive frames; probabilities are the sigmoid of the logits.

    Attributes:
        is_active: Which classes each frame has: those whose probability reaches the class's threshold.
    """

    is_active: Bool[np.ndarray, "frames classes"]

    @property
    def answers(self) -> Int[np.ndarray, "frames classes"]:
        """1 where a frame has a class, else 0."""
        return self.is_active.astype(np.int64)

    @property
    def sets(self) -> list[tuple[str, ...]]:
        """Each frame's classes, in their order."""
        return [tuple(self.classes[i] for i in np.flatnonzero(row)) for row in self.is_active]

    @property
    def names(self) -> list[str]:
        """Each frame's classes, joined; empty where there is none."""
        return [joined(names) for names in self.sets]

    @property
    def confidence(self) -> Float[np.ndarray, " frames"]:
        """The probability of the frame's least sure answer: of the class where it is there, of its absence else."""
        of_answers = np.where(self.is_active, self.probabilities, 1.0 - self.probabilities)
        least_sure: np.ndarray = of_answers.min(axis=1)
        return least_sure

    def segments(self, end_seconds: float) -> list[Segment]:
        """The runs of each class; ``end_seconds`` is where the last frame ends."""
        builder = ClassSegmentBuilder()
        return [*builder.add(self), *builder.finish(end_seconds)]


def decode_sets(
    classes: ClassNames,
    index: Int[np.ndarray, " frames"],
    seconds: Float[np.ndarray, " frames"],
    flags: Int[np.ndarray, " frames"],
    logits: Float[torch.Tensor, "frames classes"],
    thresholds: Float[torch.Tensor, " classes"],
) -> FrameLabelSets:
    """The classes whose probability reaches their threshold.

    Raises:
        ModelError: A logit is not a number; answering with no class would be a lie.
    """
    check_finite(logits, index)
    probabilities = torch.sigmoid(logits.double()).numpy()
    return FrameLabelSets(classes, index, seconds, flags, probabilities, probabilities >= thresholds.double().numpy())


@dataclass
class _Run:
    """A class that is there, from its first frame on."""

    start_frame: int
    start_seconds: float
    confidence_sum: float = 0.0


@dataclass(order=True)
class _Ended:
    """A segment in the order of the file: by its start, then by its class."""

    start_frame: int
    class_index: int
    segment: Segment = field(compare=False)


class ClassSegmentBuilder(SegmentBuilder):
    """Joins the frames of each class into segments while frames arrive, sorted by their start, then by class.

    It remembers one segment of each class, and those that must wait for one that began earlier and has not ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self._classes = ClassNames(["none yet"])
        self._open: dict[int, _Run] = {}
        self._ended: list[_Ended] = []

    def add(self, labels: LabelledFrames) -> Iterator[Segment]:
        """The segments that these frames end, as far as nothing stands before them."""
        self._classes = labels.classes
        rows = zip(
            labels.index.tolist(), labels.seconds.tolist(), labels.answers.tolist(), labels.probabilities.tolist(),
            strict=True,
        )  # fmt: skip
        for frame, seconds, answers, probabilities in rows:
            for index, (is_active, probability) in enumerate(zip(answers, probabilities, strict=True)):
                if is_active:
                    self._open.setdefault(index, _Run(frame, seconds)).confidence_sum += probability
                elif index in self._open:
                    self._end(index, seconds)
            self._next_frame = frame + 1
        yield from self._sorted()

    def finish(self, stop_seconds: float) -> Iterator[Segment]:
        """The segments still open, ending at ``stop_seconds``, and those that waited for them."""
        for index in list(self._open):
            self._end(index, stop_seconds)
        yield from self._sorted()

    def _end(self, index: int, stop_seconds: float) -> None:
        run = self._open.pop(index)
        mean = run.confidence_sum / (self._next_frame - run.start_frame)
        name = self._classes[index]
        segment = Segment(run.start_seconds, stop_seconds, run.start_frame, self._next_frame, name, mean)
        heapq.heappush(self._ended, _Ended(run.start_frame, index, segment))

    def _sorted(self) -> Iterator[Segment]:
        """Those that no open one will stand before."""
        first_open = min(((run.start_frame, index) for index, run in self._open.items()), default=None)
        while self._ended and (
            first_open is None or (self._ended[0].start_frame, self._ended[0].class_index) < first_open
        ):
            yield heapq.heappop(self._ended).segment

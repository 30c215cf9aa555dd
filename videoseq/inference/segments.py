"""Labels of frames → segments, as frames come.

Where a frame has several classes, each class has segments of its own, which may overlap those of others.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from videoseq.annotations.segments import Segment
from videoseq.annotations.types import ClassNames
from videoseq.inference.labels import LabeledFrames, SegmentBuilder


class MulticlassSegmentBuilder(SegmentBuilder):
    """Joins equal labels into segments while frames arrive; it remembers one segment only."""

    def __init__(self) -> None:
        self._label: str | None = None
        self._start_frame = 0
        self._start_seconds = 0.0
        self._next_frame = 0
        self._confidence_sum = 0.0

    def add(self, labels: LabeledFrames) -> Iterator[Segment]:
        """The segments that these frames end; a segment stops where the next one's first frame starts."""
        rows = zip(
            labels.index.tolist(),
            labels.seconds.tolist(),
            labels.names,
            labels.confidence.tolist(),
            strict=True,
        )
        for frame, seconds, label, confidence in rows:
            if label != self._label:
                yield from self.finish(seconds)
                self._label, self._start_frame, self._start_seconds, self._confidence_sum = (
                    label,
                    frame,
                    seconds,
                    0.0,
                )
            self._next_frame = frame + 1
            self._confidence_sum += confidence

    def finish(self, stop_seconds: float) -> Iterator[Segment]:
        """The segment still open, ending at ``stop_seconds``."""
        if self._label is not None:
            mean = self._confidence_sum / (self._next_frame - self._start_frame)
            yield Segment(self._start_seconds, stop_seconds, self._start_frame, self._next_frame, self._label, mean)
        self._label = None


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


class MultilabelSegmentBuilder(SegmentBuilder):
    """Joins the frames of each class into segments while frames arrive, sorted by their start, then by class.

    It remembers one segment of each class, and those that must wait for one that began earlier and has not ended.
    """

    def __init__(self) -> None:
        self._next_frame = 0
        self._classes = ClassNames(["none yet"])
        self._open: dict[int, _Run] = {}
        self._ended: list[_Ended] = []

    def add(self, labels: LabeledFrames) -> Iterator[Segment]:
        """The segments that these frames end, as far as no earlier segment is still open."""
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
        """Those that no open segment can still precede."""
        first_open = min(((run.start_frame, index) for index, run in self._open.items()), default=None)
        while self._ended and (
            first_open is None or (self._ended[0].start_frame, self._ended[0].class_index) < first_open
        ):
            yield heapq.heappop(self._ended).segment

"""Labels of frames → segments, as frames come."""

from __future__ import annotations

from collections.abc import Iterator

from videoseq.annotations.types import Segment
from videoseq.inference.labels import LabelledFrames


class SegmentBuilder:
    """Joins equal labels into segments while frames arrive; it remembers one segment only."""

    def __init__(self) -> None:
        self._label: str | None = None
        self._start_frame = 0
        self._start_seconds = 0.0
        self._next_frame = 0
        self._confidence_sum = 0.0

    def add(self, labels: LabelledFrames) -> Iterator[Segment]:
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

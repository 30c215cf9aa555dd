"""Logits → labels → segments → files.

``clip.mp4.frames.csv`` has one row per native frame, ``clip.mp4.segments.csv`` one per run of equal labels, half-open
in frames and in seconds. Numbers have fixed decimals, so that two runs can be compared byte for byte.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from jaxtyping import Float, Int

from videoseq.annotations.types import ClassNames
from videoseq.inference.labels import LabelledFrames, Segment, check_finite
from videoseq.jobs.plan import label_paths
from videoseq.storage.files import staged_file
from videoseq.video.timestamps import FrameFlag

_SECONDS = ".6f"
_PROBABILITY = ".4f"


@dataclass(frozen=True, eq=False)
class FrameLabels(LabelledFrames):
    """One class for each of consecutive frames; probabilities are the softmax of the logits.

    Attributes:
        class_index: Each frame's label as an index into ``classes``: the most probable, or what decoding made of it.
    """

    class_index: Int[np.ndarray, " frames"]

    @property
    def answers(self) -> Int[np.ndarray, " frames"]:
        """The class indices."""
        return self.class_index

    @property
    def names(self) -> list[str]:
        """Each frame's label."""
        return [self.classes[i] for i in self.class_index]

    @property
    def confidence(self) -> Float[np.ndarray, " frames"]:
        """The probability of each frame's label."""
        of_label: np.ndarray = np.take_along_axis(self.probabilities, self.class_index[:, None], axis=1)[:, 0]
        return of_label

    def segments(self, end_seconds: float) -> list[Segment]:
        """The runs of equal labels; ``end_seconds`` is where the last frame ends."""
        builder = SegmentBuilder()
        return [*builder.add(self), *builder.finish(end_seconds)]


def decode(
    classes: ClassNames,
    index: Int[np.ndarray, " frames"],
    seconds: Float[np.ndarray, " frames"],
    flags: Int[np.ndarray, " frames"],
    logits: Float[torch.Tensor, "frames classes"],
) -> FrameLabels:
    """Probabilities from logits, the most probable classes as labels.

    Raises:
        ModelError: A logit is not a number; answering with the first class would be a lie.
    """
    check_finite(logits, index)
    probabilities = torch.softmax(logits.double(), dim=1).numpy()
    return FrameLabels(classes, index, seconds, flags, probabilities, probabilities.argmax(axis=1))


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


class LabelWriter:
    """Writes both files of a video while labels arrive; they appear when :meth:`finish` was called, else not.

    Use it as a context manager. Memory does not grow with the video.

    Args:
        target: As of :func:`~videoseq.jobs.plan.label_paths`.
        classes: The model's.
        has_raw: Whether labels may differ from the most probable classes, which then get a column, ``raw_label``.
        segments: What makes segments of the labels; by default runs of equal ones.

    Raises:
        OutputError: A file cannot be written; what stood there before still stands.
    """

    def __init__(
        self, target: Path, classes: ClassNames, *, has_raw: bool = False, segments: SegmentBuilder | None = None
    ) -> None:
        self._target = target
        self._has_raw = has_raw
        self._classes = classes
        self._segments = segments or SegmentBuilder()
        self._is_finished = False
        self._stack = ExitStack()

    def __enter__(self) -> LabelWriter:
        frames_path, segments_path = label_paths(self._target)
        with ExitStack() as stack:
            segments_file = stack.enter_context(staged_file(segments_path))
            frames_file = stack.enter_context(staged_file(frames_path))
            self._stack = stack.pop_all()
        self._files = frames_file, segments_file
        self._frame_rows = csv.writer(frames_file, lineterminator="\n")
        self._segment_rows = csv.writer(segments_file, lineterminator="\n")
        probabilities = [f"p_{name}" for name in self._classes]
        raw = ["raw_label"] if self._has_raw else []
        self._frame_rows.writerow(["frame", "time_s", "label", "confidence", *probabilities, "flags", *raw])
        self._segment_rows.writerow(["start_s", "stop_s", "start_frame", "stop_frame", "label", "confidence"])
        return self

    def add(self, labels: LabelledFrames) -> None:
        """Appends rows for these frames."""
        rows = zip(
            labels.index.tolist(), labels.seconds.tolist(), labels.names, labels.confidence.tolist(),
            labels.probabilities.tolist(), labels.flags.tolist(),
            [[name] for name in labels.raw_names] if self._has_raw else [[]] * len(labels), strict=True,
        )  # fmt: skip
        self._frame_rows.writerows(
            [
                frame,
                format(seconds, _SECONDS),
                label,
                format(confidence, _PROBABILITY),
                *(format(p, _PROBABILITY) for p in ps),
                FrameFlag(flags).text,
                *raw,
            ]
            for frame, seconds, label, confidence, ps, flags, raw in rows
        )
        self._write_segments(self._segments.add(labels))

    def finish(self, end_seconds: float) -> None:
        """Says that all frames have come; ``end_seconds`` is where the last one ends."""
        self._write_segments(self._segments.finish(end_seconds))
        for file in self._files:  # both are safe before the first takes its place
            file.flush()
            os.fsync(file.fileno())
        self._is_finished = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self._is_finished:
            unfinished = ValueError("LabelWriter: expected finish() to be called; nothing was written")
            self._stack.__exit__(ValueError, unfinished, None)
            raise unfinished
        self._stack.__exit__(kind, error, trace)

    def _write_segments(self, segments: Iterator[Segment]) -> None:
        self._segment_rows.writerows(
            [format(s.start_seconds, _SECONDS), format(s.stop_seconds, _SECONDS), s.start_frame, s.stop_frame, s.label,
             format(s.confidence, _PROBABILITY)]
            for s in segments
        )  # fmt: skip

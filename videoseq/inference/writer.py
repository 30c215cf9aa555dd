"""Labels → frames.csv and segments.csv, which appear when the video is done."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from videoseq.annotations.types import ClassNames, Segment
from videoseq.inference.labels import LabeledFrames
from videoseq.inference.paths import label_paths
from videoseq.inference.segments import SegmentBuilder
from videoseq.storage.files import staged_file
from videoseq.video.timestamps import FrameFlag

_SECONDS = ".6f"
_PROBABILITY = ".4f"


class LabelWriter:
    """Writes both files of a video while labels arrive; they appear when :meth:`finish` was called, else not.

    Use it as a context manager. Memory does not grow with the video.

    Args:
        target: As of :func:`~videoseq.inference.paths.label_paths`.
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

    def add(self, labels: LabeledFrames) -> None:
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

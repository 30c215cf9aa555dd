"""Labels → frames.csv and segments.csv, which appear when the video is done."""

from __future__ import annotations

import csv
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from videoseq.inference.labels import LabeledFrames, SegmentBuilder
from videoseq.inference.paths import label_paths
from videoseq.inference.tables import SEGMENT_COLUMNS, frame_rows, segment_rows
from videoseq.storage.files import staged_file


class LabelWriter:
    """Writes both files of a video while labels arrive; they appear only if :meth:`finish` was called.

    Use it as a context manager. Memory does not grow with the video.

    Args:
        target: As of :func:`~videoseq.inference.paths.label_paths`.

    Raises:
        OutputError: A file cannot be written; an older file of the same name is kept.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._segments: SegmentBuilder | None = None
        self._is_finished = False
        self._stack = ExitStack()

    def __enter__(self) -> LabelWriter:
        frames_path, segments_path = label_paths(self._target)
        with ExitStack() as stack:
            segments_file = stack.enter_context(staged_file(segments_path))
            frames_file = stack.enter_context(staged_file(frames_path))
            self._stack = stack.pop_all()
        self._files = frames_file, segments_file
        self._frame_table = csv.writer(frames_file, lineterminator="\n")
        self._segment_table = csv.writer(segments_file, lineterminator="\n")
        self._segment_table.writerow(SEGMENT_COLUMNS)
        return self

    def add(self, labels: LabeledFrames) -> None:
        """Appends rows for these frames, which follow those added before."""
        columns = labels.columns
        if self._segments is None:
            self._segments = labels.segment_builder()
            self._frame_table.writerow(columns)
        self._frame_table.writerows(frame_rows(columns))
        self._segment_table.writerows(segment_rows(self._segments.add(labels)))

    def finish(self, end_seconds: float) -> None:
        """Ends the last segments after the last frame; ``end_seconds`` is where that frame ends."""
        if self._segments is not None:
            self._segment_table.writerows(segment_rows(self._segments.finish(end_seconds)))
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

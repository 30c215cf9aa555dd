"""How much of each class a run found: frames and segments, added up from the files of its videos."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from videoseq.jobs.result import Result


class ClassCounts:
    """Frames and segments of each class over the videos that were labeled; takes no memory per video.

    Args:
        out: The output folder.

    Attributes:
        num_frames: Frames of all videos that were counted.
        frames: Frames of each class; with multilabel models their sum may be another one than ``num_frames``.
        segments: Segments of each class.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self.num_frames = 0
        self.frames: Counter[str] = Counter()
        self.segments: Counter[str] = Counter()

    def add(self, result: Result) -> None:
        """Adds a video, from its table of segments; a failed one has none, and one that was moved away is left out."""
        for name in result.outputs:
            if name.endswith(".segments.csv"):
                self._add_table(self._out / name, result.num_frames)

    def shares(self) -> dict[str, float]:
        """The fraction of the frames that has each class, the largest first."""
        return {label: number / self.num_frames for label, number in self.frames.most_common()}

    def _add_table(self, path: Path, num_frames: int) -> None:
        frames: Counter[str] = Counter()
        segments: Counter[str] = Counter()
        try:
            with path.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    frames[row["label"]] += int(row["stop_frame"]) - int(row["start_frame"])
                    segments[row["label"]] += 1
        except (OSError, ValueError, KeyError, TypeError, csv.Error):  # moved or replaced: a statistic stops no run
            return
        self.num_frames += num_frames
        self.frames += frames
        self.segments += segments

"""Labels as rows of text: seconds and probabilities have fixed decimals, so that runs can be compared byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from videoseq.annotations.segments import Segment

SEGMENT_COLUMNS = ("start_s", "stop_s", "start_frame", "stop_frame", "label", "confidence")

_SECONDS = ".6f"
_PROBABILITY = ".4f"


def frame_rows(columns: Mapping[str, Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    """The rows of ``frames.csv``, from the columns of :attr:`~videoseq.inference.labels.LabeledFrames.columns`."""
    return zip(*(_as_text(name, values) for name, values in columns.items()), strict=True)


def segment_rows(segments: Iterable[Segment]) -> Iterator[tuple[Any, ...]]:
    """The rows of ``segments.csv``, which has the columns :data:`SEGMENT_COLUMNS`."""
    for one in segments:
        times = format(one.start_seconds, _SECONDS), format(one.stop_seconds, _SECONDS)
        yield *times, one.start_frame, one.stop_frame, one.label, format(one.confidence, _PROBABILITY)


def _as_text(name: str, values: Sequence[Any]) -> Sequence[Any]:
    if name == "time_s":
        return [format(value, _SECONDS) for value in values]
    if name == "confidence" or name.startswith("p_"):
        return [format(value, _PROBABILITY) for value in values]
    return values

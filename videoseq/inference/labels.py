"""What labels of frames have in common, whether a frame has one class or several."""

from __future__ import annotations

import csv
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int

from videoseq.annotations.segments import Segment
from videoseq.annotations.types import ClassNames
from videoseq.errors import ConfigError, ModelError
from videoseq.inference.tables import frame_rows
from videoseq.storage.files import check_free, staged_file
from videoseq.video.timestamps import FrameFlag

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Labels = TypeVar("Labels", bound="LabeledFrames")


class SegmentBuilder(ABC):
    """Joins labels into segments while frames arrive."""

    @abstractmethod
    def add(self, labels: LabeledFrames) -> Iterator[Segment]:
        """The segments that these frames, which follow those added before, end."""

    @abstractmethod
    def finish(self, stop_seconds: float) -> Iterator[Segment]:
        """The segments that have not ended yet; they end at ``stop_seconds``."""


@dataclass(frozen=True, eq=False, repr=False)
class LabeledFrames(ABC):
    """What labels of consecutive frames have in common, one class a frame or several.

    Attributes:
        classes: What the columns of ``probabilities`` mean.
        index: Frame indices.
        seconds: Frame times.
        flags: :class:`videoseq.video.timestamps.FrameFlag` of each frame, as numbers.
        probabilities: Of every class.
        has_raw_labels: Whether labels may differ from the most probable classes, which then have a column of their own.
        duration_seconds: Where the last frame ends; None of a part of a video.
    """

    classes: ClassNames
    index: Int[np.ndarray, " frames"]
    seconds: Float[np.ndarray, " frames"]
    flags: Int[np.ndarray, " frames"]
    probabilities: Float[np.ndarray, "frames classes"]
    has_raw_labels: bool = field(default=False, kw_only=True)
    duration_seconds: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        expected, columns = (len(self.index), len(self.classes)), (self.seconds, self.flags, self.answers)
        if self.probabilities.shape != expected or {len(column) for column in columns} != {len(self.index)}:
            got = f"{self.probabilities.shape}, {', '.join(str(len(column)) for column in columns)}"
            raise ValueError(f"expected probabilities of shape {expected}, times, flags and labels, got {got}")

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        end = "" if self.duration_seconds is None else f", {self.duration_seconds:.1f} s"
        return f"{type(self).__name__}({len(self)} frames, {len(self.classes)} classes{end})"

    @property
    @abstractmethod
    def answers(self) -> Int[np.ndarray, "frames ..."]:
        """The labels as targets are written: a class index, or a 0 or 1 for each class."""

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """Each frame's label as text."""

    @property
    @abstractmethod
    def confidence(self) -> Float[np.ndarray, " frames"]:
        """How sure each frame's label is, from 0 to 1."""

    @abstractmethod
    def segment_builder(self) -> SegmentBuilder:
        """A new builder of segments of such labels."""

    @property
    def raw_names(self) -> list[str]:
        """Each frame's most probable class."""
        return [self.classes[i] for i in self.probabilities.argmax(axis=1)]

    @property
    def columns(self) -> dict[str, list[Any]]:
        """The table of ``frames.csv``: by the name of each column a value for each frame."""
        return {
            "frame": self.index.tolist(),
            "time_s": self.seconds.tolist(),
            "label": self.names,
            "confidence": self.confidence.tolist(),
            **{f"p_{name}": self.probabilities[:, i].tolist() for i, name in enumerate(self.classes)},
            "flags": [FrameFlag(flags).text for flags in self.flags.tolist()],
            **({"raw_label": self.raw_names} if self.has_raw_labels else {}),
        }

    def segments(self) -> list[Segment]:
        """The runs of equal labels, of several classes those of each class, in order of their start.

        Raises:
            ValueError: These are the labels of a part of a video, of which it is not known where the last frame ends.
        """
        if self.duration_seconds is None:
            raise ValueError("duration_seconds: expected where the last frame ends, got None; label the whole video")
        builder = self.segment_builder()
        return [*builder.add(self), *builder.finish(self.duration_seconds)]

    def to_pandas(self) -> pd.DataFrame:
        """A pandas table with a row for each frame and the columns of ``frames.csv``.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise ConfigError('to_pandas: pandas is not installed: pip install "videoseq[pandas]"') from None
        return pd.DataFrame(self.columns)

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draws the segments over time, a row for each class.

        Args:
            axes: Where to draw; by default a new figure of pyplot, which a notebook shows.

        Returns:
            The axes, as matplotlib knows them.
        """
        from matplotlib import pyplot as plt

        from videoseq.inference.drawing import draw_segments

        segments = self.segments()
        assert self.duration_seconds is not None  # segments() has made sure
        if axes is None:
            _, axes = plt.subplots(figsize=(9.0, 0.6 + 0.3 * len(self.classes)), layout="constrained")
        draw_segments(axes, segments, self.classes, self.duration_seconds)
        return axes

    def write(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Writes the CSV file that ``videoseq label`` calls ``frames.csv``: a row for each frame.

        Args:
            path: The file.
            overwrite: Whether a file of this name may be replaced.

        Raises:
            OutputError: There is such a file already, or it cannot be written; what it held is kept.
        """
        check_free(Path(path), overwrite=overwrite)
        with staged_file(Path(path)) as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(self.columns)
            table.writerows(frame_rows(self.columns))

    def part(self: Labels, frames: slice) -> Labels:
        """Some of them."""
        columns: dict[str, Any] = {name: getattr(self, name)[frames] for name in _array_names(self)}
        return replace(self, **columns, duration_seconds=None)


def check_finite(logits: Float[torch.Tensor, "frames classes"], index: Int[np.ndarray, " frames"]) -> None:
    """Refuses logits that are no numbers.

    Raises:
        ModelError: The message names the first such frame.
    """
    if not torch.isfinite(logits).all():
        first = int(index[int((~torch.isfinite(logits)).any(dim=1).nonzero()[0])])
        raise ModelError(f"frame {first}: expected finite logits, got NaN or infinity; the model is damaged")


def num_equal_answers(one: Int[np.ndarray, "frames ..."], other: Int[np.ndarray, "frames ..."]) -> int:
    """On how many frames two labels are the same."""
    return int((one == other).reshape(len(one), -1).all(axis=1).sum())


def joined_labels(parts: Sequence[Labels], duration_seconds: float | None = None) -> Labels:
    """The labels of consecutive parts, one or more, as those of one; the last one ends at ``duration_seconds``."""
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in _array_names(parts[0])
    }
    return replace(parts[0], **joined, duration_seconds=duration_seconds)


def _array_names(labels: LabeledFrames) -> list[str]:
    return [one.name for one in fields(labels) if isinstance(getattr(labels, one.name), np.ndarray)]

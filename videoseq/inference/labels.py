"""What labels of frames have in common, whether a frame has one class or several."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int

from videoseq.annotations.types import ClassNames, Segment
from videoseq.errors import ModelError

Labels = TypeVar("Labels", bound="LabeledFrames")


@dataclass(frozen=True, eq=False)
class LabeledFrames(ABC):
    """What labels of consecutive frames have in common, one class a frame or several.

    Attributes:
        classes: What the columns of ``probabilities`` mean.
        index: Frame indices.
        seconds: Frame times.
        flags: :class:`videoseq.video.timestamps.FrameFlag` of each frame, as numbers.
        probabilities: Of every class.
    """

    classes: ClassNames
    index: Int[np.ndarray, " frames"]
    seconds: Float[np.ndarray, " frames"]
    flags: Int[np.ndarray, " frames"]
    probabilities: Float[np.ndarray, "frames classes"]

    def __post_init__(self) -> None:
        expected, columns = (len(self.index), len(self.classes)), (self.seconds, self.flags, self.answers)
        if self.probabilities.shape != expected or {len(column) for column in columns} != {len(self.index)}:
            got = f"{self.probabilities.shape}, {', '.join(str(len(column)) for column in columns)}"
            raise ValueError(f"expected probabilities of shape {expected}, times, flags and labels, got {got}")

    def __len__(self) -> int:
        return len(self.index)

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
    def segments(self, end_seconds: float) -> list[Segment]:
        """The segments, in order of their start; ``end_seconds`` is where the last frame ends."""

    def part(self: Labels, frames: slice) -> Labels:
        """Some of them."""
        return replace(self, **{name: getattr(self, name)[frames] for name in _columns(self)})

    @property
    def raw_names(self) -> list[str]:
        """Each frame's most probable class."""
        return [self.classes[i] for i in self.probabilities.argmax(axis=1)]


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


def joined_labels(parts: Sequence[Labels]) -> Labels:
    """The labels of consecutive stretches of frames, one or more, as those of one."""
    joined: dict[str, Any] = {name: np.concatenate([getattr(p, name) for p in parts]) for name in _columns(parts[0])}
    return replace(parts[0], **joined)


def _columns(labels: LabeledFrames) -> list[str]:
    return [field.name for field in fields(labels) if field.name != "classes"]

"""Logits → labels → segments → files.

``clip.mp4.frames.csv`` has one row per native frame, ``clip.mp4.segments.csv`` one per run of equal labels, half-open
in frames and in seconds. Numbers have fixed decimals, so that two runs can be compared byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from videoseq.annotations.types import ClassNames, Segment
from videoseq.inference.labels import LabelledFrames, check_finite
from videoseq.inference.segments import SegmentBuilder


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

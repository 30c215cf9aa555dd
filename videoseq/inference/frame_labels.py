"""Logits → labels: one class for each frame, or any number of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from videoseq.annotations.multilabel import joined
from videoseq.annotations.types import ClassNames
from videoseq.inference.labels import LabeledFrames, SegmentBuilder, check_finite
from videoseq.inference.segments import MulticlassSegmentBuilder, MultilabelSegmentBuilder


@dataclass(frozen=True, eq=False, repr=False)
class FrameLabels(LabeledFrames):
    """One class for each of consecutive frames; probabilities are the softmax of the logits.

    Attributes:
        class_index: Each frame's label as an index into ``classes``: the most probable, or what decoding made of it.

    Example:
        >>> labels = model.label("clip.mp4")
        >>> labels.to_pandas().columns[:4].tolist()
        ['frame', 'time_s', 'label', 'confidence']
        >>> labels.probabilities.shape
        (60, 2)
        >>> axes = labels.plot()
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

    def segment_builder(self) -> SegmentBuilder:
        """Joins runs of equal labels."""
        return MulticlassSegmentBuilder()


@dataclass(frozen=True, eq=False, repr=False)
class FrameLabelSets(LabeledFrames):
    """Any number of classes for each of consecutive frames; probabilities are the sigmoid of the logits.

    Attributes:
        is_active: Which classes each frame has: those whose probability reaches the class's threshold.

    Example:
        >>> import numpy as np
        >>> classes, probabilities = videoseq.ClassNames(["eat", "walk"]), np.array([[0.9, 0.8], [0.1, 0.7]])
        >>> index, seconds, flags = np.arange(2), np.array([0.0, 0.04]), np.zeros(2, int)
        >>> videoseq.FrameLabelSets(classes, index, seconds, flags, probabilities, probabilities > 0.5).names
        ['eat|walk', 'walk']
    """

    is_active: Bool[np.ndarray, "frames classes"]

    @property
    def answers(self) -> Int[np.ndarray, "frames classes"]:
        """1 where a frame has a class, else 0."""
        return self.is_active.astype(np.int64)

    @property
    def sets(self) -> list[tuple[str, ...]]:
        """Each frame's classes, in their order."""
        return [tuple(self.classes[i] for i in np.flatnonzero(row)) for row in self.is_active]

    @property
    def names(self) -> list[str]:
        """Each frame's classes, joined; empty where there is none."""
        return [joined(names) for names in self.sets]

    @property
    def confidence(self) -> Float[np.ndarray, " frames"]:
        """The probability of the frame's least sure answer: of the class where it is there, of its absence else."""
        of_answers = np.where(self.is_active, self.probabilities, 1.0 - self.probabilities)
        least_sure: np.ndarray = of_answers.min(axis=1)
        return least_sure

    def segment_builder(self) -> SegmentBuilder:
        """Joins the frames of each class."""
        return MultilabelSegmentBuilder()


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


def decode_sets(
    classes: ClassNames,
    index: Int[np.ndarray, " frames"],
    seconds: Float[np.ndarray, " frames"],
    flags: Int[np.ndarray, " frames"],
    logits: Float[torch.Tensor, "frames classes"],
    thresholds: Float[torch.Tensor, " classes"],
) -> FrameLabelSets:
    """The classes whose probability reaches their threshold.

    Raises:
        ModelError: A logit is not a number; answering with no class would be a lie.
    """
    check_finite(logits, index)
    probabilities = torch.sigmoid(logits.double()).numpy()
    return FrameLabelSets(classes, index, seconds, flags, probabilities, probabilities >= thresholds.double().numpy())

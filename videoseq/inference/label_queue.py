"""Logits of one video's frames → their labels, in order, where decoding may have them wait for later ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from videoseq.annotations.types import ClassNames
from videoseq.inference.frame_labels import FrameLabels, decode
from videoseq.inference.label_sets import decode_sets
from videoseq.inference.labels import LabelledFrames, joined_labels
from videoseq.models.ensemble import Head
from videoseq.models.thresholds import thresholds_of


class LabelQueue:
    """Frames come with logits, and leave with labels as the head's decoding or its thresholds have them.

    Args:
        head: The logits'.
    """

    def __init__(self, head: Head) -> None:
        self._thresholds = thresholds_of(head)
        self._decoding = head.decoding
        self._decoder = head.decoding.start(head.num_classes)
        self._waiting: list[FrameLabels] = []

    def push(
        self,
        classes: ClassNames,
        index: Int[np.ndarray, " frames"],
        seconds: Float[np.ndarray, " frames"],
        flags: Int[np.ndarray, " frames"],
        steps: Int[np.ndarray, " frames"],
        logits: Float[Tensor, "frames classes"],
    ) -> LabelledFrames:
        """Takes the next frames; those that are decided: of these, or where decoding looks ahead of earlier ones.

        Args:
            classes: In the order of the logits.
            index: The frames'.
            seconds: Their times.
            flags: As of :class:`~videoseq.features.extraction.FeatureChunk`.
            steps: Of the network, taken at each of them.
            logits: Of each of them.

        Raises:
            ModelError: A logit is not a number.
        """
        if self._thresholds is not None:
            return decode_sets(classes, index, seconds, flags, logits, self._thresholds)
        raw = decode(classes, index, seconds, flags, logits)
        decided = self._decoder.push(raw.probabilities, steps)
        frames = joined_labels([*self._waiting, raw])
        ready, rest = frames.part(slice(len(decided))), frames.part(slice(len(decided), None))
        self._waiting = [rest] if len(rest) else []
        return replace(ready, class_index=decided)

    def finish(self) -> list[LabelledFrames]:
        """The frames that wait for later ones, when there are no more; nothing where none does."""
        decided = self._decoder.finish()
        waiting, self._waiting = self._waiting, []
        return [replace(frames, class_index=decided) for frames in waiting]

    def state_dict(self) -> dict[str, Tensor]:
        """All that the next label depends on, as tensors to be saved.

        Raises:
            ModelError: Labels look ahead, and the frames that wait for theirs are part of no state.
        """
        self._decoding.check_causal()
        return self._decoder.state_dict()

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from where :meth:`state_dict` was taken."""
        self._decoder.load_state_dict(tensors)

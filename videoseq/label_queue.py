"""The labels of one video's frames, in order, where decoding may have them wait for later ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Int
from torch import Tensor

from videoseq.label_decoding import Decoding
from videoseq.labels import FrameLabels


class LabelQueue:
    """Most probable classes → labels as a head's decoding has them, however much later.

    Args:
        decoding: The head's.
        num_classes: How many classes there are.
    """

    def __init__(self, decoding: Decoding, num_classes: int) -> None:
        self._decoding = decoding
        self._decoder = decoding.start(num_classes)
        self._waiting: list[FrameLabels] = []

    def push(self, raw: FrameLabels, steps: Int[np.ndarray, " frames"]) -> FrameLabels:
        """Takes the next frames; those that are decided: of these, or where decoding looks ahead of earlier ones.

        Args:
            raw: The next frames with their most probable classes.
            steps: Of the network, taken at each of them.
        """
        decided = self._decoder.push(raw.probabilities, steps)
        frames = FrameLabels.join([*self._waiting, raw]) if self._waiting else raw
        ready, rest = frames.part(slice(len(decided))), frames.part(slice(len(decided), None))
        self._waiting = [rest] if len(rest) else []
        return replace(ready, class_index=decided)

    def finish(self) -> list[FrameLabels]:
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

"""Frames → steps → frames: each step is decoded once, and each frame gets the label of its step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from videoseq.models.decoding.base import LabelDecoder
from videoseq.video.sampling import step_rows


class FrameDecoder:
    """Probabilities of one video's consecutive frames → their labels, in order, however much later.

    A step counts with the probabilities of the frame that it was taken at; steps that catch up, of which no frame
    shows the answer, count with those of the frame before.

    Args:
        decoder: Decides about steps.
        num_classes: How many classes there are.
    """

    def __init__(self, decoder: LabelDecoder, num_classes: int) -> None:
        self._decoder = decoder
        self._last_probabilities = np.zeros((1, num_classes))
        self._last_label = -1
        self._num_waiting_steps = 0
        # Of each frame that waits: how many steps after the last one that has a label.
        self._waiting = np.empty(0, np.int64)

    def push(
        self, probabilities: Float[np.ndarray, "frames classes"], steps: Int[np.ndarray, " frames"]
    ) -> Int64[np.ndarray, " decided"]:
        """The labels of the next frames that are decided: of these, or with a delay of earlier ones.

        Args:
            probabilities: Of the next frames.
            steps: Taken at each of them.
        """
        rows, step_of_frame = step_rows(steps)
        known = np.concatenate((self._last_probabilities, probabilities[steps > 0]))
        self._last_probabilities = known[-1:]
        self._waiting = np.concatenate((self._waiting, step_of_frame + 1 + self._num_waiting_steps))
        self._num_waiting_steps += len(rows)
        return self._take(self._decoder.push(known[rows]))

    def finish(self) -> Int64[np.ndarray, " decided"]:
        """The labels of the frames that still wait, when there are no more."""
        return self._take(self._decoder.finish())

    def _take(self, decided: Int64[np.ndarray, " steps"]) -> Int64[np.ndarray, " decided"]:
        known = np.concatenate(([self._last_label], decided))
        num_frames = int(np.searchsorted(self._waiting, len(decided), side="right"))
        labels: np.ndarray = known[self._waiting[:num_frames]]
        self._last_label = int(known[-1])
        self._waiting = self._waiting[num_frames:] - len(decided)
        self._num_waiting_steps -= len(decided)
        return labels

    def state_dict(self) -> dict[str, Tensor]:
        """All that the next labels depend on, as tensors to be saved."""
        return {
            **self._decoder.state_dict(),
            "last_probabilities": torch.from_numpy(self._last_probabilities),
            "last_label": torch.tensor(self._last_label),
            "num_waiting_steps": torch.tensor(self._num_waiting_steps),
            "waiting": torch.from_numpy(self._waiting),
        }

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from where :meth:`state_dict` was taken."""
        self._decoder.load_state_dict(tensors)
        self._last_probabilities = tensors["last_probabilities"].numpy()
        self._last_label = int(tensors["last_label"])
        self._num_waiting_steps = int(tensors["num_waiting_steps"])
        self._waiting = tensors["waiting"].numpy()

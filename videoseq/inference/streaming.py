"""Feature chunks of one video → logits and labels of its frames, chunk by chunk or frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from videoseq.annotations.types import ClassNames
from videoseq.errors import ModelError
from videoseq.features.extraction import FeatureChunk
from videoseq.inference.frame_labels import FrameLabels, decode, decode_sets
from videoseq.inference.labels import LabeledFrames, joined_labels
from videoseq.models.head import Head
from videoseq.models.state import RNNState
from videoseq.system.torch_devices import one_core
from videoseq.video.sampling import step_rows

_DECODING = "decoding."


class LabelQueue:
    """Frames come with logits, and leave with labels as the head's decoding or its thresholds have them.

    Args:
        head: The logits'.
    """

    def __init__(self, head: Head) -> None:
        self._thresholds = head.thresholds
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
    ) -> LabeledFrames:
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
        raw = replace(decode(classes, index, seconds, flags, logits), has_raw_labels=self._decoding.is_on)
        decided = self._decoder.push(raw.probabilities, steps)
        frames = joined_labels([*self._waiting, raw])
        ready, rest = frames.part(slice(len(decided))), frames.part(slice(len(decided), None))
        self._waiting = [rest] if len(rest) else []
        return replace(ready, class_index=decided)

    def finish(self) -> list[LabeledFrames]:
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


class SequenceLabeler:
    """Feature chunks of one video → a logit vector per native frame; the state lives as long as the video.

    Raises:
        ModelError: The head looks ahead, so that no frame can be labeled before the last one is there.
    """

    def __init__(self, head: Head) -> None:
        if head.looks_ahead:
            raise ModelError(
                "expected a head that looks at no later frame, got a bidirectional one, which labels whole videos "
                "only; take a model that was trained with head.bidirectional=false"
            )
        self._head = head
        self._state: RNNState = head.initial_state()
        self._last_features: Float[Tensor, "1 features"] = torch.zeros(1, head.vector_size)
        self._last_logits: Float[Tensor, "1 classes"] = torch.zeros(1, head.num_classes)
        self._queue = LabelQueue(head)

    def label(self, chunk: FeatureChunk, classes: ClassNames) -> LabeledFrames:
        """Labels of the next frames that are decided: of these, or where decoding looks ahead of earlier ones.

        Raises:
            ModelError: The network answered with something that is not a number.
        """
        return self.decode(chunk, self.push(chunk), classes)

    def decode(
        self, chunk: FeatureChunk, logits: Float[Tensor, "frames classes"], classes: ClassNames
    ) -> LabeledFrames:
        """The labels for what :meth:`push` has just given, as :meth:`label` gives them."""
        return self._queue.push(classes, chunk.index, chunk.seconds, chunk.flags, chunk.steps, logits)

    def finish(self) -> list[LabeledFrames]:
        """The labels of the frames that wait for later ones, when there are no more."""
        return self._queue.finish()

    def push(self, chunk: FeatureChunk) -> Float[Tensor, "frames classes"]:
        """Logits of the next frames; a frame at which no step is due gets those of the step before."""
        rows, step_of_frame = step_rows(chunk.steps)
        seen = torch.cat((self._last_features, chunk.features))  # row 0: the features before this chunk
        self._last_features = seen[-1:]
        with one_core(), torch.inference_mode():
            logits, self._state = self._head(seen[torch.from_numpy(rows)][None], self._state)
        known = torch.cat((self._last_logits, logits[0]))
        self._last_logits = known[-1:]
        return known[torch.from_numpy(step_of_frame + 1)]

    def state_dict(self) -> dict[str, Tensor]:
        """All that the next frame's label depends on, as tensors to be saved.

        Raises:
            ModelError: Labels look ahead.
        """
        return {
            **self._state.tensors(), "last_features": self._last_features, "last_logits": self._last_logits,
            **{f"{_DECODING}{name}": tensor for name, tensor in self._queue.state_dict().items()},
        }  # fmt: skip

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from where :meth:`state_dict` was taken.

        Raises:
            ModelError: The state is another network's.
        """
        expected = self.state_dict()
        for name, tensor in expected.items():
            got = tuple(tensors[name].shape) if name in tensors else "nothing"
            if got != tuple(tensor.shape):
                raise ModelError(
                    f"state: {name}: expected shape {tuple(tensor.shape)}, got {got}; it is another model's state"
                )
        self._state = RNNState(**{name: tensors[name] for name in self._state.tensors()})
        self._last_features, self._last_logits = tensors["last_features"], tensors["last_logits"]
        of_queue = {name.removeprefix(_DECODING): tensors[name] for name in expected if name.startswith(_DECODING)}
        self._queue.load_state_dict(of_queue)

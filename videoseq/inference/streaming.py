"""Feature chunks of one video → logits and labels of its frames, chunk by chunk or frame by frame."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from videoseq.annotations.types import ClassNames
from videoseq.errors import ModelError
from videoseq.features.extraction import FeatureChunk
from videoseq.inference.label_queue import LabelQueue
from videoseq.inference.labels import LabelledFrames
from videoseq.models.ensemble import Head
from videoseq.models.state import RNNState
from videoseq.system.torch_devices import one_core
from videoseq.video.sampling import step_rows

_DECODING = "decoding."


class SequenceLabeler:
    """Feature chunks of one video → a logit vector per native frame; the state lives as long as the video.

    Raises:
        ModelError: The head looks ahead, so that no frame can be labelled before the last one is there.
    """

    def __init__(self, head: Head) -> None:
        if head.looks_ahead:
            raise ModelError(
                "expected a head that looks at no later frame, got a bidirectional one, which labels whole videos "
                "only; take a model that was trained with head.bidirectional=false"
            )
        self._head = head
        self._state: RNNState = head.initial_state()
        self._last_features: Float[Tensor, "1 features"] = torch.zeros(1, head.feature_size)
        self._last_logits: Float[Tensor, "1 classes"] = torch.zeros(1, head.num_classes)
        self._queue = LabelQueue(head)

    def label(self, chunk: FeatureChunk, classes: ClassNames) -> LabelledFrames:
        """Labels of the next frames that are decided: of these, or where decoding looks ahead of earlier ones.

        Raises:
            ModelError: The network answered with something that is not a number.
        """
        return self.decode(chunk, self.push(chunk), classes)

    def decode(
        self, chunk: FeatureChunk, logits: Float[Tensor, "frames classes"], classes: ClassNames
    ) -> LabelledFrames:
        """The labels for what :meth:`push` has just given, as :meth:`label` gives them."""
        return self._queue.push(classes, chunk.index, chunk.seconds, chunk.flags, chunk.steps, logits)

    def finish(self) -> list[LabelledFrames]:
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

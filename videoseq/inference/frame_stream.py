"""One frame → its label, as frames come: for cameras and other sources that no file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from videoseq.annotations.types import ClassNames
from videoseq.errors import ModelError
from videoseq.features.extraction import FeatureChunk
from videoseq.features.motion import MotionTracker
from videoseq.features.runtimes import Runtime
from videoseq.inference.streaming import SequenceLabeler
from videoseq.models.head import Head
from videoseq.system.processes import check_not_forked
from videoseq.video.frames import Frame, Image
from videoseq.video.images import FrameNumbering
from videoseq.video.sampling import Sampler

_MOTION = "motion."


@dataclass(frozen=True, eq=False)
class FrameLabel:
    """The label of one frame.

    Attributes:
        index: The frame's, from 0.
        seconds: The frame's time.
        label: Its class; of a multilabel model its classes joined by ``|``.
        confidence: How sure the label is, from 0 to 1.
        probabilities: Of every class, in the order of the model's classes.
        logits: The same before softmax or sigmoid.

    Example:
        >>> stream = model.stream(fps=30)
        >>> frame = next(videoseq.read_frames("clip.mp4"))
        >>> stream.step(frame.image)
        FrameLabel(index=0, seconds=0.0, label='dark', confidence=...)
    """

    index: int
    seconds: float
    label: str
    confidence: float
    probabilities: Float[np.ndarray, " classes"] = field(repr=False)
    logits: Float[Tensor, " classes"] = field(repr=False)


class FrameStream:
    """Labels the frames of one video as they come, each from itself and the ones before it.

    Args:
        head: The model's.
        runtime: What runs the CNN.
        classes: In the order of the logits.
        sample_hz: Steps of the network a second; None for every frame.
        fps: Images a second, where they come without times.

    Raises:
        ConfigError: ``fps`` is no number above 0.
        ModelError: The model looks ahead.
        RuntimeError: This is a fork of a process that computes.

    Example:
        >>> model.stream(fps=30)
        FrameStream(0 frames so far, 2 classes)
    """

    def __init__(
        self, head: Head, runtime: Runtime, classes: ClassNames, sample_hz: float | None, fps: float | None = None
    ) -> None:
        check_not_forked()
        head.decoding.check_causal()
        self._runtime = runtime
        self._classes = classes
        self._sampler = Sampler(sample_hz)
        self._motion = MotionTracker()
        self._sequence = SequenceLabeler(head)
        self._numbering = FrameNumbering(fps)

    def __repr__(self) -> str:
        return f"FrameStream({self._numbering.next_index} frames so far, {len(self._classes)} classes)"

    def step(self, image: Image | Frame, seconds: float | None = None) -> FrameLabel:
        """The label of the next frame.

        Args:
            image: uint8 RGB of shape (height, width, 3); or a frame, which has an index and a time of its own.
            seconds: When an image was recorded, since the first one; without it, ``fps`` tells.

        Raises:
            ConfigError: An image has no time.
            VideoError: The frame does not come after the one before it.
            ModelError: The network answered with something that is not a number.
            RuntimeError: This is a fork of a process that computes.
        """
        check_not_forked()
        frame = self._numbering.number(image, seconds)
        steps = self._sampler.steps(frame.seconds)
        identity = self._runtime.identity
        features = torch.empty(0, identity.vector_size)
        if steps:
            resized = identity.preprocessing.resize(frame.image)
            motion = self._motion.step(resized, frame.seconds)
            features = torch.cat((self._runtime(resized[None]), motion[None]), dim=1)
        chunk = FeatureChunk(
            np.array([frame.index]), np.array([frame.seconds]), np.zeros(1, np.int64), np.array([steps]), features
        )
        logits = self._sequence.push(chunk)
        labels = self._sequence.decode(chunk, logits, self._classes)
        return FrameLabel(
            frame.index, frame.seconds, labels.names[0], float(labels.confidence[0]), labels.probabilities[0], logits[0]
        )

    def state_dict(self) -> dict[str, Tensor]:
        """All that the next frame's label depends on, as tensors to be saved."""
        tick = -1 if self._sampler.tick is None else self._sampler.tick
        own = {"tick": torch.tensor(tick), "next_index": torch.tensor(self._numbering.next_index)}
        motion = {f"{_MOTION}{name}": tensor for name, tensor in self._motion.state_dict().items()}
        return {**self._sequence.state_dict(), **own, **motion}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from where :meth:`state_dict` was taken.

        Raises:
            ModelError: The state is another model's.
        """
        of_motion = [f"{_MOTION}{name}" for name in self._motion.state_dict()]
        for name in ("tick", "next_index", *of_motion):
            if name not in tensors:
                raise ModelError(f"state: expected {name}, got none; it is not the state of a frame stream")
        self._sequence.load_state_dict(tensors)
        self._motion.load_state_dict({name.removeprefix(_MOTION): tensors[name] for name in of_motion})
        tick = int(tensors["tick"])
        self._sampler.tick = None if tick < 0 else tick
        self._numbering.next_index = int(tensors["next_index"])

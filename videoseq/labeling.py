"""One video through all of it: frames → features → logits → labels, the state carried from the first frame to the last.

A whole file, its frames one by one, and stored features all go through :class:`SequenceLabeler`, so that they cannot
come to different labels.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from videoseq.annotations import ClassNames
from videoseq.bundle import Bundle, load_bundle
from videoseq.ensemble import Head
from videoseq.errors import ModelError, VideoError
from videoseq.facts import ReadFacts
from videoseq.features import FeatureChunk, Progress, stream_features
from videoseq.frames import Frame, FrameReader
from videoseq.hysteresis import Hysteresis
from videoseq.label_sets import ClassSegmentBuilder, decode_sets
from videoseq.labelled_frames import LabelledFrames, joined_labels
from videoseq.labels import LabelWriter, SegmentBuilder, decode
from videoseq.model import RNNState
from videoseq.runtimes import Runtime, RuntimeChoice, select_runtime
from videoseq.runtimes.machine import one_core
from videoseq.safe_file import FileWatch
from videoseq.sampling import Sampler, step_rows
from videoseq.thresholds import thresholds_of
from videoseq.video import VideoReader


class SequenceLabeler:
    """Feature chunks of one video → a logit vector per native frame; the state lives as long as the video."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._state: RNNState = head.initial_state()
        self._last_features: Float[Tensor, "1 features"] = torch.zeros(1, head.feature_size)
        self._last_logits: Float[Tensor, "1 classes"] = torch.zeros(1, head.num_classes)
        self._hysteresis = Hysteresis(float(head.hysteresis))
        self._thresholds = thresholds_of(head)

    def label(self, chunk: FeatureChunk, classes: ClassNames) -> LabelledFrames:
        """Labels of the next frames.

        Raises:
            ModelError: The network answered with something that is not a number.
        """
        return self.decode(chunk, self.push(chunk), classes)

    def decode(
        self, chunk: FeatureChunk, logits: Float[Tensor, "frames classes"], classes: ClassNames
    ) -> LabelledFrames:
        """The labels for what :meth:`push` has just given."""
        if self._thresholds is not None:
            return decode_sets(classes, chunk.index, chunk.seconds, chunk.flags, logits, self._thresholds)
        return decode(classes, chunk.index, chunk.seconds, chunk.flags, logits, self._hysteresis)

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
        """All that the next frame's label depends on, as tensors to be saved."""
        return {
            **self._state.tensors(), "last_features": self._last_features, "last_logits": self._last_logits,
            "label": torch.tensor(self._hysteresis.label),
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
        self._hysteresis.label = int(tensors["label"])


@dataclass(frozen=True, eq=False)
class FrameLabel:
    """The label of one frame, in multilabel its classes joined by ``|``; ``logits`` are in the order of the classes."""

    index: int
    seconds: float
    label: str
    confidence: float
    logits: Float[Tensor, " classes"]


class FrameLabeler:
    """Labels frames as they come, each from itself and the ones before it."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._sampler = Sampler(model.sample_hz)
        self._sequence = SequenceLabeler(model.bundle.head)

    def step(self, frame: Frame) -> FrameLabel:
        """The label of the next frame.

        Raises:
            ModelError: The network answered with something that is not a number.
        """
        steps = self._sampler.steps(frame.seconds)
        runtime = self._model.runtime
        features = torch.empty(0, runtime.identity.feature_size)
        if steps:
            features = runtime(runtime.identity.preprocessing.resize(frame.image)[None])
        chunk = FeatureChunk(
            np.array([frame.index]), np.array([frame.seconds]), np.zeros(1, np.int64), np.array([steps]), features
        )
        logits = self._sequence.push(chunk)
        labels = self._sequence.decode(chunk, logits, self._model.classes)
        return FrameLabel(frame.index, frame.seconds, labels.names[0], float(labels.confidence[0]), logits[0])

    def state_dict(self) -> dict[str, Tensor]:
        """All that the next frame's label depends on, as tensors to be saved."""
        tick = -1 if self._sampler.tick is None else self._sampler.tick
        return {**self._sequence.state_dict(), "tick": torch.tensor(tick)}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from where :meth:`state_dict` was taken.

        Raises:
            ModelError: The state is another model's.
        """
        if "tick" not in tensors:
            raise ModelError("state: expected a tick, got none; it is no frame labeler's state")
        self._sequence.load_state_dict(tensors)
        tick = int(tensors["tick"])
        self._sampler.tick = None if tick < 0 else tick


class Model:
    """A trained model, ready to label.

    Attributes:
        bundle: What its folder holds.
        runtime: How its backbone runs here.
    """

    def __init__(self, bundle: Bundle, runtime: Runtime) -> None:
        self.bundle = bundle
        self.runtime = runtime
        self.classes = bundle.classes
        self.sample_hz = bundle.description.sample_hz

    def labeler(self) -> FrameLabeler:
        """A labeler for the frames of one video, from its first on."""
        return FrameLabeler(self)

    def label(self, video: str | os.PathLike[str]) -> LabelledFrames:
        """The labels of every frame of a video, in memory; :func:`label_video` writes them instead.

        Returns:
            :class:`~videoseq.labels.FrameLabels`, or of a multilabel model
            :class:`~videoseq.label_sets.FrameLabelSets`.

        Raises:
            VideoError: The video cannot be read.
        """
        with VideoReader(video) as reader:
            return joined_labels(list(label_frames(reader, self)))


def load_model(folder: str | os.PathLike[str], choice: RuntimeChoice | None = None) -> Model:
    """A model from its folder, its backbone run as ``choice`` says, or as fast as this machine can.

    Raises:
        ModelError: The folder is no model, damaged, or of another version.
        ConfigError: The backbone needs an extra, or the machine lacks what was chosen.
    """
    bundle = load_bundle(Path(folder))
    try:
        return Model(bundle, select_runtime(bundle.backbone, choice, bundle.trusted, bundle.quantized))
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from None


def label_frames(
    reader: FrameReader, model: Model, on_progress: Progress | None = None, *, reuse_threshold: float = 0.0
) -> Iterator[LabelledFrames]:
    """The labels of a whole video, chunk by chunk, in bounded memory; the arguments are those of :func:`label_video`.

    Raises:
        VideoError: The video cannot be read to its end.
        ModelError: The network answered with something that is not a number.
    """
    sequence = SequenceLabeler(model.bundle.head)
    for chunk in stream_features(reader, model.runtime, model.sample_hz, on_progress, reuse_threshold=reuse_threshold):
        yield sequence.label(chunk, model.classes)


def label_video(
    video: str | os.PathLike[str],
    model: Model,
    target: Path,
    on_progress: Progress | None = None,
    *,
    open_video: Callable[[Path], FrameReader] = VideoReader,
    accepts_damage: bool = True,
    reuse_threshold: float = 0.0,
) -> ReadFacts:
    """Labels a video into ``target.frames.csv`` and ``target.segments.csv``, which appear when it is done.

    Args:
        video: The file.
        model: The model.
        target: What the two files are named after.
        on_progress: Called as frames go by.
        open_video: How the video is opened: in this process, or by a :class:`videoseq.isolation.DecoderProcess`.
        accepts_damage: Whether a video from which frames are missing is labelled all the same.
        reuse_threshold: As in :func:`videoseq.features.stream_features`: how still a scene must be for the CNN not to
            look again.

    Returns:
        What reading the video brought to light.

    Raises:
        VideoError: The video cannot be read, was changed meanwhile, or is damaged and that is not accepted.
        ModelError: The network answered with something that is not a number.
        OutputError: The files cannot be written.
    """
    watch, has_raw = FileWatch(Path(video)), bool(model.bundle.head.hysteresis > 0)
    builder = SegmentBuilder() if thresholds_of(model.bundle.head) is None else ClassSegmentBuilder()
    new_writer = LabelWriter(target, model.classes, has_raw=has_raw, segments=builder)
    with open_video(Path(video)) as reader, new_writer as writer:
        for labels in label_frames(reader, model, on_progress, reuse_threshold=reuse_threshold):
            writer.add(labels)
        watch.check()
        facts = reader.facts()
        if facts.state == "degraded" and not accepts_damage:
            raise VideoError(facts.notices[0].code, f"{video}: {facts.notices[0].message}; nothing was labelled")
        writer.finish(facts.duration_seconds)
    return facts

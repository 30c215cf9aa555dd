"""One video through all of it: frames → features → logits → labels; state is carried from first frame to last.

A whole file, its frames one by one, and stored features all go through :mod:`videoseq.inference.streaming`, so that
they cannot come to different labels; where the head looks ahead, through :mod:`videoseq.inference.whole_video`, and not
one by one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from videoseq.config.runtime import RuntimeChoice
from videoseq.errors import ModelError, VideoError
from videoseq.features.extraction import FeatureChunk, stream_features
from videoseq.features.runtimes import Runtime, select_runtime
from videoseq.inference.labels import LabeledFrames, joined_labels
from videoseq.inference.segments import ClassSegmentBuilder, SegmentBuilder
from videoseq.inference.streaming import SequenceLabeler
from videoseq.inference.whole_video import label_chunks
from videoseq.inference.writer import LabelWriter
from videoseq.models.model_folder import ModelFolder, load_model_folder
from videoseq.video.deadline import Deadline
from videoseq.video.frames import Frame, FrameReader, Progress
from videoseq.video.info import ReadFacts
from videoseq.video.reader import VideoReader
from videoseq.video.safe_file import FileWatch
from videoseq.video.sampling import Sampler


@dataclass(frozen=True, eq=False)
class FrameLabel:
    """The label of one frame, in multilabel its classes joined by ``|``; ``logits`` are in the order of the classes."""

    index: int
    seconds: float
    label: str
    confidence: float
    logits: Float[Tensor, " classes"]


class FrameLabeler:
    """Labels frames as they come, each from itself and the ones before it.

    Raises:
        ModelError: The model looks ahead.
    """

    def __init__(self, model: Model) -> None:
        model.contents.head.decoding.check_causal()
        self._model = model
        self._sampler = Sampler(model.sample_hz)
        self._sequence = SequenceLabeler(model.contents.head)

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
        contents: What its folder holds.
        runtime: How its backbone runs here.
    """

    def __init__(self, contents: ModelFolder, runtime: Runtime) -> None:
        self.contents = contents
        self.runtime = runtime
        self.classes = contents.classes
        self.sample_hz = contents.config.sample_hz

    @property
    def summary(self) -> dict[str, Any]:
        """What ``run.json`` says of it; plain values, as a worker sends it to its parent."""
        return {
            "classes": list(self.classes),
            "looks_ahead": self.contents.looks_ahead,
            "label_decoding": self.contents.head.decoding.parameters.model_dump(exclude_none=True),
            "runtime": self.runtime.description,
        }

    def labeler(self) -> FrameLabeler:
        """A labeler for the frames of one video, from its first on.

        Raises:
            ModelError: The model looks ahead.
        """
        return FrameLabeler(self)

    def label(self, video: str | os.PathLike[str]) -> LabeledFrames:
        """The labels of every frame of a video, in memory; :func:`label_video` writes them instead.

        Returns:
            :class:`~videoseq.inference.frame_labels.FrameLabels`, or of a multilabel model
            :class:`~videoseq.inference.frame_labels.FrameLabelSets`.

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
    contents = load_model_folder(Path(folder))
    try:
        return Model(contents, select_runtime(contents.backbone, choice, contents.trusted, contents.quantized))
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from None


def label_frames(
    reader: FrameReader, model: Model, on_progress: Progress | None = None, *, reuse_threshold: float = 0.0
) -> Iterator[LabeledFrames]:
    """The labels of a whole video, chunk by chunk, in bounded memory; the arguments are those of :func:`label_video`.

    Raises:
        VideoError: The video cannot be read to its end.
        ModelError: The network answered with something that is not a number.
        OutputError: The head looks ahead, and there is no room for temporary files.
    """
    chunks = stream_features(reader, model.runtime, model.sample_hz, on_progress, reuse_threshold=reuse_threshold)
    yield from label_chunks(model.contents.head, chunks, model.classes)


def label_video(
    video: str | os.PathLike[str],
    model: Model,
    target: Path,
    on_progress: Progress | None = None,
    *,
    open_video: Callable[[Path], FrameReader] = VideoReader,
    max_seconds: float = math.inf,
    accepts_damage: bool = True,
    reuse_threshold: float = 0.0,
) -> ReadFacts:
    """Labels a video into ``target.frames.csv`` and ``target.segments.csv``, which appear when it is done.

    Args:
        video: The file.
        model: The model.
        target: What the two files are named after.
        on_progress: Called as frames go by.
        open_video: How the video is opened: in this process, or by a :class:`videoseq.video.isolation.DecoderProcess`.
        max_seconds: What it may take, from opening it to its last label.
        accepts_damage: Whether a video from which frames are missing is labelled all the same.
        reuse_threshold: As in :func:`videoseq.features.extraction.stream_features`: how still a scene must be for the
            CNN not to look again.

    Returns:
        What reading the video brought to light.

    Raises:
        VideoError: The video cannot be read, was changed meanwhile, takes too long, or is damaged and that is not
            accepted.
        ModelError: The network answered with something that is not a number.
        OutputError: The files cannot be written.
    """
    deadline = Deadline(Path(video), max_seconds)
    watch, has_raw = FileWatch(Path(video)), model.contents.head.decoding.is_on
    builder = SegmentBuilder() if model.contents.head.thresholds is None else ClassSegmentBuilder()
    new_writer = LabelWriter(target, model.classes, has_raw=has_raw, segments=builder)
    with open_video(Path(video)) as reader, new_writer as writer:
        progress = deadline.watching(on_progress)  # a head that looks ahead gives no label before it has seen all
        for labels in label_frames(reader, model, progress, reuse_threshold=reuse_threshold):
            writer.add(labels)
            deadline.check()
        watch.check()
        facts = reader.facts()
        if facts.state == "degraded" and not accepts_damage:
            raise VideoError(facts.notices[0].code, f"{video}: {facts.notices[0].message}; nothing was labelled")
        writer.finish(facts.duration_seconds)
    return facts

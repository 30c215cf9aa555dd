"""One video through all of it: frames → features → logits → labels; state is carried from first frame to last.

A whole file, its frames one by one, and stored features all go through :mod:`videoseq.inference.streaming`, so that
they cannot come to different labels; where the head looks ahead, through :mod:`videoseq.inference.whole_video`, and not
one by one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from videoseq.config.runtime import RuntimeChoice
from videoseq.errors import ConfigError, ModelError, VideoError
from videoseq.features.extraction import FeatureChunk, FeatureSequence, read_features, stream_features
from videoseq.features.runtimes import Runtime, select_runtime
from videoseq.inference.frame_stream import FrameStream
from videoseq.inference.labels import LabeledFrames, joined_labels
from videoseq.inference.whole_video import label_chunks
from videoseq.inference.writer import LabelWriter
from videoseq.models.model_folder import ModelFolder, load_model_folder
from videoseq.video.deadline import Deadline
from videoseq.video.frames import Frame, FrameReader, FrameSource, Image, OnFrames
from videoseq.video.images import ImageSource
from videoseq.video.info import ReadReport
from videoseq.video.reader import VideoReader
from videoseq.video.safe_file import FileWatch

Video: TypeAlias = str | os.PathLike[str] | Iterable[Image | Frame]
"""A video file, or its images or frames in order."""


class Model:
    """A trained model, ready to label.

    Attributes:
        contents: What its folder holds.
        runtime: How its backbone runs here.
        folder: Where it was loaded from, if it was.
        choice: What was chosen to run the backbone.
    """

    def __init__(
        self, contents: ModelFolder, runtime: Runtime, folder: Path | None = None, choice: RuntimeChoice | None = None
    ) -> None:
        self.contents = contents
        self.runtime = runtime
        self.folder = folder
        self.choice = choice or RuntimeChoice()
        self.classes = contents.classes
        self.sample_hz = contents.config.sample_hz

    @property
    def summary(self) -> dict[str, Any]:
        """What ``run.json`` says about it; plain values, as a worker sends it to its parent."""
        return {
            "classes": list(self.classes),
            "looks_ahead": self.contents.looks_ahead,
            "label_decoding": self.contents.head.decoding.parameters.model_dump(exclude_none=True),
            "runtime": self.runtime.description,
        }

    def __repr__(self) -> str:
        rate = "every frame" if self.sample_hz is None else f"{self.sample_hz:g} steps a second"
        return f"Model({len(self.classes)} classes: {', '.join(self.classes)}; {rate}; {self.runtime.description})"

    def label(self, video: Video, *, fps: float | None = None) -> LabeledFrames:
        """The labels of every frame of a video, in memory; :func:`label_video` writes them instead.

        Args:
            video: A file; or its images in order, from a list or any other iterable: uint8 RGB arrays of shape
                (height, width, 3), or :class:`~videoseq.video.frames.Frame` objects.
            fps: Images a second; only with images.

        Returns:
            :class:`~videoseq.inference.frame_labels.FrameLabels`, or of a multilabel model
            :class:`~videoseq.inference.frame_labels.FrameLabelSets`.

        Raises:
            VideoError: The video cannot be read.
            ConfigError: Images come without ``fps``, or a file or frames with it.
            RuntimeError: This is a fork of the process that loaded the model.

        Example:
            >>> model = videoseq.load_model("model", device="cpu")
            >>> labels = model.label("clip.mp4")
            >>> labels
            FrameLabels(60 frames, 2 classes, 2.0 s)
            >>> labels.names[0], labels.names[-1]
            ('dark', 'bright')
        """
        with _open(video, fps) as source:
            parts = list(label_frames(source, self))
            return joined_labels(parts, source.duration_seconds)

    def features(self, video: Video, *, fps: float | None = None) -> FeatureSequence:
        """The feature vectors of a video's sampled frames and their times, in memory; the arguments of :meth:`label`.

        Raises:
            VideoError: The video cannot be read.
            ConfigError: Images come without ``fps``, or a file or frames with it.
            RuntimeError: This is a fork of the process that loaded the model.

        Example:
            >>> seconds, features = model.features("clip.mp4")
            >>> features.shape
            (21, 3860)
        """
        with _open(video, fps) as source:
            return read_features(source, self.runtime, self.sample_hz)

    def stream(self, *, fps: float | None = None) -> FrameStream:
        """Labels frames of one video as they come, from its first on; the labels are those of the whole file.

        Args:
            fps: Images a second; None where :meth:`~videoseq.inference.frame_stream.FrameStream.step` is given frames,
                or the time of each image.

        Raises:
            ModelError: The model looks ahead.
            ConfigError: ``fps`` is no number above 0.
            RuntimeError: This is a fork of the process that loaded the model.

        Example:
            >>> stream = model.stream()
            >>> for frame in videoseq.read_frames("clip.mp4"):
            ...     label = stream.step(frame)
            >>> label.index, label.label
            (59, 'bright')
        """
        return FrameStream(self.contents.head, self.runtime, self.classes, self.sample_hz, fps)


def load_model(
    folder: str | os.PathLike[str],
    *,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
) -> Model:
    """A model from its folder; with ``auto`` its CNN runs as fast as this machine can.

    Args:
        folder: The model folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        runtime: ``auto``, ``torch`` or ``openvino``.
        precision: ``auto``, ``float32``, ``bfloat16``, ``float16`` or ``int8``; ``auto`` is the fastest that gives the
            same labels.
        threads: Cores that the CNN may keep busy; None for all that this process may use, up to sixteen.

    Raises:
        ModelError: The folder is no model, damaged, or of another version.
        ConfigError: A name is unknown, the CNN needs an extra, or the machine lacks what was chosen.
        RuntimeError: This is a fork of a process that computes.

    Example:
        >>> model = videoseq.load_model("model", device="cpu", threads=2)
        >>> model.classes
        ('bright', 'dark')
    """
    return open_model(folder, RuntimeChoice(device, runtime, precision, threads))


def open_model(folder: str | os.PathLike[str], choice: RuntimeChoice | None = None) -> Model:
    """A model from its folder, its CNN run as ``choice`` says; raises what :func:`load_model` does."""
    contents = load_model_folder(Path(folder))
    try:
        runtime = select_runtime(contents.backbone, choice, contents.trusted, contents.quantized)
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from None
    return Model(contents, runtime, Path(folder), choice)


@contextmanager
def _open(video: Video, fps: float | None) -> Iterator[FrameSource]:
    if not isinstance(video, (str, os.PathLike)):
        yield ImageSource(video, fps)
        return
    if fps is not None:
        raise ConfigError(f"fps: expected none with a video file, whose frames have times of their own, got {fps}")
    with VideoReader(video) as reader:
        yield reader


def label_frames(
    reader: FrameSource,
    model: Model,
    on_progress: OnFrames | None = None,
    *,
    reuse_threshold: float = 0.0,
    on_chunk: Callable[[FeatureChunk], None] | None = None,
) -> Iterator[LabeledFrames]:
    """The labels of a whole video, chunk by chunk, in bounded memory; the arguments are those of :func:`label_video`.

    Raises:
        VideoError: The video cannot be read to its end.
        ModelError: The network answered with something that is not a number.
        OutputError: The head looks ahead, and there is no room for temporary files.
    """
    chunks = stream_features(reader, model.runtime, model.sample_hz, on_progress, reuse_threshold=reuse_threshold)
    seen = chunks if on_chunk is None else _told(chunks, on_chunk)
    yield from label_chunks(model.contents.head, seen, model.classes)


def _told(chunks: Iterable[FeatureChunk], on_chunk: Callable[[FeatureChunk], None]) -> Iterator[FeatureChunk]:
    for chunk in chunks:
        on_chunk(chunk)
        yield chunk


def label_video(
    video: str | os.PathLike[str],
    model: Model,
    target: Path,
    on_progress: OnFrames | None = None,
    *,
    open_video: Callable[[Path], FrameReader] = VideoReader,
    max_seconds: float = math.inf,
    accepts_damage: bool = True,
    reuse_threshold: float = 0.0,
    on_chunk: Callable[[FeatureChunk], None] | None = None,
) -> ReadReport:
    """Labels a video into ``target.frames.csv`` and ``target.segments.csv``, which appear when it is done.

    Args:
        video: The file.
        model: The model.
        target: What the two files are named after.
        on_progress: Called while frames are read.
        open_video: How the video is opened: in this process, or by a :class:`videoseq.video.isolation.DecoderProcess`.
        max_seconds: What it may take, from opening it to its last label.
        accepts_damage: Whether a video from which frames are missing is labeled all the same.
        reuse_threshold: As in :func:`videoseq.features.extraction.stream_features`: how still a scene must be for the
            CNN not to look again.
        on_chunk: Called with the features of every frame, in order.

    Returns:
        What reading the video found.

    Raises:
        VideoError: The video cannot be read, was changed meanwhile, takes too long, or is damaged and that is not
            accepted.
        ModelError: The network answered with something that is not a number.
        OutputError: The files cannot be written.
    """
    deadline = Deadline(Path(video), max_seconds)
    watch = FileWatch(Path(video))
    with open_video(Path(video)) as reader, LabelWriter(target) as writer:
        progress = deadline.watching(on_progress)  # a head that looks ahead gives no label before it has seen all
        for labels in label_frames(reader, model, progress, reuse_threshold=reuse_threshold, on_chunk=on_chunk):
            writer.add(labels)
            deadline.check()
        watch.check()
        report = reader.report()
        if report.state == "degraded" and not accepts_damage:
            raise VideoError(report.notices[0].code, f"{video}: {report.notices[0].message}; nothing was labeled")
        writer.finish(report.duration_seconds)
    return report

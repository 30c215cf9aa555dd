"""A label on every frame of a video, from that frame and the ones before it.

    import videoseq

    model = videoseq.load_model("model")
    labels = model.label("clip.mp4")

Names are loaded on first use, so that importing this package imports nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videoseq.annotations.segments import Segment
    from videoseq.annotations.types import ClassNames
    from videoseq.errors import (
        AnnotationError,
        ConfigError,
        ModelError,
        OutputError,
        VideoError,
        VideoseqError,
    )
    from videoseq.inference.frame_labels import FrameLabels, FrameLabelSets
    from videoseq.inference.frame_stream import FrameLabel, FrameStream
    from videoseq.inference.model import Model, label_video, load_model
    from videoseq.video.frames import Frame
    from videoseq.video.info import VideoInfo
    from videoseq.video.reader import probe, read_frames

_HOMES = {
    "AnnotationError": "errors",
    "ClassNames": "annotations.types",
    "ConfigError": "errors",
    "Frame": "video.frames",
    "FrameLabel": "inference.frame_stream",
    "FrameLabelSets": "inference.frame_labels",
    "FrameLabels": "inference.frame_labels",
    "FrameStream": "inference.frame_stream",
    "Model": "inference.model",
    "ModelError": "errors",
    "OutputError": "errors",
    "Segment": "annotations.segments",
    "VideoError": "errors",
    "VideoInfo": "video.info",
    "VideoseqError": "errors",
    "label_video": "inference.model",
    "load_model": "inference.model",
    "probe": "video.reader",
    "read_frames": "video.reader",
}

__all__ = [
    "AnnotationError",
    "ClassNames",
    "ConfigError",
    "Frame",
    "FrameLabel",
    "FrameLabelSets",
    "FrameLabels",
    "FrameStream",
    "Model",
    "ModelError",
    "OutputError",
    "Segment",
    "VideoError",
    "VideoInfo",
    "VideoseqError",
    "label_video",
    "load_model",
    "probe",
    "read_frames",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (a module's attributes have any type)
    if name not in _HOMES:
        raise AttributeError(f"module 'videoseq' has no attribute {name!r}")
    return getattr(importlib.import_module(f"videoseq.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__

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
    from videoseq.annotations import ClassNames
    from videoseq.errors import (
        AnnotationError,
        ConfigError,
        ModelError,
        OutputError,
        VideoError,
        VideoseqError,
    )
    from videoseq.facts import VideoInfo
    from videoseq.frames import Frame
    from videoseq.label_sets import FrameLabelSets
    from videoseq.labeling import FrameLabel, FrameLabeler, Model, label_video, load_model
    from videoseq.labelled_frames import Segment
    from videoseq.labels import FrameLabels
    from videoseq.video import probe, read_frames

_HOMES = {
    "AnnotationError": "errors",
    "ClassNames": "annotations",
    "ConfigError": "errors",
    "Frame": "frames",
    "FrameLabel": "labeling",
    "FrameLabelSets": "label_sets",
    "FrameLabeler": "labeling",
    "FrameLabels": "labels",
    "Model": "labeling",
    "ModelError": "errors",
    "OutputError": "errors",
    "Segment": "labelled_frames",
    "VideoError": "errors",
    "VideoInfo": "facts",
    "VideoseqError": "errors",
    "label_video": "labeling",
    "load_model": "labeling",
    "probe": "video",
    "read_frames": "video",
}

__all__ = [
    "AnnotationError",
    "ClassNames",
    "ConfigError",
    "Frame",
    "FrameLabel",
    "FrameLabelSets",
    "FrameLabeler",
    "FrameLabels",
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

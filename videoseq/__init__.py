"""Learns behaviors from labeled clips, then labels every frame of new videos; never looks ahead.

    import videoseq

    model = videoseq.train("clips/", out="model")
    labels = model.label("clip.mp4")

Names are loaded on first use, so that importing this package imports nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videoseq.annotations.formats import read_annotation, write_annotation
    from videoseq.annotations.segments import Segment
    from videoseq.annotations.types import Annotation, ClassNames, Interval
    from videoseq.api import check, evaluate, extract_features, label, quantize, train
    from videoseq.data.check import ClipCheck
    from videoseq.data.dataset import Dataset, load_dataset
    from videoseq.errors import AnnotationError, ConfigError, ModelError, Notice, OutputError, VideoError, VideoseqError
    from videoseq.evaluation.annotators import AnnotatorComparison, compare_annotators
    from videoseq.export.int8 import QuantizedModel
    from videoseq.features.extraction import FeatureSequence
    from videoseq.inference.frame_labels import FrameLabels, FrameLabelSets
    from videoseq.inference.frame_stream import FrameLabel, FrameStream
    from videoseq.inference.model import Model, load_model
    from videoseq.jobs.events import Listener, Progress
    from videoseq.jobs.record import Record
    from videoseq.jobs.result import Result
    from videoseq.report.evaluation_result import EvaluationResult
    from videoseq.video.frames import Frame
    from videoseq.video.info import VideoInfo
    from videoseq.video.reader import probe, read_frames

_HOMES = {
    "Annotation": "annotations.types",
    "AnnotationError": "errors",
    "AnnotatorComparison": "evaluation.annotators",
    "ClassNames": "annotations.types",
    "ClipCheck": "data.check",
    "ConfigError": "errors",
    "Dataset": "data.dataset",
    "EvaluationResult": "report.evaluation_result",
    "FeatureSequence": "features.extraction",
    "Frame": "video.frames",
    "FrameLabel": "inference.frame_stream",
    "FrameLabelSets": "inference.frame_labels",
    "FrameLabels": "inference.frame_labels",
    "FrameStream": "inference.frame_stream",
    "Interval": "annotations.types",
    "Listener": "jobs.events",
    "Model": "inference.model",
    "ModelError": "errors",
    "Notice": "errors",
    "OutputError": "errors",
    "Progress": "jobs.events",
    "QuantizedModel": "export.int8",
    "Record": "jobs.record",
    "Result": "jobs.result",
    "Segment": "annotations.segments",
    "VideoError": "errors",
    "VideoInfo": "video.info",
    "VideoseqError": "errors",
    "check": "api",
    "compare_annotators": "evaluation.annotators",
    "evaluate": "api",
    "extract_features": "api",
    "label": "api",
    "load_dataset": "data.dataset",
    "load_model": "inference.model",
    "probe": "video.reader",
    "quantize": "api",
    "read_annotation": "annotations.formats",
    "read_frames": "video.reader",
    "train": "api",
    "write_annotation": "annotations.formats",
}

__all__ = [
    "Annotation",
    "AnnotationError",
    "AnnotatorComparison",
    "ClassNames",
    "ClipCheck",
    "ConfigError",
    "Dataset",
    "EvaluationResult",
    "FeatureSequence",
    "Frame",
    "FrameLabel",
    "FrameLabelSets",
    "FrameLabels",
    "FrameStream",
    "Interval",
    "Listener",
    "Model",
    "ModelError",
    "Notice",
    "OutputError",
    "Progress",
    "QuantizedModel",
    "Record",
    "Result",
    "Segment",
    "VideoError",
    "VideoInfo",
    "VideoseqError",
    "check",
    "compare_annotators",
    "evaluate",
    "extract_features",
    "label",
    "load_dataset",
    "load_model",
    "probe",
    "quantize",
    "read_annotation",
    "read_frames",
    "train",
    "write_annotation",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (a module's attributes have any type)
    if name not in _HOMES:
        raise AttributeError(f"module 'videoseq' has no attribute {name!r}")
    return getattr(importlib.import_module(f"videoseq.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__

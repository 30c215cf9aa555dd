"""What the benchmarks run on: a drawn 1280×720 H.264 video, and a model of the default shape with random weights."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

from videoseq.annotations.types import ClassNames
from videoseq.config.schema import BackboneSettings, HeadSettings, TrainSettings
from videoseq.features.backbones import Backbone, load_backbone
from videoseq.models.causal_rnn import CausalRNN
from videoseq.models.model_config import ModelConfig
from videoseq.models.model_folder import ModelFolder
from videoseq.system.hardware import library_versions

FPS = 30
CLASSES = ("a", "b", "c")


def draw_video(path: Path, num_frames: int, seed: int = 0) -> Path:
    """Moving shapes before a textured wall, with noise, as x264 encodes by default."""
    random = np.random.default_rng(seed)
    wall = cv2.GaussianBlur(random.integers(0, 256, (720, 1280, 3), dtype=np.uint8), (0, 0), 2.0)
    noise = [random.integers(0, 12, wall.shape, dtype=np.uint8) for _ in range(8)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for index in range(num_frames):
            image = wall.copy()
            cv2.circle(image, (8 * index % 1280, 360), 120, (40, 200, 90), thickness=-1)
            cv2.circle(image, (1280 - 5 * index % 1280, 200), 80, (200, 40, 90), thickness=-1)
            frame = av.VideoFrame.from_ndarray(cv2.add(image, noise[index % len(noise)]), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def make_model_folder(sample_hz: float | None, backbone: Backbone | None = None) -> ModelFolder:
    """The default backbone and head; the head's weights are drawn, which costs what trained ones cost."""
    backbone = backbone or load_backbone(BackboneSettings())
    head = HeadSettings()
    no_context = head.model_copy(update={"cell": "none", "inputs": "features"})
    size = backbone.identity.vector_size
    config = ModelConfig(
        classes=CLASSES, backbone=backbone.identity, sample_hz=sample_hz, head=head, no_context_head=no_context,
        majority_class=CLASSES[0], settings=TrainSettings(), metrics={}, versions=library_versions(),
    )  # fmt: skip
    heads = (CausalRNN(size, len(CLASSES), settings).eval() for settings in (head, no_context))
    return ModelFolder(config, ClassNames(CLASSES), *heads, backbone)

"""The real CNN on images of 32 × 32, and clips of such images: what fine-tuning does is seen in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.index_videos import write_video
from videoseq.data.dataset import Clip
from videoseq.data.manifest import ClipEntry
from videoseq.features.backbones import Backbone, efficientnet_lite
from videoseq.features.runtimes import TorchRuntime
from videoseq.features.store import FeatureStore
from videoseq.training.image_store import ImageStore
from videoseq.video.reader import VideoReader

SAMPLE_HZ = 10.0


@contextmanager
def small_images() -> Iterator[None]:
    """Inside, EfficientNet-Lite0 takes images of 32 × 32, wherever it is loaded."""
    with pytest.MonkeyPatch.context() as patch:
        small = efficientnet_lite.VARIANTS["efficientnet_lite0"]._replace(input_size=32)
        patch.setitem(efficientnet_lite.VARIANTS, "efficientnet_lite0", small)
        yield


def on_one_thread(backbone: Backbone) -> TorchRuntime:
    return TorchRuntime(backbone, torch.device("cpu"), "float32", 1)


def write_clip(folder: Path, number: int, num_frames: int = 8) -> Path:
    """A square that goes to the right, then back, at ten frames a second on noise; its way is annotated next to it."""
    random = np.random.default_rng(number)
    images = random.integers(0, 80, (num_frames, 64, 64, 3), dtype=np.uint8)
    turn = num_frames // 2
    for index, image in enumerate(images):
        at = 4 * min(index, 2 * turn - index) + 8
        image[20:44, at : at + 20] = 230 - 10 * number
    video = write_video(folder / f"clip{number}.mp4", images, 10.0)
    rows = ["start_frame,stop_frame,label", f"0,{turn},there", f"{turn},{num_frames},back"]
    video.with_suffix(".csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return video


def make_clips(folder: Path, backbone: Backbone, num_clips: int = 3) -> list[Clip]:
    """Annotated clips in two groups with the features of the backbone."""
    store, clips = FeatureStore(folder / "features"), []
    for number in range(num_clips):
        video = write_clip(folder, number)
        features = store.get(video, on_one_thread(backbone), SAMPLE_HZ)
        targets = (np.arange(len(features.seconds)) < len(features.seconds) // 2).astype(np.int64)
        entry = ClipEntry(video, video.with_suffix(".csv"), None, f"g{number % 2}")
        clips.append(Clip(entry, features, targets))
    return clips


def store_images(images: ImageStore, clips: list[Clip]) -> None:
    for clip in clips:
        with VideoReader(clip.entry.video) as reader:
            images.add(clip, reader, SAMPLE_HZ)

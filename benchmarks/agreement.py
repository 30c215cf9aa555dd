"""On how many frames labels are the same as float32's, for every other way to run the CNN, and what reuse saves.

    .venv/bin/python benchmarks/agreement.py [DATASET …] [--json FILE]

Each DATASET, a folder or manifest of annotated clips, gets a model trained on plain float32 features by torch; that
model then labels the same clips in every way. Without a DATASET fewer of the demo's clips are drawn, and five labeled.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from harness import machine, print_table, print_verdict
from torch import Tensor
from videoseq.pipelines.demo_clips import draw_dataset

from videoseq.config.runtime import RuntimeChoice
from videoseq.config.schema import BackboneSettings
from videoseq.config.yaml_file import load_settings
from videoseq.data.dataset import Dataset, load_clips, load_dataset
from videoseq.data.manifest import ClipEntry
from videoseq.features.backbones import load_backbone
from videoseq.features.runtimes import Runtime, select_runtime
from videoseq.features.store import FeatureStore
from videoseq.inference.model import Model, label_frames
from videoseq.models.model_folder import ModelFolder
from videoseq.training.train import train_model
from videoseq.video.reader import VideoReader

REFERENCE = "torch, float32"
NUM_DRAWN_CLIPS = 5
TARGET = 0.995


class CountingRuntime(Runtime):
    """Another runtime, and how many images it was given."""

    def __init__(self, inner: Runtime) -> None:
        self.identity, self.description, self.precision = inner.identity, inner.description, inner.precision
        self.num_streams, self.batch_images = inner.num_streams, inner.batch_images
        self.num_images = 0
        self._inner = inner

    def __call__(self, images: Tensor) -> Tensor:
        """Features of resized images."""
        self.num_images += len(images)
        return self._inner(images)


@dataclass(frozen=True)
class Labeled:
    """The labels of all frames of a dataset, one way, and how many images the CNN saw for them."""

    names: np.ndarray
    num_images: int


def train(dataset: Dataset, runtime: Runtime, backbone: object, cache: Path) -> ModelFolder:
    """A model with the default settings."""
    settings, store = load_settings(), FeatureStore(cache)
    clips, _ = load_clips(dataset, lambda video: store.get(video, runtime, settings.sample_hz))
    return train_model(clips, dataset.classes, settings, backbone).contents


def label_all(entries: list[ClipEntry], contents: ModelFolder, runtime: Runtime, reuse_threshold: float) -> Labeled:
    """Every clip labeled one way."""
    counting = CountingRuntime(runtime)
    names: list[str] = []
    for entry in entries:
        with VideoReader(entry.video) as reader:
            for part in label_frames(reader, Model(contents, counting), reuse_threshold=reuse_threshold):
                names += part.names
    return Labeled(np.array(names), counting.num_images)


def compare(dataset: Path, folder: Path, num_clips: int | None = None) -> dict[str, dict[str, float]]:
    """Agreement with the reference and share of images computed, by way."""
    backbone = load_backbone(BackboneSettings())
    annotated = load_dataset(dataset)
    runtimes = {
        f"{library}, {precision}": select_runtime(backbone, RuntimeChoice("cpu", library, precision))
        for library in ("torch", "openvino")
        for precision in ("float32", "bfloat16")
    }
    contents = train(annotated, runtimes[REFERENCE], backbone, folder / "features")
    entries = list(annotated.entries[:num_clips])
    reference = label_all(entries, contents, runtimes[REFERENCE], 0.0)
    ways = {name: (runtime, 0.0) for name, runtime in runtimes.items() if name != REFERENCE}
    fastest = select_runtime(backbone, RuntimeChoice("cpu"))
    ways |= {f"auto, reuse threshold {value:g}": (fastest, value) for value in (1.0, 4.0)}
    found = {}
    for name, (runtime, reuse_threshold) in ways.items():
        labeled = label_all(entries, contents, runtime, reuse_threshold)
        agreement = float((labeled.names == reference.names).mean())
        found[name] = {"agreement": agreement, "computed": labeled.num_images / reference.num_images}
    print(f"\n{dataset.name}: {len(entries)} clips, {len(reference.names)} frames, {len(contents.classes)} classes\n")
    rows = [[name, f"{100 * row['agreement']:.2f} %", f"{100 * row['computed']:.0f} %"] for name, row in found.items()]
    print_table(["", f"labels as by {REFERENCE}", "images computed"], rows)
    for name, (_, reuse_threshold) in ways.items():
        if reuse_threshold == 0.0:
            print_verdict(f"{name}: agreement", found[name]["agreement"], TARGET)
    return found


def draw_clips(folder: Path) -> Path:
    """A dozen clips like the demo's."""
    return draw_dataset(folder, {"train": 10, "val": 2})


def main() -> None:
    """Compares on each dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.datasets:
            found = {dataset.name: compare(dataset, Path(folder)) for dataset in arguments.datasets}
        else:
            found = {"demo": compare(draw_clips(Path(folder, "demo")), Path(folder), NUM_DRAWN_CLIPS)}
    if arguments.json:
        text = json.dumps({"machine": machine(), "datasets": found}, indent=1)
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

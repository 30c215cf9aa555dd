"""How fast one video is labelled, beside each stage alone and the loop a user would write.

    make bench            # or: .venv/bin/python benchmarks/throughput.py [VIDEO] [--rounds N] [--json FILE]

Stages and opponents run interleaved (A B C A B C …), so that a machine that drifts drifts for all of them; medians and
spreads are reported. Without a VIDEO a 1280×720 one is drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from videoseq.annotations import ClassNames
from videoseq.backbones import load_backbone
from videoseq.bundle import Bundle, ModelDescription, library_versions
from videoseq.config import BackboneSettings, HeadSettings, TrainSettings
from videoseq.isolation import DecoderProcess
from videoseq.labeling import Model, label_video
from videoseq.model import CausalRNN
from videoseq.runtimes import select_runtime
from videoseq.video import VideoReader

NUM_FRAMES = 150
HEAD = HeadSettings(hidden_size=256)
DECODER = DecoderProcess()


def draw_video(path: Path) -> Path:
    """A moving pattern with texture and noise, 1280×720."""
    random = np.random.default_rng(0)
    wall = cv2.GaussianBlur(random.integers(0, 256, (720, 1280, 3), dtype=np.uint8), (0, 0), 2.0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (1280, 720))
    for index in range(NUM_FRAMES):
        picture = wall.copy()
        cv2.circle(picture, (8 * index % 1280, 360), 120, (40, 200, 90), thickness=-1)
        writer.write(cv2.add(picture, random.integers(0, 12, picture.shape, dtype=np.uint8)))
    writer.release()
    return path


def make_model() -> Model:
    """The default backbone and a GRU-256 with random weights, a step at every frame."""
    backbone = load_backbone(BackboneSettings())
    no_context = HEAD.model_copy(update={"cell": "none", "feature_differences": False})
    size = backbone.identity.feature_size
    description = ModelDescription(
        classes=("a", "b", "c"), backbone=backbone.identity, sample_hz=None, head=HEAD, no_context_head=no_context,
        majority_class="a", settings=TrainSettings(), metrics={}, versions=library_versions(),
    )  # fmt: skip
    heads = (CausalRNN(size, 3, settings).eval() for settings in (HEAD, no_context))
    bundle = Bundle(description, ClassNames(description.classes), *heads, backbone)
    return Model(bundle, select_runtime(backbone, "cpu"))


def plain_loop(video: Path, model: Model) -> int:
    """What one writes in an afternoon: OpenCV, INTER_AREA, torch in batches of four, a GRU over all features."""
    backbone, capture = load_backbone(BackboneSettings()), cv2.VideoCapture(str(video))
    features, batch = [], []
    with torch.inference_mode():
        while True:
            ok, image = capture.read()
            if ok:
                small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), (224, 224), interpolation=cv2.INTER_AREA)
                batch.append(torch.from_numpy(small).permute(2, 0, 1))
            if batch and (not ok or len(batch) == 4):
                features.append(backbone(torch.stack(batch).contiguous()))
                batch = []
            if not ok:
                break
        logits, _ = model.bundle.head(torch.cat(features)[None])
    return len(logits[0].argmax(dim=1))


def grab(video: Path, model: Model) -> int:
    """Decoding alone."""
    del model
    with VideoReader(video) as reader:
        return sum(1 for _ in reader)


def grab_and_resize(video: Path, model: Model) -> int:
    """Decoding, colour conversion and resize."""
    resize = model.runtime.identity.preprocessing.resize
    with VideoReader(video) as reader:
        return sum(len(resize(reader.retrieve())[:1]) for _ in reader)


def cnn(video: Path, model: Model) -> int:
    """The CNN alone, in the batches that labelling uses."""
    del video
    images = torch.randint(0, 256, (4, 3, 224, 224), dtype=torch.uint8)
    for _ in range(NUM_FRAMES // 4):
        model.runtime(images)
    return 4 * (NUM_FRAMES // 4)


def label(video: Path, model: Model) -> int:
    """The whole path, file to files, decoded in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return label_video(video, model, Path(folder, "clip"), open_video=DECODER.open).num_frames


def label_in_process(video: Path, model: Model) -> int:
    """The whole path in one process."""
    with tempfile.TemporaryDirectory() as folder:
        return label_video(video, model, Path(folder, "clip")).num_frames


def grab_isolated(video: Path, model: Model) -> int:
    """Decoding alone, in a process of its own; no picture is looked at."""
    del model
    with DECODER.open(video) as reader:
        return sum(1 for _ in reader.sampled(1e-9))


def resize_isolated(video: Path, model: Model) -> int:
    """Decoding and colour conversion in a process of its own, resize here."""
    resize = model.runtime.identity.preprocessing.resize
    with DECODER.open(video) as reader:
        return sum(len(resize(frame.image)[:1]) for frame in reader.sampled(None) if frame.image is not None)


def measure(runs: dict[str, Callable[[Path, Model], int]], video: Path, rounds: int) -> dict[str, list[float]]:
    """Frames a second of each run in each round, after one round that counts for nothing."""
    model = make_model()
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            num_frames = run(video, model)
            if number:
                speeds[name].append(num_frames / (time.perf_counter() - start))
    return speeds


def main() -> None:
    """Measures and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    runs = {
        "decode": grab, "… isolated": grab_isolated,
        "decode + resize": grab_and_resize, "… isolated ": resize_isolated,
        "CNN": cnn, "label, isolated": label, "label, in process": label_in_process, "plain loop": plain_loop,
    }  # fmt: skip
    with DECODER, tempfile.TemporaryDirectory() as folder:
        video = arguments.video or draw_video(Path(folder, "clip.mp4"))
        speeds = measure(runs, video, arguments.rounds)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    print(f"{os.cpu_count()} cores, torch {torch.__version__}, {arguments.rounds} rounds")
    print(f"{'':19}{'frames/s':>10}{'spread':>16}{'of the plain loop':>20}")
    for name, values in speeds.items():
        spread = f"{min(values):.0f}–{max(values):.0f}"
        print(f"{name:19}{medians[name]:10.0f}{spread:>16}{medians[name] / medians['plain loop']:19.2f}×")
    if arguments.json:
        arguments.json.write_text(json.dumps({"frames_per_second": speeds}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

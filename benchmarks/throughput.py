"""How fast a video is labeled: against the loop a user would write, and against what the cores allow.

    .venv/bin/python benchmarks/throughput.py [--rounds N] [--json FILE]

The bound is the sum of the stages' core time, each measured alone, spread evenly over the cores: no program made of
these stages can be faster. In the rows "every frame" the CNN sees every frame, as in the loop that most would write.
The rows "10 a second" label every frame too, but let the network look at ten of them a second, which is the default;
next to them stands the same loop with frames left out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import torch
from fixtures import draw_video, make_model_folder
from harness import Sample, measure, median, parse_arguments, print_table, print_verdict, rate_cells, save_json
from torch import Tensor

from videoseq.config.runtime import RuntimeChoice
from videoseq.features.backbones import Backbone
from videoseq.features.extraction import FeatureChunk, stream_features
from videoseq.features.runtimes import Runtime, select_runtime
from videoseq.inference.model import Model, label_video
from videoseq.inference.streaming import SequenceLabeler
from videoseq.inference.writer import LabelWriter
from videoseq.models.model_folder import ModelFolder
from videoseq.system.hardware import cpu_computes_bfloat16, num_usable_cores
from videoseq.system.torch_devices import one_core_threads
from videoseq.video.isolation import DecoderProcess

NUM_FRAMES = 600
NUM_PLAIN_IMAGES = 120  # of the same video: the plain loop is slow, and no faster on more; whole batches
DEFAULT_STRIDE = 3
DEFAULT_HZ = 10.0
WAYS = [(library, precision) for library in ("openvino", "torch") for precision in ("float32", "bfloat16")]


def plain_loop(video: Path, backbone: Backbone, head: torch.nn.Module, stride: int) -> float:
    """What one writes in an afternoon: OpenCV, an area resize, torch in batches of four, a GRU over all features."""
    num_frames = stride * NUM_PLAIN_IMAGES
    capture = cv2.VideoCapture(str(video))
    features: list[Tensor] = []
    batch: list[Tensor] = []
    with torch.inference_mode():
        for number in range(num_frames):
            capture.grab()
            if number % stride:
                continue
            _, image = capture.retrieve()
            small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), (224, 224), interpolation=cv2.INTER_AREA)
            batch.append(torch.from_numpy(small).permute(2, 0, 1))
            if len(batch) == 4:
                features.append(backbone(torch.stack(batch)))
                batch = []
        logits, _ = head(torch.cat(features)[None])
        labels = logits[0].argmax(dim=1).repeat_interleave(stride)
    return float(len(labels))


@dataclass(frozen=True)
class Stages:
    """Each stage of labeling on its own; every method says how many frames it did."""

    video: Path
    decoder: DecoderProcess
    images: Tensor
    chunks: list[FeatureChunk]
    contents: ModelFolder

    def decode(self) -> float:
        """Every frame decoded, none looked at."""
        with self.decoder.open(self.video) as reader:
            return sum(1 for _ in reader.sampled(1e-9))

    def decode_and_resample(self) -> float:
        """Every frame decoded, turned into RGB and resized."""
        resize = self.contents.backbone.identity.preprocessing.resize
        with self.decoder.open(self.video) as reader:
            return sum(len(resize(frame.image)[:1]) for frame in reader.sampled(None) if frame.image is not None)

    def cnn(self, runtime: Runtime) -> float:
        """The CNN on every core."""
        with one_core_threads(runtime.num_streams, "cnn") as threads:
            return sum(len(features) for features in threads.map(runtime, self.images.split(runtime.batch_images)))

    def head(self) -> float:
        """The recurrent network, and the files."""
        sequence, classes = SequenceLabeler(self.contents.head), self.contents.classes
        with tempfile.TemporaryDirectory() as folder, LabelWriter(Path(folder, "clip")) as writer:
            for chunk in self.chunks:
                writer.add(sequence.label(chunk, classes))
            writer.finish(float(self.chunks[-1].seconds[-1]))
        return sum(len(chunk.index) for chunk in self.chunks)


def label(
    video: Path, decoder: DecoderProcess, contents: ModelFolder, runtime: Runtime, sample_hz: float | None
) -> float:
    """The whole path, file to files, decoded in a process of its own."""
    model = Model(contents, runtime)
    model.sample_hz = sample_hz
    with tempfile.TemporaryDirectory() as folder:
        return label_video(video, model, Path(folder, "clip"), open_video=decoder.open).num_frames


def make_runs(video: Path, decoder: DecoderProcess) -> dict[str, Callable[[], float]]:
    """Stages, whole path and opponent by name."""
    contents = make_model_folder(None)
    runtimes = {
        f"{library} {precision}": select_runtime(contents.backbone, RuntimeChoice("cpu", library, precision))
        for library, precision in WAYS
        if precision == "float32" or cpu_computes_bfloat16()
    }
    with decoder.open(video) as reader:
        chunks = list(stream_features(reader, runtimes["openvino float32"], None))
    images = torch.randint(0, 256, (128, 3, 224, 224), dtype=torch.uint8)
    stages = Stages(video, decoder, images, chunks, contents)
    whole = {
        f"label, {way}, {what}": partial(label, video, decoder, contents, runtime, sample_hz)
        for way, runtime in runtimes.items()
        for what, sample_hz in (("every frame", None), ("10 a second", DEFAULT_HZ))
    }
    return {
        "decode": stages.decode,
        "decode and resample": stages.decode_and_resample,
        **{f"CNN, {way}": partial(stages.cnn, runtime) for way, runtime in runtimes.items()},
        "head and files": stages.head,
        **whole,
        "plain loop, every frame": partial(plain_loop, video, contents.backbone, contents.head, 1),
        "plain loop, 10 a second": partial(plain_loop, video, contents.backbone, contents.head, DEFAULT_STRIDE),
    }


def bounds(samples: dict[str, list[Sample]], share_sampled: float) -> dict[str, float]:
    """The frames a second that the cores allow, by way to run the CNN, if this share of the frames is looked at."""
    cost = {name: median(values, "core_milliseconds") for name, values in samples.items()}
    resample = cost["decode and resample"] - cost["decode"]
    return {
        name.removeprefix("CNN, "): num_usable_cores() * 1000.0
        / (cost["decode"] + share_sampled * (resample + cost[name]) + cost["head and files"])
        for name in cost
        if name.startswith("CNN, ")
    }  # fmt: skip


def main() -> None:
    """Measures, prints the stages, the ratios and the verdicts."""
    arguments = parse_arguments(str(__doc__), rounds=4)
    with DecoderProcess() as decoder, tempfile.TemporaryDirectory() as folder:
        video = draw_video(Path(folder, "clip.mp4"), NUM_FRAMES)
        runs = make_runs(video, decoder)
        samples = measure(runs, arguments.rounds, decoder.pids)
    plain = median(samples["plain loop, every frame"])
    limits = {
        f"label, {way}, {what}": bound
        for what, share in (("every frame", 1.0), ("10 a second", 1 / DEFAULT_STRIDE))
        for way, bound in bounds(samples, share).items()
    }
    rows = []
    for name, values in samples.items():
        limit = limits.get(name)
        reached = [f"{limit:.0f}", f"{100 * median(values) / limit:.0f} %"] if limit else ["", ""]
        core = f"{median(values, 'core_milliseconds'):.2f}"
        rows.append([name, *rate_cells(values), core, f"{median(values) / plain:.1f}×", *reached])
    print_table(["", "frames/s", "spread", "core ms/frame", "of the plain loop", "bound", "reached"], rows)
    for name, limit in limits.items():
        print_verdict(f"{name}: share of the bound", median(samples[name]) / limit, 0.85)
    for library, target in (("openvino", 8.0), ("torch", 4.0)):
        name = f"label, {library} float32, 10 a second"
        print_verdict(f"{name}: of the plain loop", median(samples[name]) / plain, target)
    save_json(arguments.json, samples, bounds=limits)


if __name__ == "__main__":
    main()

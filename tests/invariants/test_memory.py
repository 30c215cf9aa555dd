"""Memory does not grow with the video: an hour costs what a minute costs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.index_videos import write_video
from tests.support.light_clips import light_frames

FPS = 5
PROGRAM = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.fixture(scope="module")
def one_hertz_model(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights at one step a second, so that an hour takes 3,600 runs of the CNN."""
    folder = tmp_path_factory.mktemp("one_hertz") / "model"
    shutil.copytree(model_folder, folder)
    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps({**described, "sample_hz": 1.0}), encoding="utf-8")
    return folder


def peak_kib(video: Path, model: Path, out: Path) -> int:
    """The largest resident size that the real command reaches, in a process of its own."""
    command = [
        str(Path(sys.executable).with_name("videoseq")),
        "label",
        str(video),
        "--model",
        str(model),
        "--out",
        str(out),
    ]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *command], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.slow
def test_an_hour_takes_the_memory_of_a_minute(one_hertz_model, tmp_path):
    minute = write_video(tmp_path / "minute.mp4", light_frames(60 * FPS, 30 * FPS, seed=0), FPS)
    period = light_frames(60 * FPS, 30 * FPS, seed=1)
    hour = write_video(tmp_path / "hour.mp4", (frame for _ in range(60) for frame in period), FPS)
    short, long = (peak_kib(video, one_hertz_model, tmp_path / "out") for video in (minute, hour))
    with (tmp_path / "out" / "hour.mp4.frames.csv").open(encoding="utf-8") as file:
        assert sum(1 for _ in file) == 1 + 3600 * FPS
    assert long <= 1.1 * short, f"peak resident size: a minute {short} KiB, an hour {long} KiB"


TRAINING = """
import sys
from pathlib import Path
import numpy as np
from videoseq.data.dataset import Clip
from videoseq.data.manifest import ClipEntry
from videoseq.config.schema import HeadSettings, TrainingSettings
from videoseq.features.store import VideoFeatures
from videoseq.training.fit import fit

clips = []
for number in range(5):
    steps = np.ones(int(sys.argv[2]), np.int64)
    file = Path(sys.argv[1], f"{number}.npy")
    np.lib.format.open_memmap(file, "w+", np.float32, (len(steps), 1280)).flush()
    mapped = np.load(file, mmap_mode="r")
    features = VideoFeatures(str(number), np.arange(len(steps)) / 10, steps, steps, mapped, 1.0, ())
    clips.append(Clip(ClipEntry(file, file, None, str(number)), features, np.arange(len(steps)) // 50 % 3))
head = HeadSettings(hidden_size=16, projection_size=16)
fit(clips[1:], clips[:1], 3, head, TrainingSettings(max_epochs=2))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""


@pytest.mark.slow
def test_training_on_hours_takes_the_memory_of_minutes(tmp_path):
    """The whole resident size, mapped files too: five clips of three minutes at 10 Hz, then twenty times as long."""
    peaks = []
    for num_steps in (2_000, 40_000):
        command = [sys.executable, "-c", TRAINING, str(tmp_path), str(num_steps)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    short, long = peaks
    assert long <= 1.1 * short, f"peak resident size: {short} KiB, twenty times the hours {long} KiB"


FINETUNING = """
import sys
from pathlib import Path
import numpy as np, torch
from torch import nn
from videoseq.features.backbones import Backbone, BackboneIdentity, Preprocessing
from videoseq.data.dataset import Clip
from videoseq.data.manifest import ClipEntry
from videoseq.config.yaml_file import load_settings
from videoseq.features.store import VideoFeatures
from videoseq.training.finetuning import Finetuner
from videoseq.video.frames import FrameStamp, SampledFrame
from videoseq.training.image_store import ImageStore
from videoseq.features.runtimes import TorchRuntime
from videoseq.training.fit import fit

class Noise:
    fraction_read = 0.0
    def sampled(self, sample_hz):
        picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        return (SampledFrame(FrameStamp(index, index / 10), 1, picture) for index in range(int(sys.argv[2])))

network = nn.Sequential(nn.Conv2d(3, 8, 16, 16), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(2), nn.Flatten())
preprocessing = Preprocessing(height=64, width=64, mean=(127, 127, 127), std=(64, 64, 64))
identity = BackboneIdentity(name="tiny", weights_sha256="0", feature_size=32, preprocessing=preprocessing)
blocks = (tuple(name for name, _ in network.named_parameters()),)
backbone = Backbone(network, identity, weights_are_packaged=False, blocks=blocks)
settings = load_settings(overrides=["backbone.trainable=all", "head.components=8", "head.hidden_size=16",
    "training.max_epochs=1", "training.finetune_epochs=1", "training.flip=true"])
steps, clips = np.ones(int(sys.argv[2]), np.int64), []
with ImageStore(Path(sys.argv[1]), preprocessing) as pictures:
    for number in range(4):
        noise = np.random.default_rng(number).standard_normal((len(steps), identity.vector_size), dtype=np.float32)
        features = VideoFeatures(str(number), np.arange(len(steps)) / 10, steps, steps, noise, 1.0, ())
        file = Path(str(number))
        clips.append(Clip(ClipEntry(file, file, None, str(number)), features, np.arange(len(steps)) // 50 % 3))
        pictures.add(clips[-1], Noise(), 10.0)
    fitted = fit(clips, [], 3, settings.head, settings.training)
    runtime = lambda tuned: TorchRuntime(tuned, torch.device("cpu"), "float32", 1)
    _, tuned = Finetuner(backbone, pictures, settings, runtime)(fitted, clips, [])
    tuned.with_own_features(clips)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""


@pytest.mark.slow
def test_finetuning_on_many_pictures_takes_the_memory_of_few(tmp_path):
    """Pictures of 12 kB: 6 MB of them, then 123 MB."""
    peaks = []
    for num_steps in (125, 2_500):
        command = [sys.executable, "-c", FINETUNING, str(tmp_path), str(num_steps)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    few, many = peaks
    assert many <= 1.1 * few, f"peak resident size: {few} KiB, of twenty times the pictures {many} KiB"

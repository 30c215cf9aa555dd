"""8-bit integers: only on request, calibrated on the user's frames, and kept only if labels agree."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from skimage import data as photographs

from tests.support.commands import Cli, check_one_line, contents, json_lines
from tests.support.index_videos import write_video
from tests.support.light_clips import light_frames
from tests.support.model_edits import edit, edit_tensors
from videoseq.config.runtime import RuntimeChoice
from videoseq.config.schema import BackboneSettings
from videoseq.errors import ConfigError, ModelError
from videoseq.export import int8_calibration as quantizer
from videoseq.export.int8 import max_frames_per_video, split_videos
from videoseq.export.int8_calibration import spread_images
from videoseq.export.int8_comparison import Comparison, compare_labels
from videoseq.features.backbones import Backbone, load_backbone
from videoseq.features.runtimes import QuantizedNetwork, openvino_runtime, select_runtime
from videoseq.features.store import FeatureStore
from videoseq.inference.model import open_model
from videoseq.models.model_folder import load_model_folder, save_model_folder
from videoseq.system import hardware as machine
from videoseq.video.reader import VideoReader

INT8 = RuntimeChoice("cpu", "openvino", "int8", num_threads=2)
COMMAND = "videoseq quantize MODEL VIDEO… --out MODEL8"


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone(BackboneSettings())


@pytest.fixture(scope="module")
def images(backbone: Backbone) -> torch.Tensor:
    pictures = [photographs.chelsea(), photographs.coffee(), photographs.astronaut(), photographs.rocket()]
    resized = torch.stack([backbone.identity.preprocessing.resize(picture) for picture in pictures])
    return torch.cat((resized, resized.flip(3)))


@pytest.fixture(scope="module")
def network(backbone: Backbone, images: torch.Tensor) -> QuantizedNetwork:
    return quantizer.quantize_backbone(backbone, images)


@pytest.fixture(scope="module")
def made(cli: Cli, model_folder: Path, light_dataset: Path, tmp_path_factory: pytest.TempPathFactory):
    """What the program says and writes: the model of the lights, quantized on their clips."""
    out = tmp_path_factory.mktemp("int8") / "model8"
    return cli("quantize", model_folder, light_dataset, "--out", out, "--json", "--threads", 2), out


@pytest.fixture(scope="module")
def model8(made) -> Path:
    run, out = made
    assert run.returncode == 0, run.stderr
    return out


@pytest.fixture
def copied(model8: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(model8, tmp_path / "model8"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", light_frames(40, 20, seed=9), fps=20)


# the network


@pytest.mark.slow
def test_the_same_images_give_the_same_bytes_and_others_others(backbone, images, network):
    again = quantizer.quantize_backbone(backbone, images)
    assert (again.graph, again.weights, again.sha256) == (network.graph, network.weights, network.sha256)
    assert torch.equal(again.probe_features, network.probe_features)
    assert quantizer.quantize_backbone(backbone, images[:2]).sha256 != network.sha256


@pytest.mark.slow
def test_its_features_are_nearly_the_backbones(backbone, images, network):
    runtime = select_runtime(backbone, INT8, (), network)
    assert (runtime.precision, runtime.num_streams) == ("int8", 2)
    assert ", int8, 2 × 1 CPU thread" in runtime.description
    cosines = torch.nn.functional.cosine_similarity(runtime(images), backbone(images))
    assert cosines.min() > (0.98 if machine.cpu_adds_int8_exactly() else 0.96), cosines
    assert cosines.max() < 0.9999  # it did compute in 8 bits


@pytest.mark.slow
def test_its_features_depend_on_neither_the_batch_nor_the_number_of_threads(backbone, images, network):
    def in_one_core(runtime, images):
        with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as thread:
            return thread.submit(runtime, images).result()

    whole = in_one_core(select_runtime(backbone, INT8, (), network), images)
    alone = select_runtime(backbone, replace(INT8, num_threads=1), (), network)
    for size in (1, 3, 8):
        assert torch.equal(torch.cat([in_one_core(alone, part) for part in images.split(size)]), whole), size


@pytest.mark.slow
def test_what_quantizes_prints_nothing(backbone, images, capfd):
    quantizer.quantize_backbone(backbone, images[:2])
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_without_nncf_the_extra_is_named(backbone, images, monkeypatch, call, tmp_path):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "nncf" else find_spec(name))
    with pytest.raises(ConfigError, match=r'NNCF is not installed: pip install "videoseq\[int8\]"$'):
        quantizer.quantize_backbone(backbone, images)
    check_one_line(call("quantize", "m", "v.mp4", "--out", tmp_path / "o"), 2, 'pip install "videoseq[int8]"')


@pytest.mark.slow
def test_nothing_is_reported_anywhere():
    """It is quantized where no socket can be made; the makers' telemetry is there, and not imported."""
    assert importlib.util.find_spec("openvino_telemetry") is not None
    text = """
import socket, sys, torch
def refuse(*args, **kwargs): raise AssertionError("a socket was asked for")
socket.socket = socket.create_connection = socket.getaddrinfo = refuse
from videoseq.features.backbones import load_backbone
from videoseq.config.schema import BackboneSettings
from videoseq.features.runtimes import select_runtime
from videoseq.config.runtime import RuntimeChoice
from videoseq.export.int8_calibration import quantize_backbone
backbone = load_backbone(BackboneSettings())
images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
network = quantize_backbone(backbone, images)
runtime = select_runtime(backbone, RuntimeChoice(precision="int8"), (), network)
print(tuple(runtime(images).shape))
import threading
from nncf.telemetry import telemetry
print(type(telemetry).__name__, "pytest" in sys.modules)
print(threading.active_count(), any(name.startswith("openvino_telemetry") for name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.splitlines() == ["(2, 3840)", "MagicMock False", "1 False"], done.stderr


# which runtime is taken


@pytest.mark.slow
def test_auto_takes_int8_where_labels_agreed_and_openvino_is_there(backbone, network, monkeypatch):
    def precision(trusted, quantized=network, **choice):
        return select_runtime(backbone, RuntimeChoice(device="cpu", **choice), trusted, quantized).precision

    assert precision(["int8"]) == precision(["int8", "bfloat16"]) == precision([], precision="int8") == "int8"
    assert precision([]) == precision(["int8"], None) == precision(["int8"], precision="float32") == "float32"
    assert precision(["int8"], library="torch") == "float32"
    monkeypatch.setattr(openvino_runtime, "is_available", lambda: False)
    assert precision(["int8"]) == "float32"
    with pytest.raises(ConfigError, match=r'int8 needs OpenVINO, .* pip install "videoseq\[openvino\]"$'):
        precision(["int8"], precision="int8")


@pytest.mark.slow
@pytest.mark.parametrize("choice", [{"library": "torch"}, {"library": "torch", "device": "cpu"}])
def test_int8_by_anything_else_is_one_line(choice, backbone, network):
    with pytest.raises(
        ConfigError, match=r"int8 is computed by OpenVINO on the CPU; leave out --runtime and --device$"
    ):
        select_runtime(backbone, RuntimeChoice(precision="int8", **choice), (), network)


@pytest.mark.slow
def test_a_cpu_that_computes_it_otherwise_is_found_out(backbone, network):
    """What an older CPU gives, which cuts sums off, has a cosine of 0.84 to what was compared."""
    other = replace(network, probe_features=network.probe_features * torch.rand(1, 3840))
    with pytest.raises(ConfigError, match=r"cosine of 0.* to those that it gave in int8 where it was quantized"):
        select_runtime(backbone, INT8, (), other)
    assert select_runtime(backbone, RuntimeChoice(device="cpu"), ["int8"], other).precision == "float32"


def test_for_a_cpu_that_cuts_sums_off_weights_have_seven_bits(monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text("flags : fpu avx2\n")
    assert quantizer_fix() == ("DISABLE" if machine.cpu_adds_int8_exactly() else "ENABLE")
    monkeypatch.setattr(machine, "_CPU_INFO", tmp_path / "cpuinfo")
    assert quantizer_fix() == "ENABLE"


def quantizer_fix() -> str:
    import nncf

    network = openvino_runtime.import_silently("openvino").Model([], [], "empty")
    return quantizer._options(network, nncf)["advanced_parameters"].overflow_fix.name


@pytest.mark.slow
def test_features_of_two_networks_are_two_entries_of_the_store(backbone, images, network, clip, tmp_path):
    other = quantizer.quantize_backbone(backbone, images[:2])
    runtimes = [select_runtime(backbone, INT8, (), quantized) for quantized in (network, other)]
    assert runtimes[0].arithmetic == f"int8-{network.sha256}"
    runtimes.append(select_runtime(backbone, RuntimeChoice("cpu", "openvino", "float32")))
    assert runtimes[2].arithmetic == "float32"
    store = FeatureStore(tmp_path)
    found = [store.get(clip, runtime, 10.0).features for runtime in runtimes]
    assert len(list(tmp_path.glob("*/*/entry.json"))) == 3
    assert not any(np.array_equal(found[i], found[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    for features, runtime in zip(found, runtimes, strict=True):
        assert np.array_equal(store.get(clip, runtime, 10.0).features, features)


# pictures and labels


def test_pictures_are_spread_over_what_is_looked_at(model_folder, tmp_path):
    saved = load_model_folder(model_folder)
    frames = [np.full((72, 96, 3), 2 * index, np.uint8) for index in range(100)]
    video = write_video(tmp_path / "ramp.mp4", frames, fps=10)  # every frame is looked at

    def levels(num_images, max_frames=1000):
        with VideoReader(video) as reader:
            found = spread_images(reader, saved, num_images, max_frames)
        return [round(float(image.float().mean()) / 2) for image in found]

    for num_images in (1, 2, 7, 30):
        got = levels(num_images)
        assert len(got) == num_images
        gaps = np.diff(got)
        assert num_images == 1 or (gaps.min() > 0 and gaps.max() <= 2 * 100 / num_images + 2), got
    assert (len(levels(99)), len(levels(300))) == (99, 100)
    assert max(levels(10, max_frames=50)) <= 51


def test_videos_are_split_where_there_are_enough():
    assert split_videos("abcde") == ("abcde", "abcde")
    assert split_videos("abcdefg") == ("aceg", "bdf")
    assert (max_frames_per_video(1), max_frames_per_video(4), max_frames_per_video(999)) == (50_000, 12_500, 5_000)


@pytest.mark.slow
def test_labels_are_compared_as_far_as_asked(model_folder, network, clip):
    saved = load_model_folder(model_folder)
    float32 = select_runtime(saved.backbone, RuntimeChoice("cpu", "openvino", "float32"))
    int8 = select_runtime(saved.backbone, INT8, (), network)
    with VideoReader(clip) as reader:
        same = compare_labels(reader, saved, (float32, float32), 1000)
    assert (same.num_frames, same.agreement, same.num_images) == (40, 1.0, 20)
    assert same.cosine == pytest.approx(1.0)
    with VideoReader(clip) as reader:
        other = compare_labels(reader, saved, (float32, int8), 1000)
    assert 0.5 < other.cosine < 0.9999
    assert other + other == Comparison(
        80, 2 * other.num_equal, 40, 2 * other.cosine_sum, frozenset({"bright", "dark"}), 2
    )
    assert Comparison().agreement == Comparison().cosine == 0.0


# the program


@pytest.mark.slow
def test_a_model_is_made_with_all_that_the_other_has(made, model8, model_folder):
    assert {path.name for path in model8.iterdir()} == {path.name for path in model_folder.iterdir()}
    for name in ("metrics.json", "README.md", "report.html"):
        assert (model8 / name).read_bytes() == (model_folder / name).read_bytes()
    before, after = (json.loads((folder / "model.json").read_text()) for folder in (model_folder, model8))
    origin = after["int8"]
    assert 55 <= origin["num_calibration_images"] <= 70  # ten a second of three clips, and their first frames
    assert (origin["num_calibration_videos"], origin["num_compared_videos"]) == (3, 3)
    assert origin["compared_on_other_videos"] is True
    assert origin["versions"].keys() == {"nncf", "openvino"}
    assert after["agreement"]["int8"] >= 0.995
    for values in (before, after):
        for key in ("int8", "tensors_sha256"):
            values.pop(key)
        values["agreement"].pop("int8", None)
    assert before == after
    tensors, tensors8 = (load_file(folder / "model.safetensors") for folder in (model_folder, model8))
    assert tensors8.keys() - tensors.keys() == {"int8.xml", "int8.bin", "int8.probe"}
    assert all(torch.equal(tensors8[name], tensor) for name, tensor in tensors.items())
    assert load_model_folder(model8).quantized.sha256 == origin["network_sha256"]


@pytest.mark.slow
def test_it_says_what_was_compared_and_how_fast_it_is(made):
    run, out = made
    said = run.stderr.splitlines()
    assert said[0].startswith("calibrating on ")
    assert said[1].startswith("CNN: float32 ")
    assert said[1].endswith(" images/s")
    assert said[2].startswith("int8 gives the same labels as float32 on ")
    assert said[2].endswith(" frames of 3 videos, not used for calibration")
    assert said[3].startswith(f"model: {out}; ")
    result = json.loads(run.stdout)
    assert result["agreement"] >= 0.995
    assert {"float32", "int8"} <= result["images_per_second"].keys()


@pytest.mark.slow
def test_it_is_labeled_with_and_evaluated(model8, model_folder, light_dataset, clip, call, tmp_path):
    ended = call("label", clip, "--model", model8, "--out", tmp_path / "a", "--precision", "int8")
    assert ended.status == 0, ended.err
    ended = call("label", clip, "--model", model8, "--out", tmp_path / "b")
    (asked,), (auto,) = (json_lines(tmp_path / name / "results.jsonl") for name in "ab")
    assert asked["precision"] == auto["precision"] == "int8"
    assert ", int8, " in auto["runtime"]
    assert (tmp_path / "a" / "clip.mp4.frames.csv").read_bytes() == (
        tmp_path / "b" / "clip.mp4.frames.csv"
    ).read_bytes()
    before = contents(tmp_path / "a")
    call("label", clip, "--model", model8, "--out", tmp_path / "a", "--precision", "int8")
    assert contents(tmp_path / "a") == before
    cache = tmp_path / "cache"
    ended = call("evaluate", model8, light_dataset, "--out", tmp_path / "report", "--cache", cache, "--quiet")
    assert (ended.status, ended.err) == (0, "")
    entry = json.loads(
        next(cache.glob("features/*/*/entry.json"), next(cache.glob("*/*/entry.json"), None)).read_text()
    )
    assert entry["precision"] == f"int8-{load_model_folder(model8).quantized.sha256}"


@pytest.mark.slow
def test_where_there_is_nothing_to_quantize_it_says_which_command_does(
    model_folder, light_dataset, clip, call, tmp_path
):
    int8 = ("--precision", "int8")
    check_one_line(call("label", clip, "--model", model_folder, "--out", tmp_path / "o", *int8), 2, COMMAND)
    check_one_line(call("features", clip, "--out", tmp_path / "o", *int8), 2, COMMAND)
    check_one_line(call("evaluate", model_folder, light_dataset, "--out", tmp_path / "o", *int8), 2, COMMAND)
    check_one_line(call("train", light_dataset, "--out", tmp_path / "m", "--quiet", *int8), 2, COMMAND)


@pytest.mark.slow
def test_if_labels_do_not_agree_nothing_is_written(model_folder, light_dataset, network, call, monkeypatch, tmp_path):
    monkeypatch.setattr("videoseq.models.model_folder.MIN_AGREEMENT", 1.01)
    monkeypatch.setattr("videoseq.export.int8.quantize_backbone", lambda backbone, images: network)
    ended = call("quantize", model_folder, light_dataset, "--out", tmp_path / "model8", "--quiet")
    check_one_line(ended, 2, f"{model_folder}: expected int8 to give float32's labels on ", "nothing was written")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_labels_that_never_change_prove_nothing(model_folder, clip, network, call, monkeypatch, tmp_path):
    def only_dark(*args: object) -> Comparison:
        return replace(compare_labels(*args), names=frozenset({"dark"}))

    monkeypatch.setattr("videoseq.export.int8.quantize_backbone", lambda backbone, images: network)
    monkeypatch.setattr("videoseq.models.model_folder.MIN_AGREEMENT", 0.0)
    monkeypatch.setattr("videoseq.export.int8.compare_labels", only_dark)
    ended = call("quantize", model_folder, clip, "--out", tmp_path / "model8", "--quiet")
    check_one_line(ended, 2, "expected videos in which labels change, got 'dark' on all of 40 frames of 1 videos")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_what_stands_at_out_is_replaced_only_when_told_to(model8, call, copied, clip, network, monkeypatch):
    monkeypatch.setattr("videoseq.export.int8.quantize_backbone", lambda backbone, images: network)
    monkeypatch.setattr("videoseq.models.model_folder.MIN_AGREEMENT", 0.0)
    check_one_line(call("quantize", model8, clip, "--out", copied), 74, "--overwrite")
    ended = call("quantize", copied, clip, "--out", copied, "--overwrite")  # quantized again, in its place
    assert ended.status == 0, ended.err
    assert "frames of 1 videos, also used for calibration" in ended.err
    assert load_model_folder(copied).quantized.sha256 == network.sha256
    assert (copied / "report.html").exists()


@pytest.mark.slow
def test_a_bad_video_is_left_out_and_said(model_folder, clip, network, call, monkeypatch, tmp_path):
    monkeypatch.setattr("videoseq.export.int8.quantize_backbone", lambda backbone, images: network)
    monkeypatch.setattr("videoseq.models.model_folder.MIN_AGREEMENT", 0.0)
    (tmp_path / "text.mp4").write_text("I am no video. " * 99)
    ended = call(
        "quantize", model_folder, clip, tmp_path / "text.mp4", tmp_path / "none.mp4", "--out", tmp_path / "m", "-q"
    )
    assert ended.status == 3
    assert [line.split(":")[0] for line in ended.err.splitlines()] == ["error", "error"]
    assert load_model_folder(tmp_path / "m").config.int8.num_compared_videos == 1
    ended = call("quantize", model_folder, tmp_path / "text.mp4", "--out", tmp_path / "n", "-q")
    check_one_line(ended, 4, "expected a video")
    (tmp_path / "empty").mkdir()
    assert call("quantize", model_folder, tmp_path / "empty", "--out", tmp_path / "n").status == 5


# a model that was tampered with


@pytest.mark.slow
def test_a_saved_and_loaded_network_is_the_same(model8, tmp_path):
    saved = load_model_folder(model8)
    save_model_folder(saved, tmp_path / "again")
    again = load_model_folder(tmp_path / "again")
    assert again.sha256 == saved.sha256
    assert again.quantized.sha256 == saved.quantized.sha256


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("int8.bin"), "int8 network: expected "),
        (lambda t: t.update({"int8.probe": torch.zeros(1, 7)}), "int8 network: expected "),
        (lambda t: t.update({"int8.xml": t["int8.xml"].float()}), "int8 network: expected "),
        (lambda t: t["int8.bin"][:100].fill_(0), "its int8 network is not the one that model.json describes"),
    ],
    ids=["lost", "shape", "dtype", "other bytes"],
)
def test_tensors_that_are_no_network_are_refused(change, message, copied):
    edit_tensors(copied, change)
    with pytest.raises(ModelError, match=f"{copied}: model.safetensors: .*") as caught:
        load_model_folder(copied)
    assert message in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda graph: b"", "OpenVINO cannot read it"),
        (lambda graph: b"I am no network", "OpenVINO cannot read it"),
        (lambda graph: graph[: len(graph) // 2], "OpenVINO cannot read it"),
        (lambda graph: graph.replace(b'"Convolution"', b'"Revolution"'), "OpenVINO cannot read it"),
        (lambda graph: graph.replace(b'shape="?,3,224,224"', b'shape="?,4,224,224"', 1), "int8 network: "),
        (
            lambda graph: SMALL,
            "int8 network: expected u8[?,3,224,224] → f32[?,3840], got f32[1] → f32[1]; make it again",
        ),
    ],
    ids=["empty", "text", "half", "unknown", "channels", "another"],
)
def test_a_network_that_is_not_the_backbones_is_one_line(change, message, copied):
    """Everything vouches for it: whoever made the model meant it."""
    network = load_model_folder(copied).quantized
    other = replace(network, graph=change(network.graph))
    edit_tensors(copied, lambda tensors: tensors.update({f"int8.{k}": v for k, v in other.tensors().items()}))
    edit(copied, lambda values: values["int8"].update(network_sha256=other.sha256))
    assert open_model(copied, RuntimeChoice("cpu", precision="float32"))
    for choice in (RuntimeChoice("cpu"), INT8):
        with pytest.raises(ModelError) as caught:
            open_model(copied, choice)
        assert str(caught.value).startswith(f"{copied}: int8 network: ")
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


SMALL = b"""<?xml version="1.0"?>
<net name="small" version="11">
<layers>
<layer id="0" name="a" type="Parameter" version="opset1"><data shape="1" element_type="f32"/>
<output><port id="0" precision="FP32"><dim>1</dim></port></output></layer>
<layer id="1" name="b" type="Result" version="opset1">
<input><port id="0" precision="FP32"><dim>1</dim></port></input></layer>
</layers>
<edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/></edges>
</net>
"""

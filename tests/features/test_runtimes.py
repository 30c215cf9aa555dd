"""How the backbone runs: every runtime gives the features of the plain network, and no notice is given."""

from __future__ import annotations

import copy
import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from skimage import data as photographs

from videoseq.config.runtime import LIBRARIES, RuntimeChoice
from videoseq.config.schema import BackboneSettings
from videoseq.errors import ConfigError
from videoseq.features.backbones import Backbone, load_backbone
from videoseq.features.runtimes import Runtime, TorchRuntime, fold_batch_norm, openvino_runtime, select_runtime
from videoseq.system import hardware as machine
from videoseq.system.hardware import num_usable_cores
from videoseq.system.torch_devices import choose_device

CASES = [(library, precision) for library in LIBRARIES for precision in ("float32", "bfloat16")]


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone(BackboneSettings())


@pytest.fixture(scope="module")
def images(backbone) -> torch.Tensor:
    pictures = [photographs.chelsea(), photographs.coffee(), photographs.astronaut(), photographs.rocket()]
    resized = torch.stack([backbone.identity.preprocessing.resize(picture) for picture in pictures])
    return torch.cat((resized, resized.flip(3)))


@pytest.fixture(scope="module")
def expected(backbone, images) -> torch.Tensor:
    """What the network gives as it was loaded: float32, nothing folded."""
    with torch.inference_mode():
        return backbone(images)


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def runtime(request, backbone) -> Runtime:
    library, precision = request.param
    if (library, precision) == ("openvino", "bfloat16") and not machine.cpu_computes_bfloat16():
        pytest.skip("OpenVINO computes in bfloat16 only where the CPU does")
    return select_runtime(backbone, RuntimeChoice("cpu", library, precision, num_threads=2))


def test_every_runtime_gives_the_features_of_the_plain_network(runtime, images, expected):
    features = runtime(images)
    assert features.dtype == torch.float32
    if runtime.precision == "float32":
        torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)
    else:
        assert torch.nn.functional.cosine_similarity(features, expected).min() > 0.99
        assert (features - expected).abs().max() > 1e-3  # it did compute in 16 bits


def test_features_depend_on_neither_the_batch_nor_the_number_of_threads(runtime, images, backbone):
    whole = in_one_core(runtime, images)
    for size in (1, 3, 8):
        parts = [in_one_core(runtime, part) for part in images.split(size)]
        assert torch.equal(torch.cat(parts), whole), size
    library = "openvino" if runtime.description.startswith("openvino") else "torch"
    alone = select_runtime(backbone, RuntimeChoice("cpu", library, runtime.precision, num_threads=1))
    assert torch.equal(in_one_core(alone, images), whole)


def in_one_core(runtime: Runtime, images: torch.Tensor) -> torch.Tensor:
    """As the label path calls it: in a thread that keeps torch to one core."""
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as thread:
        return thread.submit(runtime, images).result()


def test_a_runtime_may_be_in_as_many_calls_as_it_has_streams(runtime, images):
    assert runtime.num_streams == 2
    expected = [in_one_core(runtime, image[None]) for image in images]
    with ThreadPoolExecutor(4, initializer=torch.set_num_threads, initargs=(1,)) as threads:
        got = list(threads.map(runtime, [image[None] for image in images] * 3))
    for index, features in enumerate(got):
        assert torch.equal(features, expected[index % len(images)])


def test_a_description_names_library_version_precision_and_threads(runtime):
    library, _, rest = runtime.description.partition(" ")
    assert library in LIBRARIES
    assert runtime.precision in rest
    assert "2 × 1 CPU thread" in rest


def test_auto_takes_openvino_in_float32_on_every_core(backbone):
    runtime = select_runtime(backbone, RuntimeChoice(device="cpu"))
    assert runtime.description.startswith("openvino")
    assert runtime.precision == "float32"
    assert runtime.num_streams == num_usable_cores()


def test_of_many_cores_auto_takes_as_many_as_a_decoder_can_feed(backbone, monkeypatch):
    monkeypatch.setattr("videoseq.features.runtimes.selection.num_usable_cores", lambda: 128)
    assert select_runtime(backbone, RuntimeChoice("cpu", "torch")).num_streams == 16
    assert select_runtime(backbone, RuntimeChoice("cpu", "torch", num_threads=20)).num_streams == 20


def test_without_openvino_auto_takes_torch_and_asking_for_it_names_the_extra(backbone, monkeypatch):
    monkeypatch.setattr(openvino_runtime, "is_available", lambda: False)
    assert select_runtime(backbone, RuntimeChoice(device="cpu")).description.startswith("torch")
    with pytest.raises(ConfigError, match=r'not installed: pip install "videoseq\[openvino\]"'):
        select_runtime(backbone, RuntimeChoice(library="openvino"))


@pytest.mark.parametrize(
    ("flags", "trusted", "precision", "expected"),
    [
        ("fpu avx512_bf16 x", ["bfloat16"], "auto", "bfloat16"),
        ("fpu avx512_bf16 x", [], "auto", "float32"),
        ("fpu avx512_bf16 x", [], "bfloat16", "bfloat16"),
        ("fpu avx512_bf16 x", ["bfloat16"], "float32", "float32"),
        ("fpu avx2", ["bfloat16"], "auto", "float32"),
    ],
)
def test_auto_takes_bfloat16_where_the_cpu_has_it_and_the_model_bears_it(
    flags, trusted, precision, expected, backbone, monkeypatch, tmp_path
):
    (tmp_path / "cpuinfo").write_text(f"model name : Some CPU\nflags : {flags}\nmodel name : Some CPU\n")
    monkeypatch.setattr(machine, "_CPU_INFO", tmp_path / "cpuinfo")
    assert machine.cpu_name() == "Some CPU"
    assert select_runtime(backbone, RuntimeChoice("cpu", "torch", precision), trusted).precision == expected


class Stubborn(torch.nn.Module):
    """What no exporter knows, or what a tracer gets wrong."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.kind == "unknown":
            return torch.linalg.svdvals(images).flatten(1)[:, :4]
        if images.std() > 0.2:  # decided while zeros are traced
            return images.mean(dim=(2, 3))
        return images.std(dim=(2, 3)) * torch.tensor([1.0, -5.0, 2.0])


@pytest.mark.parametrize("kind", ["unknown", "traced wrongly"])
def test_a_backbone_that_openvino_cannot_take_is_left_to_torch(kind, backbone):
    identity = backbone.identity.model_copy(update={"name": "stubborn"})
    stubborn = Backbone(Stubborn(kind), identity, weights_are_packaged=False)
    with pytest.raises(ConfigError, match=r"openvino does not run the backbone stubborn: .*; use --runtime torch$"):
        select_runtime(stubborn, RuntimeChoice("cpu", "openvino"))
    assert select_runtime(stubborn, RuntimeChoice("cpu")).description.startswith("torch")


@pytest.mark.parametrize(("quota", "expected"), [("max 100000", None), ("100000 100000", 1), ("150000 100000", 2)])
def test_a_containers_quota_limits_the_cores(quota, expected, monkeypatch, tmp_path):
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(machine, "_CGROUP_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(3)))
    assert num_usable_cores() == (expected or 3)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            {"library": "openvin"},
            r"runtime: expected auto, torch, openvino, got 'openvin' \(did you mean 'openvino'\?\)",
        ),
        ({"precision": "bf16"}, "precision: expected auto, float32, bfloat16, float16, int8, got 'bf16'"),
        ({"device": "cpu", "precision": "float16"}, "float16 needs a CUDA device"),
        ({"library": "openvino", "precision": "float16"}, "float16 needs a CUDA device"),
        ({"device": "gpu"}, "device: expected auto, cpu, cuda or cuda:N, got 'gpu'"),
    ],
)
def test_what_cannot_be_is_one_line(choice, message, backbone):
    with pytest.raises(ConfigError, match=message):
        select_runtime(backbone, RuntimeChoice(**choice))


def test_devices():
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(ConfigError, match="torch sees"):
        choose_device("cuda:77")


def test_folding_batch_norms_leaves_the_backbone_as_it_is(backbone):
    num_norms = sum(isinstance(module, torch.nn.BatchNorm2d) for module in backbone.modules())
    select_runtime(backbone, RuntimeChoice("cpu", "torch"))
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in backbone.modules()) == num_norms > 40
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in backbone.state_dict().values())
    folded = fold_batch_norm(copy.deepcopy(backbone))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())


def test_nothing_is_reported_anywhere():
    """The runtime is built and run where no socket can be made; its makers' telemetry is there, and not imported."""
    assert importlib.util.find_spec("openvino_telemetry") is not None
    program = """
import socket, sys, torch
def refuse(*args, **kwargs): raise AssertionError("a socket was asked for")
socket.socket = socket.create_connection = socket.getaddrinfo = refuse
from videoseq.features.backbones import load_backbone
from videoseq.config.schema import BackboneSettings
from videoseq.features.runtimes import select_runtime
from videoseq.config.runtime import RuntimeChoice
runtime = select_runtime(load_backbone(BackboneSettings()), RuntimeChoice("cpu", "openvino"))
print(tuple(runtime(torch.zeros(1, 3, 224, 224, dtype=torch.uint8)).shape))
import threading
print(threading.active_count(), any(name.startswith("openvino_telemetry") for name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines() == ["(1, 3840)", "1 False"], done.stderr


def test_cuda_gives_the_features_of_the_cpu(backbone, images, expected):
    if not torch.cuda.is_available():
        if os.environ.get("VIDEOSEQ_REQUIRE_CUDA") == "1":
            pytest.fail("VIDEOSEQ_REQUIRE_CUDA=1, but torch sees no CUDA device")
        pytest.skip("needs a CUDA device")
    exact = select_runtime(backbone, RuntimeChoice("cuda", precision="float32"))(images)
    torch.testing.assert_close(exact, expected, atol=1e-2, rtol=1e-2)
    for precision in ("auto", "bfloat16", "float16"):
        features = select_runtime(backbone, RuntimeChoice("cuda", precision=precision))(images)
        assert torch.nn.functional.cosine_similarity(features, expected).min() > 0.99


def test_a_device_without_room_for_a_batch_gets_it_in_halves(backbone, images, expected, monkeypatch):
    """A double of a GPU's memory: three images at once are too many."""
    runtime = TorchRuntime(backbone, torch.device("cpu"), "float32", 1)
    compute, sizes = runtime._compute, []

    def with_little_room(some):
        sizes.append(len(some))
        if len(some) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return compute(some)

    monkeypatch.setattr(runtime, "_compute", with_little_room)
    runtime.batch_images = 64
    torch.testing.assert_close(runtime(images), expected, rtol=1e-4, atol=1e-4)
    assert (sizes, runtime.batch_images) == ([8, 4, 2, 2, 4, 2, 2], 2)
    runtime._device = torch.device("cuda:0")
    assert "has no room for 64 images at once; the CNN takes 2" in runtime.notices[0].message
    monkeypatch.setattr(runtime, "_compute", lambda _: (_ for _ in ()).throw(torch.OutOfMemoryError("")))
    with pytest.raises(ConfigError, match="expected room for one image, got none; use --device cpu"):
        runtime(images[:2])

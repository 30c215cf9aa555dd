"""A backbone in 8-bit integers: NNCF measures the ranges of its activations on images of the user's videos."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from videoseq.errors import ConfigError, one_line
from videoseq.features.backbones import Backbone
from videoseq.features.runtimes import openvino_runtime
from videoseq.features.runtimes.int8 import QuantizedNetwork, probe_image
from videoseq.models.model_folder import ModelFolder
from videoseq.system.hardware import cpu_adds_int8_exactly
from videoseq.video.frames import FrameReader, OnFrames

if TYPE_CHECKING:
    import openvino


def check_available() -> None:
    """Checks that OpenVINO and NNCF are installed.

    Raises:
        ConfigError: One of them is not.
    """
    if not openvino_runtime.is_available() or importlib.util.find_spec("nncf") is None:
        raise ConfigError('int8: OpenVINO or NNCF is not installed: pip install "videoseq[int8]"')


def quantizer_versions() -> dict[str, str]:
    """The versions on which the bytes of a quantized network depend."""
    return {name: metadata.version(name) for name in ("nncf", "openvino")}


def quantize_backbone(backbone: Backbone, images: UInt8[Tensor, "images 3 height width"]) -> QuantizedNetwork:
    """The backbone in 8-bit integers; the same images give the same bytes.

    Args:
        backbone: The float32 network; it is not changed.
        images: Resized images like those that it will see; a few hundred are enough.

    Raises:
        ConfigError: NNCF or OpenVINO is not installed, or cannot quantize this backbone.
    """
    check_available()
    openvino = openvino_runtime.import_silently("openvino")
    core = openvino.Core()
    with _silence():
        nncf = openvino_runtime.import_silently("nncf")
        try:
            network = openvino_runtime.read_float(core, backbone)
            _simplify(network)
            batches = [image[None].numpy() for image in images]  # one by one: NNCF would measure a whole batch at once
            network = nncf.quantize(network, nncf.Dataset(batches), subset_size=len(batches), **_options(network, nncf))
            graph, weights = _serialize(network, openvino)
            compiled = core.compile_model(network, "CPU", openvino_runtime.compile_options("int8", 1))
            (probe_features,) = compiled([probe_image(backbone.identity).numpy()]).values()
        except (RuntimeError, nncf.ValidationError, nncf.InternalError) as error:
            raise ConfigError(f"int8: the backbone {backbone.identity.name}: {one_line(error)[:200]}") from None
    return QuantizedNetwork(graph, weights, torch.tensor(probe_features))


def spread_images(
    reader: FrameReader, contents: ModelFolder, num_images: int, max_frames: int, on_progress: OnFrames | None = None
) -> list[UInt8[Tensor, "3 height width"]]:
    """Resized images, spread evenly over a video's first frames.

    Args:
        reader: The video.
        contents: The model; only frames that its CNN would see are taken.
        num_images: How many images; fewer if the CNN would see fewer.
        max_frames: Where to stop.
        on_progress: Hears the number of frames and the fraction of the file that was read.

    Raises:
        VideoError: The video cannot be read.
    """
    resize = contents.backbone.identity.preprocessing.resize
    kept: list[Tensor] = []
    stride, num_seen = 1, 0
    for frame in reader.sampled(contents.config.sample_hz):
        if frame.stamp.index >= max_frames:
            break
        if frame.image is None:
            continue
        if num_seen % stride == 0:
            kept.append(resize(frame.image))
        num_seen += 1
        if len(kept) == 2 * num_images:  # the number of frames is not known before the end
            kept, stride = kept[::2], 2 * stride
        if on_progress is not None:
            on_progress(frame.stamp.index + 1, reader.fraction_read)
    rows = np.linspace(0, len(kept) - 1, min(num_images, len(kept))).round().astype(int)
    return [kept[row] for row in rows]


def _simplify(network: openvino.Model) -> None:
    """Folds constant expressions: NNCF recognizes a bias or a depthwise convolution only with constant weights."""
    from openvino._offline_transformations import apply_moc_transformations  # where NNCF finds it too

    apply_moc_transformations(network, cf=True)


def _options(network: openvino.Model, nncf: ModuleType) -> dict[str, object]:
    """The options that kept most labels, of all that were tried (docs/performance.md)."""
    operations = network.get_ordered_ops()
    first = [operation.get_friendly_name() for operation in operations if operation.get_type_name() == "Convolution"][
        :1
    ]
    # A CPU whose int8 sums saturate needs weights of seven bits. If such a CPU later gets a network with eight, the
    # check of its probe features refuses it.
    fix = nncf.OverflowFix.DISABLE if cpu_adds_int8_exactly() else nncf.OverflowFix.ENABLE
    return {
        "preset": nncf.QuantizationPreset.PERFORMANCE,
        "fast_bias_correction": False,
        "ignored_scope": nncf.IgnoredScope(names=first),
        "advanced_parameters": nncf.AdvancedQuantizationParameters(overflow_fix=fix),
    }


def _serialize(network: openvino.Model, library: ModuleType) -> tuple[bytes, bytes]:
    """Graph and weights, with new names: OpenVINO numbers its names for as long as the process lives."""
    from openvino._offline_transformations import apply_fused_names_cleanup

    apply_fused_names_cleanup(network)
    for number, operation in enumerate(network.get_ordered_ops()):
        operation.set_friendly_name(f"{operation.get_type_name()}_{number}")
    with tempfile.TemporaryDirectory() as folder:
        graph, weights = Path(folder, "int8.xml"), Path(folder, "int8.bin")
        library.serialize(network, graph, weights)
        return graph.read_bytes(), weights.read_bytes()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keeps NNCF's progress bars and log away from stdout, which is for data."""
    logger = logging.getLogger("nncf")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)

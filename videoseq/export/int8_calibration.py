"""A backbone in 8-bit integers: NNCF finds the ranges of its activations on pictures like those that it is to see."""

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

import torch
from jaxtyping import UInt8
from torch import Tensor

from videoseq.errors import ConfigError, one_line
from videoseq.features.backbones import Backbone
from videoseq.features.runtimes import openvino_runtime
from videoseq.features.runtimes.int8 import QuantizedNetwork, probe_image
from videoseq.system.hardware import cpu_adds_int8_exactly

if TYPE_CHECKING:
    import openvino


def check_available() -> None:
    """Says so if what quantises is not installed.

    Raises:
        ConfigError: It is not.
    """
    if not openvino_runtime.is_available() or importlib.util.find_spec("nncf") is None:
        raise ConfigError('int8: OpenVINO or NNCF is not installed: pip install "videoseq[int8]"')


def quantizer_versions() -> dict[str, str]:
    """The versions on which a quantised network's bytes depend."""
    return {name: metadata.version(name) for name in ("nncf", "openvino")}


def quantize_backbone(backbone: Backbone, images: UInt8[Tensor, "images 3 height width"]) -> QuantizedNetwork:
    """The backbone in 8-bit integers; the same images give the same bytes.

    Args:
        backbone: What is to be quantised; it stays as it is.
        images: Resized pictures like those that it is to see; a few hundred are enough.

    Raises:
        ConfigError: NNCF or OpenVINO is not installed, or cannot quantise this backbone.
    """
    check_available()
    openvino = openvino_runtime.import_silently("openvino")
    core = openvino.Core()
    with _silence():
        nncf = openvino_runtime.import_silently("nncf")
        try:
            network = openvino_runtime.read_float(core, backbone)
            _simplify(network)
            pictures = [image[None].numpy() for image in images]  # one by one: of a batch it would measure the whole
            network = nncf.quantize(
                network, nncf.Dataset(pictures), subset_size=len(pictures), **_options(network, nncf)
            )
            graph, weights = _serialize(network, openvino)
            compiled = core.compile_model(network, "CPU", openvino_runtime.compile_options("int8", 1))
            (probe_features,) = compiled([probe_image(backbone.identity).numpy()]).values()
        except (RuntimeError, nncf.ValidationError, nncf.InternalError) as error:
            raise ConfigError(f"int8: the backbone {backbone.identity.name}: {one_line(error)[:200]}") from None
    return QuantizedNetwork(graph, weights, torch.tensor(probe_features))


def _simplify(network: openvino.Model) -> None:
    """Folds what the exporter left to be computed; NNCF knows a bias or a depthwise convolution only as constants."""
    from openvino._offline_transformations import apply_moc_transformations  # where NNCF takes its own from

    apply_moc_transformations(network, cf=True)


def _options(network: openvino.Model, nncf: ModuleType) -> dict[str, object]:
    """What of all that was tried left most labels as they are (docs/performance.md)."""
    operations = network.get_ordered_ops()
    first = [operation.get_friendly_name() for operation in operations if operation.get_type_name() == "Convolution"][
        :1
    ]
    # Weights of seven bits, for sums that may be cut off. Without them another CPU that does so is found out when it is
    # to run the network.
    fix = nncf.OverflowFix.DISABLE if cpu_adds_int8_exactly() else nncf.OverflowFix.ENABLE
    return {
        "preset": nncf.QuantizationPreset.PERFORMANCE,
        "fast_bias_correction": False,
        "ignored_scope": nncf.IgnoredScope(names=first),
        "advanced_parameters": nncf.AdvancedQuantizationParameters(overflow_fix=fix),
    }


def _serialize(network: openvino.Model, library: ModuleType) -> tuple[bytes, bytes]:
    """Graph and weights; names go or are counted anew, since OpenVINO counts on for as long as a process lives."""
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
    """NNCF draws bars and writes its log to stdout, which is for data."""
    logger = logging.getLogger("nncf")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)

"""OpenVINO runs the backbone on the CPU; its telemetry is off.

Its package tells its makers over the network that it was imported, and its converter that it was used, wherever
``openvino_telemetry`` is installed, which it is with the package. It is therefore imported without, and the network
reaches it as ONNX and through ``read_model``.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import io
import queue
import sys
import warnings
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from videoseq.config.runtime import Precision
from videoseq.errors import ConfigError, ModelError, one_line
from videoseq.features.backbones import Backbone, BackboneIdentity
from videoseq.features.runtimes.base import Runtime
from videoseq.features.runtimes.int8 import QuantizedNetwork, probe_image
from videoseq.features.runtimes.torch_runtime import fold_batch_norm

if TYPE_CHECKING:
    import openvino

_BATCH_IMAGES: dict[Precision, int] = {"float32": 2, "bfloat16": 4, "int8": 4}  # more fall out of a core's own cache
_HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}  # of what is not quantized
_OPSET = 17
_MIN_COSINE = 0.99


def is_available() -> bool:
    """Whether OpenVINO and what brings a network to it are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("openvino", "onnx"))


class OpenVINORuntime(Runtime):
    """OpenVINO: each of ``num_threads`` calls runs on one thread, as in ``TorchRuntime``.

    Args:
        backbone: What is run.
        precision: In which it is computed.
        num_threads: How many calls may run at once.
        quantized: The backbone in 8-bit integers, which ``int8`` needs.

    Raises:
        ConfigError: On construction, when the CPU cannot compute in ``precision``, or OpenVINO not run the backbone.
        ModelError: The 8-bit integer network is not one of this backbone.
    """

    def __init__(
        self, backbone: Backbone, precision: Precision, num_threads: int, quantized: QuantizedNetwork | None = None
    ) -> None:
        library = import_silently("openvino")
        core = library.Core()
        offered = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "float16" or {"bfloat16": "BF16", "int8": "INT8"}.get(precision, "FP32") not in offered:
            raise ConfigError(f"precision: {precision} asked for, but OpenVINO does not compute in it on this CPU")
        self.identity = identity = backbone.identity
        self.precision = precision
        self.num_streams = num_threads
        self.batch_images = _BATCH_IMAGES[precision]
        version = library.get_version().partition("-")[0]
        self.description = f"openvino {version}, {precision}, {num_threads} × 1 CPU thread"
        self._quantized = quantized if precision == "int8" else None
        try:
            network = read_quantized(core, self._quantized, identity) if self._quantized else read_float(core, backbone)
            compiled = core.compile_model(network, "CPU", compile_options(precision, num_threads))
        except RuntimeError as error:  # the exporter's errors are such too
            raise _refused(identity.name, one_line(error)[:200]) from None
        self._idle: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
        for _ in range(num_threads):
            self._idle.put(compiled.create_infer_request())
        # The first call of a process must not be made by two threads at once: the Python binding deadlocks.
        self._compare(backbone)

    @property
    def arithmetic(self) -> str:
        """What tells its features from those that are made of the same backbone in another way."""
        return f"int8-{self._quantized.sha256}" if self._quantized else self.precision

    def __call__(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features"]:
        """Features of resized images."""
        request = self._idle.get()
        try:
            (features,) = request.infer([images.contiguous().numpy()], share_inputs=True).values()
            return torch.tensor(features)  # a copy: the request's memory is written again
        finally:
            self._idle.put(request)

    def _compare(self, backbone: Backbone) -> None:
        """Holds the first features to the backbone's own: what was traced may not be what the network does.

        In 8-bit integers they are held to those that it gave where its labels were compared with float32's: another
        CPU may round its sums, or cut them off.
        """
        probe = probe_image(self.identity)
        with torch.inference_mode():
            expected = self._quantized.probe_features if self._quantized else backbone(probe)
            cosine = float(nn.functional.cosine_similarity(self(probe), expected))
        if not cosine >= _MIN_COSINE:  # nor is it, if it is not a number
            of_whom = "those that it gave in int8 where it was quantized" if self._quantized else "the backbone's"
            raise _refused(self.identity.name, f"its features have a cosine of {cosine:.3f} to {of_whom}")


def _refused(name: str, why: str) -> ConfigError:
    return ConfigError(f"runtime: openvino does not run the backbone {name}: {why}; use --runtime torch")


def compile_options(precision: Precision, num_threads: int) -> dict[str, object]:
    """How OpenVINO is to compute: so many calls at once, each on one core."""
    return {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "NUM_STREAMS": num_threads,
        "INFERENCE_NUM_THREADS": num_threads,
        "ENABLE_CPU_PINNING": False,  # every process would take the same first cores
    }


def read_float(core: openvino.Core, backbone: Backbone) -> openvino.Model:
    """The backbone as OpenVINO has networks, in float32.

    Raises:
        RuntimeError: torch cannot export it, or OpenVINO not read it.
    """
    return core.read_model(to_onnx(backbone), b"")


def read_quantized(core: openvino.Core, quantized: QuantizedNetwork, identity: BackboneIdentity) -> openvino.Model:
    """A quantized network, held to taking and giving what the backbone does.

    Raises:
        ModelError: It cannot be read, or takes or gives something else.
    """
    again = "make it again with: videoseq quantize MODEL VIDEO… --out MODEL8"
    try:
        network = core.read_model(quantized.graph, quantized.weights)
        ends = [f"{end.element_type.get_type_name()}{end.partial_shape}" for end in (*network.inputs, *network.outputs)]
    except RuntimeError as error:
        raise ModelError(f"int8 network: OpenVINO cannot read it: {one_line(error)[:200]}; {again}") from None
    size = identity.preprocessing
    expected = [f"u8[?,3,{size.height},{size.width}]", f"f32[?,{identity.feature_size}]"]
    if ends != expected:
        raise ModelError(f"int8 network: expected {' → '.join(expected)}, got {' → '.join(ends)}; {again}")
    return network


def import_silently(name: str) -> ModuleType:
    """A package of OpenVINO's makers; if this is its first import, it finds their telemetry absent and does without."""
    telemetry = "openvino_telemetry"
    if name in sys.modules:  # another part of the program has decided
        return importlib.import_module(name)
    before = {telemetry: sys.modules[telemetry]} if telemetry in sys.modules else {}
    sys.modules[telemetry] = None  # type: ignore[assignment]  # Python's way to say that there is no such module
    try:
        return importlib.import_module(name)
    finally:
        del sys.modules[telemetry]
        sys.modules.update(before)


def to_onnx(backbone: Backbone) -> bytes:
    """The backbone as an ONNX model: ``images``, uint8 of any number, to ``features``."""
    preprocessing = backbone.identity.preprocessing
    images = torch.zeros(1, 3, preprocessing.height, preprocessing.width, dtype=torch.uint8)
    file = io.BytesIO()
    with warnings.catch_warnings():
        # Shapes are traced as constants, which is right: every image has this size. The tracing exporter is called
        # old, but needs neither onnxscript nor eight times the seconds.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]  # it is there
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)  # about what is optimized later
        torch.onnx.export(
            fold_batch_norm(copy.deepcopy(backbone)),
            (images,),
            file,  # type: ignore[arg-type]  # the tracing exporter writes to open files too
            dynamo=False,
            opset_version=_OPSET,
            input_names=["images"],
            output_names=["features"],
            dynamic_axes={"images": {0: "batch"}, "features": {0: "batch"}},
        )
    return file.getvalue()

"""OpenVINO runs the backbone on the CPU, and reports to nobody.

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

from videoseq.backbones import Backbone
from videoseq.errors import ConfigError, one_line
from videoseq.runtimes.base import Precision, Runtime
from videoseq.runtimes.torch_runtime import fold_batch_norm

if TYPE_CHECKING:
    import openvino

_BATCH_IMAGES: dict[Precision, int] = {"float32": 2, "bfloat16": 4}  # more fall out of a core's own cache
_HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16"}
_OPSET = 17
_MIN_COSINE = 0.99


def is_available() -> bool:
    """Whether OpenVINO and what brings a network to it are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("openvino", "onnx"))


class OpenVINORuntime(Runtime):
    """OpenVINO: each of ``num_threads`` calls runs on one thread, as in :class:`~videoseq.runtimes.TorchRuntime`.

    Raises:
        ConfigError: On construction, when the CPU cannot compute in ``precision``, or OpenVINO not run the backbone.
    """

    def __init__(self, backbone: Backbone, precision: Precision, num_threads: int) -> None:
        library = _import_silently()
        core = library.Core()
        offered = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "float16" or (precision == "bfloat16" and "BF16" not in offered):
            raise ConfigError(f"precision: {precision} asked for, but OpenVINO does not compute in it on this CPU")
        self.identity = identity = backbone.identity
        self.precision = precision
        self.num_streams = num_threads
        self.batch_images = _BATCH_IMAGES[precision]
        version = library.get_version().partition("-")[0]
        self.description = f"openvino {version}, {precision}, {num_threads} × 1 CPU thread"
        options = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "NUM_STREAMS": num_threads,
            "INFERENCE_NUM_THREADS": num_threads,
            "ENABLE_CPU_PINNING": False,  # every process would take the same first cores
        }
        try:
            compiled = core.compile_model(core.read_model(to_onnx(backbone), b""), "CPU", options)
        except RuntimeError as error:  # the exporter's errors are such too
            raise _refused(identity.name, one_line(error)[:200]) from None
        self._idle: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
        for _ in range(num_threads):
            self._idle.put(compiled.create_infer_request())
        # The first call of a process must not be made by two threads at once: the Python binding deadlocks.
        self._compare(backbone)

    def __call__(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features"]:
        """Features of resized images."""
        request = self._idle.get()
        try:
            (features,) = request.infer([images.contiguous().numpy()], share_inputs=True).values()
            return torch.tensor(features)  # a copy: the request's memory is written again
        finally:
            self._idle.put(request)

    def _compare(self, backbone: Backbone) -> None:
        """Holds the first features to the backbone's own: what was traced may not be what the network does."""
        size = backbone.identity.preprocessing.height, backbone.identity.preprocessing.width
        noise = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            cosine = float(nn.functional.cosine_similarity(self(noise), backbone(noise)))
        if not cosine >= _MIN_COSINE:  # nor is it, if it is not a number
            raise _refused(self.identity.name, f"its features have a cosine of {cosine:.3f} to the backbone's")


def _refused(name: str, why: str) -> ConfigError:
    return ConfigError(f"runtime: openvino does not run the backbone {name}: {why}; say --runtime torch")


def _import_silently() -> ModuleType:
    """The package ``openvino``; if this is its first import, it finds its telemetry absent and does without."""
    telemetry = "openvino_telemetry"
    if "openvino" in sys.modules or telemetry in sys.modules:  # another part of the program has decided
        return importlib.import_module("openvino")
    sys.modules[telemetry] = None  # type: ignore[assignment]  # Python's way to say that there is no such module
    try:
        return importlib.import_module("openvino")
    finally:
        del sys.modules[telemetry]


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
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)  # it says what it leaves for later
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

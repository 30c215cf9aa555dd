"""What runs the CNN: a setting, without torch or pydantic, so that the command line can read it at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from videoseq.errors import ConfigError, did_you_mean

Precision = Literal["float32", "bfloat16", "float16", "int8"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
LIBRARIES = ("torch", "openvino")


@dataclass(frozen=True)
class RuntimeChoice:
    """What runs the backbone; ``auto`` is the fastest that this machine has and that gives the same labels.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        library: ``auto``, ``torch`` or ``openvino``.
        precision: ``auto``, ``float32``, ``bfloat16``, ``float16`` or ``int8``, of weights and activations; features
            are float32 in the end. ``auto`` is float32 unless a model is known to give the same labels in fewer bits.
        num_threads: Cores that the CNN may keep busy; None for all that this process may use, up to sixteen.

    Raises:
        ConfigError: On construction, when a name is unknown, or there are no threads.
    """

    device: str = "auto"
    library: str = "auto"
    precision: str = "auto"
    num_threads: int | None = None

    def __post_init__(self) -> None:
        for name, value, known in (("runtime", self.library, LIBRARIES), ("precision", self.precision, PRECISIONS)):
            if value != "auto" and value not in known:
                expected = ", ".join(("auto", *known))
                raise ConfigError(f"{name}: expected {expected}, got {value!r}{did_you_mean(value, known)}")
        if self.num_threads is not None and self.num_threads < 1:
            raise ConfigError(f"threads: expected 1 or more, got {self.num_threads}")

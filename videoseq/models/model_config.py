"""``model.json``: the description of a trained model, and how it is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from videoseq.annotations.multilabel import SEPARATOR
from videoseq.config.schema import HeadSettings, SampleHz, TrainSettings
from videoseq.errors import ModelError
from videoseq.features.backbones import BackboneIdentity
from videoseq.features.runtimes.int8 import Quantization
from videoseq.models.decoding import DecodingParameters

_SCHEMA_VERSION: Final = 5
_MAX_JSON_BYTES = 16 << 20


class ModelConfig(BaseModel):
    """``model.json``: everything about a model except its arrays.

    Attributes:
        format: Distinguishes the folder from models of other tools.
        schema_version: Of this file; others are refused.
        classes: In the order of the logits.
        backbone: Identity of the CNN whose features the head takes.
        sample_hz: Steps of the network per second of video, None for every frame.
        head: The network.
        num_members: Networks per head; more than one is an ensemble.
        no_context_head: The same without recurrence, differences and motion, trained as a baseline.
        decoding: How the head's probabilities become labels.
        no_context_decoding: How the baseline's probabilities do.
        known_groups: The groups that it learned from, if there are two or more.
        known_reach: The distance from these that counts as 1 (:mod:`videoseq.models.known_groups`).
        majority_class: The class of most training frames, the other baseline; in multilabel the most frequent set of
            classes, joined as a label.
        settings: Of the training.
        metrics: Of the model, by split.
        agreement: By precision, the share of frames whose label was the same as with float32.
        int8: Where the 8-bit integer network comes from, if there is one.
        versions: Of Python and the libraries at training.
        tensors_sha256: Of the file ``model.safetensors``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["videoseq-model"] = "videoseq-model"
    schema_version: Literal[5] = _SCHEMA_VERSION
    classes: tuple[str, ...]
    backbone: BackboneIdentity
    sample_hz: SampleHz | None
    head: HeadSettings
    num_members: Annotated[int, Field(ge=1, le=100)] = 1
    no_context_head: HeadSettings
    decoding: DecodingParameters = DecodingParameters()
    no_context_decoding: DecodingParameters = DecodingParameters()
    known_groups: tuple[str, ...] = ()
    known_reach: float = 0.0
    majority_class: str
    settings: TrainSettings
    metrics: dict[str, Any]
    agreement: dict[str, float] = {}
    int8: Quantization | None = None
    versions: dict[str, str]
    tensors_sha256: str = ""

    @property
    def is_multilabel(self) -> bool:
        """Whether a frame may have several classes, or none."""
        return self.settings.data.task == "multilabel"

    @property
    def majority_names(self) -> tuple[str, ...]:
        """The class of most training frames, or in multilabel the classes, of which there may be none."""
        if not self.is_multilabel:
            return (self.majority_class,)
        return tuple(self.majority_class.split(SEPARATOR)) if self.majority_class else ()


def parse_config(text: bytes, folder: Path) -> ModelConfig:
    """Reads ``model.json``.

    Args:
        text: Its content.
        folder: The model folder, for errors.

    Raises:
        ModelError: It is too long, not JSON, of another schema version, or a field has a wrong value.
    """
    if len(text) > _MAX_JSON_BYTES:
        raise ModelError(f"{folder}: model.json: expected at most {_MAX_JSON_BYTES} bytes, got {len(text)}")
    try:
        values = json.loads(text)
        found = values.get("schema_version") if isinstance(values, dict) else None
        if found != _SCHEMA_VERSION:
            raise ModelError(
                f"{folder}: model.json: expected schema version {_SCHEMA_VERSION}, got {found}; "
                "use the videoseq that made it"
            )
        return ModelConfig.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise ModelError(f"{folder}: model.json: {where}: {problem['msg'].lower()}") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{folder}: model.json: not valid JSON; {error}") from None

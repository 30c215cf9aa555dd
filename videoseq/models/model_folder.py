"""A trained model as a folder: ``model.json`` and ``model.safetensors``; loading runs no code from either.

The folder has everything that labels depend on. The backbone's weights are in it unless an installed package has them;
then their hash is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor

from videoseq.annotations.multilabel import check_separable
from videoseq.annotations.types import ClassNames
from videoseq.config.schema import HeadSettings
from videoseq.errors import AnnotationError, ConfigError, ModelError, OutputError
from videoseq.features.backbones import Backbone, restore_backbone
from videoseq.features.runtimes.int8 import QuantizedNetwork
from videoseq.models.bidirectional import make_network
from videoseq.models.decoding import Decoding
from videoseq.models.ensemble import Ensemble
from videoseq.models.head import Head
from videoseq.models.known_groups import KnownGroups
from videoseq.models.model_config import ModelConfig, parse_config
from videoseq.storage.files import restore_folder, staged_folder

MIN_AGREEMENT = 0.995
"""The share of frames on which labels must be float32's for a faster precision to be taken unasked."""


@dataclass(frozen=True, eq=False)
class ModelFolder:
    """A model in memory.

    Attributes:
        config: What ``model.json`` says.
        classes: The same classes, checked.
        head: The network, in eval mode.
        no_context: The baseline without context, in eval mode.
        backbone: The CNN, with its weights.
        quantized: The CNN in 8-bit integers, if there is one.
        known_groups: What the groups of the training look like, where there are two or more.
        sha256: Of ``model.json``, and through it of everything; empty before the model is saved.
    """

    config: ModelConfig
    classes: ClassNames
    head: Head
    no_context: Head
    backbone: Backbone
    quantized: QuantizedNetwork | None = None
    known_groups: KnownGroups | None = None
    sha256: str = ""

    @property
    def looks_ahead(self) -> bool:
        """Whether a frame's label depends on later frames too, so that the model cannot stream."""
        return self.head.looks_ahead or self.head.decoding.delay_seconds > 0

    @property
    def trusted(self) -> frozenset[str]:
        """The precisions in which labels are float32's on nearly every frame, so that they may be taken unasked."""
        return frozenset(name for name, share in self.config.agreement.items() if share >= MIN_AGREEMENT)


def save_model_folder(
    contents: ModelFolder, folder: Path, *, overwrite: bool = False, add_files: Callable[[Path], None] | None = None
) -> None:
    """Writes a model folder, in full or not at all.

    Args:
        contents: The model.
        folder: Where it goes.
        overwrite: Whether an existing model may be replaced.
        add_files: Called with the folder while it is being made, to put metrics and reports into it.

    Raises:
        OutputError: The folder exists and may not be replaced, or it cannot be written.
    """
    check_target(folder, overwrite=overwrite)
    tensors = {**_prefixed("head", contents.head), **_prefixed("no_context", contents.no_context)}
    if not contents.backbone.weights_are_packaged:
        tensors |= _prefixed("backbone", contents.backbone.network)
    if contents.quantized is not None:
        tensors |= {f"int8.{name}": tensor for name, tensor in contents.quantized.tensors().items()}
    known = contents.known_groups
    if known is not None:
        tensors |= {f"known_groups.{name}": tensor for name, tensor in known.tensors().items()}
    decodings = contents.head.decoding, contents.no_context.decoding
    chain = next((one.chain for one in decodings if one.parameters.needs_chain), None)
    if chain is not None:
        tensors |= {f"decoding.{name}": tensor for name, tensor in chain.tensors().items()}
    stored = dump_tensors(tensors)
    described: dict[str, Any] = {"tensors_sha256": hashlib.sha256(stored).hexdigest()}
    described |= {"decoding": decodings[0].parameters, "no_context_decoding": decodings[1].parameters}
    if known is not None:
        described |= {"known_groups": known.names, "known_reach": known.reach}
    config = contents.config.model_copy(update=described)
    with staged_folder(folder, replace=overwrite) as staging:
        (staging / "model.safetensors").write_bytes(stored)
        (staging / "model.json").write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
        if add_files is not None:
            add_files(staging)


def check_target(folder: Path, *, overwrite: bool) -> None:
    """Checks that a model may be written to a folder; call it before the work, not after.

    Raises:
        OutputError: The folder has a model that may not be replaced, or something that is not a model.
    """
    restore_folder(folder)
    if folder.exists() and not (folder / "model.json").exists():
        raise OutputError(
            f"{folder}: expected a new folder or a model to replace, got something else; choose another --out"
        )
    if folder.exists() and not overwrite:
        raise OutputError(f"{folder}: there is a model already; choose another --out, or add --overwrite")


def load_model_folder(folder: Path) -> ModelFolder:
    """Reads a model folder; no code in it is run and nothing is fetched.

    Raises:
        ModelError: It is no model folder, of another version, damaged, or its backbone cannot be had here.
        ConfigError: The backbone needs an extra that is not installed.
    """
    restore_folder(folder)
    text = _read(folder / "model.json", folder)
    config = parse_config(text, folder)
    stored = _read(folder / "model.safetensors", folder)
    if hashlib.sha256(stored).hexdigest() != config.tensors_sha256:
        raise ModelError(
            f"{folder}: model.safetensors is not the file that model.json describes; copy the folder again"
        )
    try:
        classes = ClassNames(config.classes)
        if config.is_multilabel:
            check_separable(classes)
        tensors = load_tensors(stored)
    except (AnnotationError, SafetensorError) as error:
        raise ModelError(f"{folder}: {error}") from None
    if not set(config.majority_names) <= set(classes):
        raise ModelError(f"{folder}: model.json: majority_class: expected a class, got {config.majority_class!r}")
    head = _load_head(config, config.head, "head", tensors, folder)
    no_context = _load_head(config, config.no_context_head, "no_context", tensors, folder)
    try:
        backbone = restore_backbone(config.backbone, _unprefixed("backbone", tensors))
    except (ConfigError, ModelError) as error:
        raise type(error)(f"{folder}: {error}") from None
    quantized = _load_quantized(config, _unprefixed("int8", tensors), folder)
    known = _load_known_groups(config, _unprefixed("known_groups", tensors), folder)
    sha256 = hashlib.sha256(text).hexdigest()
    return ModelFolder(config, classes, head, no_context, backbone, quantized, known, sha256)


def _read(path: Path, folder: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{folder}: expected a model folder with {path.name} in it; {error.strerror}") from None


def _load_head(
    config: ModelConfig, settings: HeadSettings, prefix: str, tensors: Mapping[str, Tensor], folder: Path
) -> Head:
    own = _unprefixed(prefix, tensors)
    head: Head
    with torch.device("meta"):  # shapes without memory: what model.json asks for may be more than there is
        size, num_classes = config.backbone.vector_size, len(config.classes)
        members = [make_network(size, num_classes, settings) for _ in range(config.num_members)]
        head = members[0] if len(members) == 1 else Ensemble(members)
        if config.is_multilabel:
            head.add_thresholds()
    try:
        head.load_state_dict(own, assign=True)
    except RuntimeError as error:
        raise ModelError(
            f"{folder}: model.safetensors does not fit model.json; {' '.join(str(error).split())}"
        ) from None
    if any(tensor.dtype != torch.float32 or not torch.isfinite(tensor).all() for tensor in own.values()):
        raise ModelError(f"{folder}: model.safetensors: {prefix} has weights that are not float32 numbers")
    parameters = config.decoding if prefix == "head" else config.no_context_decoding
    try:
        head.check_calibration()
        chain = _unprefixed("decoding", tensors)
        head.decoding = Decoding.load(parameters, config.sample_hz, chain, len(config.classes))
    except ModelError as error:
        raise ModelError(f"{folder}: model.safetensors: {prefix}: {error}") from None
    return head.eval()


def _load_quantized(config: ModelConfig, own: Mapping[str, Tensor], folder: Path) -> QuantizedNetwork | None:
    if config.int8 is None:
        return None
    try:
        quantized = QuantizedNetwork.from_tensors(own, config.backbone.feature_size)
    except ModelError as error:
        raise ModelError(f"{folder}: model.safetensors: {error}") from None
    if quantized.sha256 != config.int8.network_sha256:
        raise ModelError(f"{folder}: model.safetensors: its int8 network is not the one that model.json describes")
    return quantized


def _load_known_groups(config: ModelConfig, own: Mapping[str, Tensor], folder: Path) -> KnownGroups | None:
    try:
        return KnownGroups.load(config.known_groups, config.known_reach, own, config.backbone.feature_size)
    except ModelError as error:
        raise ModelError(f"{folder}: model.safetensors: {error}") from None


def _prefixed(prefix: str, network: torch.nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor.contiguous() for name, tensor in network.state_dict().items()}


def _unprefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}

"""Any CNN or ViT of the ``timm`` library as a backbone, preprocessed as its ``pretrained_cfg`` has it.

Weights come from a local checkpoint, from a model folder that carries them, or, only when asked, from timm's hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from videoseq.errors import ConfigError, ModelError, did_you_mean
from videoseq.features.backbones.base import Backbone, BackboneIdentity, Preprocessing, tensors_sha256

PREFIX = "timm:"


def load(name: str, weights: Path | None, *, allow_download: bool) -> Backbone:
    """The backbone ``timm:<model>`` with weights from a file, or from timm's hub where that is allowed.

    Raises:
        ConfigError: timm is missing, does not know the model, or it has no weights.
        ModelError: The checkpoint does not fit the model.
    """
    if weights is None and not allow_download:
        raise ConfigError(
            f"backbone {name} needs weights: set backbone.weights=FILE, or backbone.allow_download=true to fetch them"
        )
    network = _create(name, pretrained=weights is None)
    if weights is not None:
        _load_tensors(network, _read_checkpoint(weights), str(weights))
    return _backbone(name, network)


def restore(name: str, tensors: Mapping[str, Tensor]) -> Backbone:
    """The backbone ``timm:<model>`` with the tensors that a model folder carries."""
    network = _create(name, pretrained=False)
    _load_tensors(network, tensors, name)
    return _backbone(name, network)


def _create(name: str, *, pretrained: bool) -> Any:  # noqa: ANN401 (timm ships no types)
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision built for another torch
        raise ConfigError(
            f'backbone {name} needs timm: pip install "videoseq[timm]"; importing it said: {error}'
        ) from None
    model = name.removeprefix(PREFIX)
    if not timm.is_model(model):
        raise ConfigError(
            f"backbone {name}: timm {timm.__version__} has no such model{did_you_mean(model, timm.list_models())}"
        )
    return timm.create_model(model, pretrained=pretrained, num_classes=0)


def _backbone(name: str, network: Any) -> Backbone:  # noqa: ANN401
    config = network.pretrained_cfg
    _, height, width = config["input_size"]
    red, green, blue = (255.0 * value for value in config["mean"])
    std = tuple(255.0 * value for value in config["std"])
    preprocessing = Preprocessing(
        height=height,
        width=width,
        interpolation="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        mean=(red, green, blue),
        std=(std[0], std[1], std[2]),
    )
    identity = BackboneIdentity(
        name=name,
        weights_sha256=tensors_sha256(network.state_dict()),
        feature_size=network.num_features,
        preprocessing=preprocessing,
    )
    return Backbone(network, identity, weights_are_packaged=False, blocks=_blocks(network))


def _blocks(network: Any) -> tuple[tuple[str, ...], ...]:  # noqa: ANN401
    """The parameters' names as timm itself groups them by depth; in one group where it does not."""
    if not hasattr(network, "group_matcher"):
        return (tuple(name for name, _ in network.named_parameters()),)
    from timm.models import group_parameters

    groups = group_parameters(network, network.group_matcher(coarse=False))
    return tuple(tuple(names) for _, names in sorted(groups.items()))


def _read_checkpoint(path: Path) -> Mapping[str, Tensor]:
    from timm.models import load_state_dict

    try:
        tensors: Mapping[str, Tensor] = load_state_dict(str(path), weights_only=True)
    except FileNotFoundError:
        raise ConfigError(f"backbone.weights: {path}: expected a checkpoint, found nothing there") from None
    except Exception as error:  # noqa: BLE001 (a damaged checkpoint raises whatever its format's reader likes)
        raise ModelError(f"{path}: expected a checkpoint of tensors (.safetensors or .pth); {error}") from None
    return tensors


def _load_tensors(network: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Loads all but the classifier, which a backbone does without."""
    classifier = network.pretrained_cfg.get("classifier") or ()  # type: ignore[union-attr, operator]  # timm's attribute
    prefixes = tuple(f"{part}." for part in ((classifier,) if isinstance(classifier, str) else classifier))
    kept = {key: tensor for key, tensor in tensors.items() if not (prefixes and key.startswith(prefixes))}
    try:
        network.load_state_dict(kept)
    except RuntimeError as error:
        raise ModelError(f"{where}: does not fit the backbone; {' '.join(str(error).split())}") from None

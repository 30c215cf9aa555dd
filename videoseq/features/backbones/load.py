"""Frames → features: pretrained CNNs with their preprocessing and their identity, one file per family."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from videoseq.config.schema import BackboneSettings
from videoseq.errors import ConfigError, ModelError, did_you_mean
from videoseq.features.backbones import efficientnet_lite, timm_models
from videoseq.features.backbones.base import Backbone, BackboneIdentity


def load_backbone(settings: BackboneSettings) -> Backbone:
    """The backbone that the settings name, with its pretrained weights.

    Raises:
        ConfigError: The name is unknown, or a package or the weights are missing.
        ModelError: The weights are not what they should be.
    """
    if settings.name.startswith(timm_models.PREFIX):
        if settings.bands not in (None, 1):
            raise ConfigError(f"backbone.bands: expected 1 with a timm: backbone, got {settings.bands}")
        return timm_models.load(settings.name, settings.weights, allow_download=settings.allow_download)
    if settings.name not in efficientnet_lite.VARIANTS:
        known = [*efficientnet_lite.VARIANTS, timm_models.PREFIX + "MODEL"]
        raise ConfigError(
            f"backbone.name: unknown backbone {settings.name!r}{did_you_mean(settings.name, known)}; "
            f"known: {', '.join(known)}"
        )
    if settings.weights is not None:
        raise ConfigError(
            f"backbone.weights: {settings.name} brings its own weights; leave it out, or take a timm: backbone"
        )
    return efficientnet_lite.load(settings.name, settings.bands)


def restore_backbone(identity: BackboneIdentity, tensors: Mapping[str, Tensor]) -> Backbone:
    """The backbone with exactly this identity, from its package or from the ``tensors`` that a model carries.

    Raises:
        ConfigError: A package is missing.
        ModelError: What is installed makes other features than the model was trained on.
    """
    if identity.name.startswith(timm_models.PREFIX):
        backbone = timm_models.restore(identity.name, tensors)
    elif identity.name in efficientnet_lite.VARIANTS and tensors:
        backbone = efficientnet_lite.restore(identity.name, identity.bands, tensors)
    else:
        backbone = load_backbone(BackboneSettings(name=identity.name, bands=identity.bands))
    if backbone.identity != identity:
        raise ModelError(
            f"backbone {identity.name}: the model was trained on features of {identity.sha256[:12]}…, "
            f"this installation makes those of {backbone.identity.sha256[:12]}…; install the versions in model.json"
        )
    return backbone

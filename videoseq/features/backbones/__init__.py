"""Frames → features: pretrained CNNs with their preprocessing and their identity, one file per family."""

from __future__ import annotations

from videoseq.features.backbones.base import Backbone, BackboneIdentity, Preprocessing
from videoseq.features.backbones.load import load_backbone, restore_backbone

__all__ = ["Backbone", "BackboneIdentity", "Preprocessing", "load_backbone", "restore_backbone"]

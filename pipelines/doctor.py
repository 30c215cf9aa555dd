"""What this machine will use: versions, decoder, devices, backbones."""

from __future__ import annotations

from typing import Any

import typer

from . import options
from .console import Exit, print_json


def doctor(json: options.Json = False) -> None:
    """Show versions, devices, decoders and backbones; exit 1 if the default backbone cannot run."""
    facts = examine()
    if json:
        print_json(facts)
    else:
        for name, value in facts.items():
            print(f"{name:<22}{value}")
    if not facts["efficientnet_lite0"].startswith("ready"):
        raise typer.Exit(Exit.BUG)


def examine() -> dict[str, Any]:
    """The facts by name, in the order in which they are shown."""
    import os
    import platform
    import re

    import cv2
    import torch

    from videoseq.backbones.efficientnet_lite import VARIANTS
    from videoseq.bundle import library_versions

    ffmpeg = re.search(r"avcodec:\s+YES \(([\d.]+)\)", cv2.getBuildInformation())
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        **library_versions(),
        "system": platform.platform(),
        "cpu cores": os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "CUDA devices": ", ".join(gpus) or "none",
        "decoder": f"FFmpeg in OpenCV, libavcodec {ffmpeg.group(1)}" if ffmpeg else "OpenCV was built without FFmpeg",
        **{name: _backbone_state(name) for name in VARIANTS},
    }


def _backbone_state(name: str) -> str:
    from videoseq.backbones import load_backbone
    from videoseq.config import BackboneSettings
    from videoseq.errors import VideoseqError
    from videoseq.runtimes import select_runtime

    try:
        return f"ready, {select_runtime(load_backbone(BackboneSettings(name=name))).description}"
    except VideoseqError as error:
        return f"not ready: {error}"

"""``videoseq doctor``: what this machine has, and how fast the CNN runs on it."""

from __future__ import annotations

from typing import Any

import typer

from . import options
from .console import Exit, print_json


def doctor(json: options.Json = False) -> None:
    """Show versions, devices, decoders, backbones and the CNN's speed; exit 1 if the default backbone cannot run.

    An asterisk marks what commands use by default.
    """
    facts = examine()
    if json:
        print_json(facts)
    else:
        for name, value in facts.items():
            print(f"{name:<22}{value}")
    if not facts["efficientnet_lite0"].startswith("ready"):
        raise typer.Exit(Exit.BUG)


def examine() -> dict[str, Any]:
    """What this machine has, by name, in the order in which it is shown."""
    import platform
    import re

    import cv2
    import torch

    from videoseq.features.backbones.efficientnet_lite import VARIANTS
    from videoseq.system.hardware import cpu_computes_bfloat16, cpu_name, library_versions, num_usable_cores
    from videoseq.video.pyav_capture import CAN_CONVERT_INTERLACED, is_available

    ffmpeg = re.findall(r"(av\w+|swscale):\s+YES \(([\d.]+)\)", cv2.getBuildInformation())
    pyav = "read by PyAV" if is_available() else 'not read; pip install "videoseq[check]"'
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        **library_versions(),
        "system": platform.platform(),
        "cpu": cpu_name(),
        "cpu cores": num_usable_cores(),
        "bfloat16": "computed by the CPU" if cpu_computes_bfloat16() else "not computed by the CPU",
        "CUDA devices": ", ".join(gpus) or "none",
        "FFmpeg in OpenCV": ", ".join(f"{name} {version}" for name, version in ffmpeg) or "none: no video can be read",
        "interlaced video": "read by OpenCV" if CAN_CONVERT_INTERLACED else pyav,
        **{name: _backbone_state(name) for name in VARIANTS},
        **_speeds(),
    }


def _speeds() -> dict[str, str]:
    """Frames per second of the default backbone in each runtime that can run it here."""
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.config.schema import BackboneSettings
    from videoseq.errors import VideoseqError
    from videoseq.features.backbones import load_backbone
    from videoseq.features.runtimes import available_choices, select_runtime
    from videoseq.features.runtimes.speed import measure_speed

    try:
        backbone = load_backbone(BackboneSettings())
    except VideoseqError:  # its own line shows the error
        return {}
    default = select_runtime(backbone, RuntimeChoice()).description
    speeds = {}
    for choice in available_choices():
        name = f"{choice.library} {choice.precision}" + (" cuda" if choice.device == "cuda" else "")
        try:
            runtime = select_runtime(backbone, choice)
        except VideoseqError as error:
            speeds[name] = f"cannot run: {error}"
            continue
        mark = " *" if runtime.description == default else ""
        speeds[name] = f"{measure_speed(runtime):.0f} frames/s measured{mark}"
    return speeds


def _backbone_state(name: str) -> str:
    from videoseq.config.schema import BackboneSettings
    from videoseq.errors import VideoseqError
    from videoseq.features.backbones import load_backbone
    from videoseq.features.runtimes import select_runtime

    try:
        return f"ready, {select_runtime(load_backbone(BackboneSettings(name=name))).description}"
    except VideoseqError as error:
        return f"not ready: {error}"

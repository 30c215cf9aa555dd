"""Changes to a model folder, and how it is then refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from videoseq.errors import ModelError, VideoseqError
from videoseq.models.model_folder import load_model_folder


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "model.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def edit_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Changes the arrays and lets ``model.json`` vouch for them."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    vouch(folder)


def vouch(folder: Path) -> None:
    sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    edit(folder, lambda values: values.update(tensors_sha256=sha256))


def refusal(folder: Path) -> str:
    with pytest.raises(VideoseqError) as caught:
        load_model_folder(folder)
    message = str(caught.value)
    assert type(caught.value) is ModelError
    assert "\n" not in message
    return message

"""What an interrupted training continues from: a folder next to its model, with one small file for each fit.

A file is the SHA-256 of what follows, so that a damaged file is recognized, then tensors and plain values as torch
writes them, which is read without running code. It names all that the training depends on, by a digest: a training
never continues from the files of another one.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from videoseq.annotations.types import ClassNames
from videoseq.config.schema import TrainSettings
from videoseq.data.dataset import Clip
from videoseq.errors import ConfigError, Notice, OutputError
from videoseq.features.backbones import BackboneIdentity
from videoseq.storage.disk_arrays import release_pages
from videoseq.storage.files import staged_binary_file
from videoseq.system.hardware import library_versions

_SUFFIX = ".ckpt"
_VERSION = 2  # of what a state holds
_HASH_BYTES = hashlib.sha256().digest_size
_ROWS_HASHED = 64  # of each clip's features, from all over it


@dataclass(frozen=True)
class Checkpoint:
    """The file of one fit.

    Attributes:
        path: The file, which may not exist yet.
        digest: Of what the training depends on.
        may_resume: Whether the fit continues from it; if not, it is only written.
    """

    path: Path
    digest: str
    may_resume: bool

    def write(self, state: dict[str, Any], *, is_done: bool) -> None:
        """Keeps the state of a fit, durably, and reads it back.

        Args:
            state: Tensors and plain values.
            is_done: Whether it is the fit's result, and not a state to continue from.

        Raises:
            OutputError: It cannot be written; what was kept before still is.
        """
        stream = io.BytesIO()
        torch.save({"digest": self.digest, "is_done": is_done, "state": state}, stream)
        body = stream.getvalue()
        with staged_binary_file(self.path) as file:
            file.write(hashlib.sha256(body).digest())
            file.write(body)
        if _read_body(self.path) != body:
            raise OutputError(f"{self.path}: could not be written; what was read back is something else")

    def read(self, *, is_done: bool) -> dict[str, Any] | None:
        """The fit's result, or the state to continue from; None if there is none."""
        kept = _read(self.path) if self.may_resume else None
        return kept["state"] if kept is not None and kept["is_done"] == is_done else None


@dataclass(frozen=True)
class CheckpointFolder:
    """The checkpoints of one training.

    Attributes:
        path: The folder, which is made with the first of them.
        digest: Of what the training depends on.
        may_resume: Whether fits continue from what is there.
    """

    path: Path
    digest: str
    may_resume: bool = False

    def of(self, fit: str) -> Checkpoint:
        """That of a fit, by a name that no other fit of the training has."""
        name = re.sub(r"[^a-z0-9]+", "-", fit.lower()).strip("-")
        return Checkpoint(self.path / f"{name}{_SUFFIX}", self.digest, self.may_resume)

    def review(self) -> list[Notice]:
        """What the user should know about files of an interrupted training; files that this one cannot use are removed.

        Raises:
            ConfigError: The training should continue from files of other settings, clips or versions.
        """
        kept = {path: _read(path) for path in sorted(self.path.glob(f"*{_SUFFIX}"))}
        damaged = [path for path, found in kept.items() if found is None]
        others = [path for path, found in kept.items() if found is not None and found["digest"] != self.digest]
        if others and self.may_resume:
            text = f"{self.path}: expected files of a training with these settings, clips and versions, got another's"
            raise ConfigError(f"{text}; use the same as before, or start from the beginning without --resume")
        for path in (*damaged, *others):
            path.unlink(missing_ok=True)
        notices = [
            Notice("checkpoint_damaged", f"{path}: is damaged; its fit starts from the beginning") for path in damaged
        ]
        if others:
            notices.append(Notice("checkpoints_removed", f"{self.path}: held files of another training"))
        elif kept and not self.may_resume:
            text = f"{self.path}: holds files of an interrupted training; --resume auto would continue from them"
            notices.append(Notice("not_resumed", f"{text}, this training starts from the beginning"))
        return notices

    @property
    def num_done(self) -> int:
        """How many fits are done."""
        return sum(found is not None and found["is_done"] for found in map(_read, self.path.glob(f"*{_SUFFIX}")))


def remove_checkpoints(folder: Path) -> None:
    """Removes the folder and all that is in it; called when the model is saved."""
    shutil.rmtree(folder, ignore_errors=True)


def training_digest(
    clips: Sequence[Clip],
    classes: ClassNames,
    settings: TrainSettings,
    backbone: BackboneIdentity,
    device: torch.device,
    num_trials: int = 0,
) -> str:
    """The SHA-256 of what a training's result depends on, in hex; ``num_trials`` are those of a sweep before it."""
    described = settings.model_dump(mode="json", exclude={"trainer": {"checkpoint_seconds"}})
    described |= {
        "checkpoint_version": _VERSION,
        "identity": backbone.model_dump(mode="json"),
        "classes": list(classes),
        "num_trials": num_trials,
        "device": device.type,
        "versions": library_versions(),
    }
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for clip in clips:
        entry, features = clip.entry, clip.features
        digest.update(json.dumps([features.video_sha256, entry.split, entry.group]).encode())
        rows = features.features[:: max(1, len(features.features) // _ROWS_HASHED)]
        for array in (clip.targets, features.steps, rows):
            digest.update(np.ascontiguousarray(array).tobytes())
        release_pages(features.features)
    return digest.hexdigest()


def _read_body(path: Path) -> bytes | None:
    """What follows the hash; None where there is no file, or a damaged one."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    expected, body = stored[:_HASH_BYTES], stored[_HASH_BYTES:]
    return body if hashlib.sha256(body).digest() == expected else None


def _read(path: Path) -> dict[str, Any] | None:
    body = _read_body(path)
    if body is None:
        return None
    try:
        kept = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError):  # undamaged, but not one of our files
        return None
    return kept if isinstance(kept, dict) and {"digest", "is_done", "state"} <= kept.keys() else None

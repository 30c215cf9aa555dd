"""Training that is interrupted and continued."""

from __future__ import annotations

from pathlib import Path

from videoseq.config.schema import TrainerSettings
from videoseq.training.checkpoints import CheckpointFolder
from videoseq.training.fit import FitEnvironment

EVERY_EPOCH = TrainerSettings(checkpoint_seconds=0.0)


class PowerCutError(Exception):
    """The power is gone."""


def environment_at(folder: Path, *, may_resume: bool = False, digest: str = "these clips") -> FitEnvironment:
    return FitEnvironment(trainer=EVERY_EPOCH, checkpoints=CheckpointFolder(folder, digest, may_resume))

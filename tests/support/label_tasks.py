"""The work that is given to a worker process."""

from __future__ import annotations

from pathlib import Path

from videoseq.config.runtime import RuntimeChoice
from videoseq.jobs.request import LabelSettings
from videoseq.jobs.worker_process import LabelTask
from videoseq.models.model_folder import load_model_folder
from videoseq.video.isolation import Limits

TORCH = RuntimeChoice(device="cpu", library="torch", precision="float32")  # the quickest to start


def task_for(model_folder: Path, out: Path, choice: RuntimeChoice = TORCH) -> LabelTask:
    return LabelTask(model_folder, load_model_folder(model_folder).sha256, out, choice, LabelSettings(), Limits())


def ignore(*_: object) -> None:
    """Does nothing."""

"""Annotated clips → a model folder with its metrics, its report and its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from videoseq.config.schema import TrainSettings
from videoseq.data.dataset import Dataset, load_dataset
from videoseq.errors import ConfigError
from videoseq.jobs.feature_provider import Resources
from videoseq.jobs.plan import plan_jobs
from videoseq.models.model_folder import check_target
from videoseq.report.mistakes import read_mistakes
from videoseq.report.model_files import save_model
from videoseq.storage.lock import locked_folder
from videoseq.training.checkpoints import remove_checkpoints
from videoseq.training.run import train_dataset
from videoseq.training.self_training import check_unlabeled
from videoseq.training.train import TrainedModel


def train_and_save(
    dataset: Path | Dataset,
    settings: TrainSettings,
    out: Path,
    resources: Resources,
    *,
    num_trials: int = 0,
    unlabeled: Sequence[str] = (),
    may_resume: bool = False,
    overwrite: bool = False,
    has_images: bool = False,
) -> tuple[TrainedModel, dict[str, Any]]:
    """Trains, measures and saves a model; returns it and what ``metrics.json`` holds.

    Args:
        dataset: A folder, a manifest, or a dataset that was read already.
        settings: All of them.
        out: The model folder to make; next to it lies what an interrupted training continues from.
        resources: What features are computed with, and who hears of everything.
        num_trials: As in :func:`videoseq.training.run.train_dataset`.
        unlabeled: Files, folders and patterns of unlabeled videos, which teach the model too.
        may_resume: Whether to continue an interrupted training of the same clips and settings.
        overwrite: Whether a model at ``out`` may be replaced.
        has_images: Whether the report shows frames of the longest mistakes.

    Raises:
        ConfigError: The dataset was read with another task, background or classes than the settings have; and
            what
            :func:`videoseq.training.run.train_dataset` raises.
        OutputError: Something is at ``out`` already, or it cannot be written.
    """
    data, checkpoints = settings.data, out.with_name(f"{out.name}.training")
    with locked_folder(checkpoints, on_notice=resources.listener.on_notice):
        check_target(out, overwrite=overwrite)
        if isinstance(dataset, Dataset):
            _check_same_data(dataset, settings)
        else:
            dataset = load_dataset(dataset, task=data.task, background=data.background, classes=data.classes)
        videos = _find_unlabeled(unlabeled, settings, out) if unlabeled else []
        trained = train_dataset(
            dataset, settings, resources,
            num_trials=num_trials, unlabeled=videos, checkpoints=checkpoints, may_resume=may_resume,
        )  # fmt: skip
        clips = trained.validation.evaluation.clips
        images = read_mistakes(clips, resources.listener) if has_images else None
        metrics = save_model(trained, out, overwrite=overwrite, images=images)
        remove_checkpoints(checkpoints)
    return trained, metrics


def _find_unlabeled(named: Sequence[str], settings: TrainSettings, out: Path) -> list[Path]:
    check_unlabeled(settings)
    videos = [job.video for job in plan_jobs(named, out)]
    if not videos:
        raise ConfigError(f"unlabeled: expected videos, got none in {', '.join(named)}; name another folder")
    return videos


def _check_same_data(dataset: Dataset, settings: TrainSettings) -> None:
    data = settings.data
    given: dict[str, object] = {"task": data.task, "background": data.background}
    if data.classes is not None:
        given["classes"] = tuple(data.classes)
    for name, value in given.items():
        of_dataset = tuple(dataset.classes) if name == "classes" else getattr(dataset, name)
        if value != of_dataset:
            raise ConfigError(f"data.{name}: expected {of_dataset!r}, with which the dataset was read, got {value!r}")

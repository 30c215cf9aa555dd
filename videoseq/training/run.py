"""Annotated videos → a trained, measured model: checks, features, sweep and training in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from videoseq.config.schema import TrainSettings
from videoseq.data.dataset import Clip, Dataset
from videoseq.data.statistics import ClassOverview, dataset_notices, describe_clips
from videoseq.errors import shortened
from videoseq.features.backbones import load_backbone
from videoseq.features.runtimes import select_runtime
from videoseq.jobs.events import Listener, NoticeRecorder
from videoseq.jobs.feature_provider import FeatureProvider, Resources
from videoseq.system.torch_devices import choose_device
from videoseq.training.checkpoints import CheckpointFolder, training_digest
from videoseq.training.checks import check_training
from videoseq.training.finetuning import check_finetuning, open_finetuner
from videoseq.training.fit import FitEnvironment
from videoseq.training.precision import with_agreement
from videoseq.training.self_training import check_unlabeled, load_unlabeled
from videoseq.training.sweep import sweep, sweep_notice
from videoseq.training.train import TrainedModel, train_model

_MAX_NAME = 16  # of a class, so that its line fits a terminal


def train_dataset(
    dataset: Dataset,
    settings: TrainSettings,
    resources: Resources | None = None,
    *,
    num_trials: int = 0,
    unlabeled: Sequence[Path] = (),
    checkpoints: Path | None = None,
    may_resume: bool = False,
) -> TrainedModel:
    """Trains and measures a model on annotated videos.

    What annotations and settings alone show to be wrong is found before any feature is computed.

    Args:
        dataset: As :func:`videoseq.data.dataset.load_dataset` reads it with these settings.
        settings: All of them.
        resources: What features are computed with, and who hears of everything; networks are fitted on the same device.
        num_trials: How many sets of settings a sweep tries before the training; 0 for no sweep.
        unlabeled: Videos of the places where the model will work, which teach it without annotations.
        checkpoints: A folder for what an interrupted training continues from; by default nothing is kept. Delete it
            when the model is saved.
        may_resume: Whether to continue an interrupted training of the same clips and settings that is kept there.

    Raises:
        AnnotationError: There is nothing to learn or to measure on.
        ConfigError: Settings do not go together or need what is not installed; what is kept is of other settings.
        VideoError: Videos cannot be read.
        OutputError: There is no room for features or temporary files.
    """
    resources = resources or Resources()
    recorder = NoticeRecorder(resources.listener)
    resources, device = replace(resources, listener=recorder), choose_device(resources.choice.device)
    check_training(dataset, settings, num_trials)
    if unlabeled:
        check_unlabeled(settings)
    backbone = load_backbone(settings.backbone)
    check_finetuning(settings, backbone)
    runtime = select_runtime(backbone, resources.choice)
    _tell_dataset(dataset, recorder)
    provider = FeatureProvider(runtime, settings.sample_hz, settings.backbone, resources)
    clips, _ = provider.load_clips(dataset, settings.data.on_bad_clip)
    more = _load_unlabeled(unlabeled, provider, clips, recorder) if unlabeled else []
    overview = describe_clips(clips, dataset.classes)
    _tell_overview(overview, recorder)
    folder = None
    if checkpoints is not None:
        digest = training_digest([*clips, *more], dataset.classes, settings, backbone.identity, device, num_trials)
        folder = CheckpointFolder(checkpoints, digest, may_resume)
        _tell_checkpoints(folder, recorder.listener)
    environment = FitEnvironment(device, settings.trainer, folder, recorder)
    if num_trials:
        settings, trials = sweep(clips, dataset.classes, settings, num_trials, environment=environment)
        recorder.on_notice(sweep_notice(trials))
    with open_finetuner(clips, backbone, settings, resources) as finetuner:
        trained = train_model(
            clips, dataset.classes, settings, backbone,
            environment=environment, finetuner=finetuner, unlabeled=more,
        )  # fmt: skip
        for notice in trained.validation.notices:
            recorder.on_notice(notice)
        contents = with_agreement(trained.contents, trained.validation.kept, clips, resources)
    return replace(trained, contents=contents, overview=tuple(overview), notices=tuple(recorder.notices))


def _load_unlabeled(
    videos: Sequence[Path], provider: FeatureProvider, clips: Sequence[Clip], listener: Listener
) -> list[Clip]:
    with provider.open(videos, "features of unlabeled videos") as features_of:
        found, notices = load_unlabeled(videos, features_of, clips)
    for notice in notices:
        listener.on_notice(notice)
    return found


def _tell_dataset(dataset: Dataset, listener: Listener) -> None:
    num_clips, num_groups = len(dataset.entries), len(dataset.groups)
    text = f"{num_clips} clips in {num_groups} groups; classes: {', '.join(dataset.classes)}"
    classes = list(dataset.classes)
    listener.on_message(text, event="dataset", clips=num_clips, groups=num_groups, classes=classes)


def _tell_overview(overview: Sequence[ClassOverview], listener: Listener) -> None:
    """A line for each class, and what is wrong with the annotations."""
    names = [shortened(one.name, _MAX_NAME) for one in overview]
    width = max(map(len, names))
    for name, one in zip(names, overview, strict=True):
        groups = f"{len(one.groups)} group{'' if len(one.groups) == 1 else 's'}"
        bouts = f"{one.num_bouts} bout{'' if one.num_bouts == 1 else 's'}"
        if one.median_bout_seconds is not None:
            bouts += f", median {one.median_bout_seconds:.1f} s"
        text = f"  {name:<{width}}  {one.num_frames} frames ({100 * one.share:.1f} %), {bouts}, {groups}"
        listener.on_message(text, event="class", **asdict(one))
    for notice in dataset_notices(overview):
        listener.on_notice(notice)


def _tell_checkpoints(folder: CheckpointFolder, listener: Listener) -> None:
    """What an interrupted training left; these notices are not about the model."""
    for notice in folder.review():
        listener.on_notice(notice)
    if folder.may_resume:
        listener.on_message(f"{folder.path}: {folder.num_done} networks are fitted already; training continues")

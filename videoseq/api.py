"""The public functions: everything that the commands do, in Python.

Each takes one thing to work on, and everything else by name. Importing this module imports nothing heavy.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.data.check import ClipCheck
    from videoseq.data.dataset import Dataset
    from videoseq.export.int8 import QuantizedModel
    from videoseq.inference.model import Model
    from videoseq.jobs.events import Listener
    from videoseq.jobs.feature_provider import Resources
    from videoseq.jobs.plan import Jobs
    from videoseq.jobs.record import Record
    from videoseq.jobs.request import OnCorrupt
    from videoseq.report.evaluation_result import EvaluationResult

AnyPath: TypeAlias = str | os.PathLike[str]


def train(
    dataset: AnyPath | Dataset,
    *,
    out: AnyPath,
    settings: Mapping[str, object] | None = None,
    config: AnyPath | None = None,
    unlabeled: Sequence[AnyPath] = (),
    sweep: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    images: bool = False,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    workers: int = 1,
    cache: AnyPath | None = None,
    listener: Listener | None = None,
) -> Model:
    """Trains a model on annotated clips, measures it, and saves it with its metrics and its report.

    Args:
        dataset: A folder of annotated clips, a manifest CSV, or a dataset.
        out: The model folder to make.
        settings: Values by dotted keys, such as ``{"data.background": "other"}``; the others keep their defaults.
        config: A YAML file of settings, below ``settings``.
        unlabeled: Videos, folders and patterns of the places where the model will work; they teach it without
            annotations.
        sweep: How many sets of settings to try first; 0 for none.
        resume: Whether to continue an interrupted training of the same clips and settings.
        overwrite: Whether a model at ``out`` may be replaced.
        images: Whether the report shows frames of the longest mistakes.
        device: As in :func:`videoseq.load_model`, and where networks are fitted.
        runtime: As there.
        precision: As there.
        threads: As there.
        workers: Videos whose features are computed side by side.
        cache: The folder of features; by default ``$VIDEOSEQ_CACHE`` or ``~/.cache/videoseq``.
        listener: Hears progress, notices and lines for people.

    Returns:
        The model, loaded from ``out``.

    Raises:
        AnnotationError: There is nothing to learn or to measure on.
        ConfigError: A setting is unknown or out of range, or needs what is not installed.
        VideoError: Videos cannot be read.
        OutputError: Something is at ``out`` already, or it cannot be written.

    Example:
        >>> model = videoseq.train("clips", out="my-model", settings={"training.max_epochs": 3})
        >>> model.classes
        ('bright', 'dark')
    """
    from videoseq.config.yaml_file import load_settings
    from videoseq.data.dataset import Dataset
    from videoseq.inference.model import open_model
    from videoseq.report.training_run import train_and_save

    loaded = load_settings(config, settings or {})
    choice = _choice(device, runtime, precision, threads)
    clips = dataset if isinstance(dataset, Dataset) else Path(dataset)
    train_and_save(
        clips, loaded, Path(out), _resources(choice, cache, workers, listener),
        num_trials=sweep, unlabeled=[str(one) for one in unlabeled], may_resume=resume, overwrite=overwrite,
        has_images=images,
    )  # fmt: skip
    return open_model(out, choice)


def evaluate(
    model: AnyPath | Model,
    dataset: AnyPath | Dataset,
    *,
    baseline: AnyPath | None = None,
    split: str = "",
    background: str | None = None,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    workers: int = 1,
    cache: AnyPath | None = None,
    listener: Listener | None = None,
) -> EvaluationResult:
    """Compares a model's labels with annotated clips, next to its baselines.

    Args:
        model: A model folder, or a model that was loaded from one; then how its CNN runs is settled already.
        dataset: A folder of annotated clips, a manifest CSV, or a dataset that was read with the model's classes.
        baseline: The folder of a previous model with the same classes, measured on the same clips and compared.
        split: Only clips of this split: ``train``, ``val`` or ``test``; by default all. A dataset has its own.
        background: The class of frames that no row covers; by default as in training. A dataset has its own.
        device: As in :func:`videoseq.load_model`.
        runtime: As there.
        precision: As there.
        threads: As there.
        workers: Videos whose features are computed side by side.
        cache: The folder of features; by default ``$VIDEOSEQ_CACHE`` or ``~/.cache/videoseq``.
        listener: Hears progress and notices.

    Raises:
        AnnotationError: An annotation does not fit its video or the model's classes.
        ConfigError: An argument is unknown or does not go with the model.
        ModelError: A model cannot be loaded, or the two do not have the same classes.
        VideoError: Videos cannot be read.

    Example:
        >>> result = videoseq.evaluate("model", "clips")
        >>> result
        EvaluationResult(6 videos, 300 frames, accuracy 0.9...)
        >>> result.write_report("evaluation")
    """
    from videoseq.evaluation.comparison import load_previous
    from videoseq.evaluation.model_evaluation import evaluate_model
    from videoseq.report.evaluation_result import EvaluationResult

    choice = _choice(device, runtime, precision, threads)
    loaded, folder = _loaded(model, choice)
    resources = _resources(loaded.choice, cache, workers, listener)
    annotated = _dataset_for(loaded, dataset, split, background)
    previous = None if baseline is None else load_previous(Path(baseline), loaded.contents, loaded.choice)
    measured = evaluate_model(loaded, folder, annotated, resources, previous)
    return EvaluationResult(measured, resources.listener)


def label(
    videos: AnyPath | Iterable[AnyPath],
    *,
    model: AnyPath | Model,
    out: AnyPath = "labels",
    overwrite: bool = False,
    retry_failed: bool = False,
    on_corrupt: str = "salvage",
    max_errors: int | None = None,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    workers: int = 1,
    listener: Listener | None = None,
) -> Record:
    """Labels every frame of many videos into files; a video that is labeled already is not labeled again.

    Args:
        videos: A file, a folder or a pattern, or several of them.
        model: A model folder, or a model that was loaded from one; then how its CNN runs is settled already.
        out: The folder of the labels; the folders of the videos are mirrored there.
        overwrite: Whether videos that are labeled already are labeled again.
        retry_failed: Whether to try again what failed before, although nothing has changed.
        on_corrupt: What to do with a damaged video: ``salvage`` labels the frames that can be decoded, ``skip`` writes
            nothing for it, ``fail`` stops there.
        max_errors: How many videos may fail before no more are begun; None for any number.
        device: As in :func:`videoseq.load_model`.
        runtime: As there.
        precision: As there.
        threads: As there.
        workers: Videos to label side by side, each in a process of its own.
        listener: Hears the result of each video as it ends, progress and notices.

    Returns:
        The results, one for each video that was reached, in the order of the videos.

    Raises:
        ConfigError: There are no videos, an argument is unknown, or two videos would write the same files.
        ModelError: The model cannot be loaded.
        OutputError: Another run uses the folder, another model labeled it, or it cannot be written.

    Example:
        >>> results = videoseq.label("recordings", model="model", out="labels")
        >>> [(result.path, result.state) for result in results]
        [('recordings/clip.mp4', 'complete')]
    """
    from videoseq.jobs.engine import WorkerConfig
    from videoseq.jobs.label_run import run_labeling
    from videoseq.jobs.request import LabelRequest
    from videoseq.video.isolation import Limits

    named = _named(videos)
    jobs = _plan(named, out, listener)
    choice = _choice(device, runtime, precision, threads)
    folder, choice = _folder_of(model, choice)
    request = LabelRequest(
        jobs, named, folder, Path(out), choice, Limits(), on_corrupt=_on_corrupt(on_corrupt),
        overwrite=overwrite, retry_failed=retry_failed, max_errors=max_errors,
    )  # fmt: skip
    return run_labeling(request, listener, WorkerConfig(workers))


def extract_features(
    videos: AnyPath | Iterable[AnyPath],
    *,
    out: AnyPath,
    backbone: str = "efficientnet_lite0",
    sample_hz: float | None = 10.0,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    workers: int = 1,
    cache: AnyPath | None = None,
    listener: Listener | None = None,
) -> Record:
    """Writes the feature vectors of many videos into files; what this CNN computed before is not computed again.

    Args:
        videos: A file, a folder or a pattern, or several of them.
        out: The folder of the features; the folders of the videos are mirrored there.
        backbone: The CNN: ``efficientnet_lite0``, ``efficientnet_lite1``, ``efficientnet_lite2`` or ``timm:MODEL``.
        sample_hz: Feature vectors per second of video; None for every frame.
        device: As in :func:`videoseq.load_model`.
        runtime: As there.
        precision: As there.
        threads: As there.
        workers: Videos to work on side by side, each in a process of its own.
        cache: The folder of features; by default ``$VIDEOSEQ_CACHE`` or ``~/.cache/videoseq``.
        listener: Hears the result of each video as it ends, progress and notices.

    Returns:
        The results, one for each video, in the order of the videos.

    Raises:
        ConfigError: There are no videos, an argument is unknown, or the folder is one of labels.
        OutputError: Another run uses the folder, or it cannot be written.

    Example:
        >>> results = videoseq.extract_features("recordings", out="features", sample_hz=5)
        >>> [result.state for result in results]
        ['complete']
    """
    from videoseq.config.yaml_file import load_settings
    from videoseq.jobs.engine import WorkerConfig
    from videoseq.jobs.feature_run import run_features
    from videoseq.jobs.request import FeatureRequest
    from videoseq.storage.cache import cache_folder
    from videoseq.video.isolation import Limits

    named = _named(videos)
    jobs = _plan(named, out, listener)
    settings = load_settings(overrides={"backbone.name": backbone, "sample_hz": sample_hz})
    store = cache_folder(None if cache is None else Path(cache))
    choice = _choice(device, runtime, precision, threads)
    request = FeatureRequest(jobs, named, settings.backbone, settings.sample_hz, Path(out), store, choice, Limits())
    return run_features(request, listener, WorkerConfig(workers))


def check(
    videos: AnyPath | Iterable[AnyPath],
    *,
    annotations: AnyPath | None = None,
    multilabel: bool = False,
    listener: Listener | None = None,
) -> list[ClipCheck]:
    """Reads every frame of videos, and compares annotations with them; without a model.

    Args:
        videos: A file, a folder or a pattern, or several of them.
        annotations: The annotation of the video; for several, a folder with one of each video's name.
        multilabel: Whether behaviors may overlap.
        listener: Hears the progress.

    Returns:
        What is known of each video, and what is wrong with it or its annotation.

    Raises:
        ConfigError: There are no videos, or one annotation for several.

    Example:
        >>> [found] = videoseq.check("clips/clip0.mp4", annotations="clips/clip0.csv")
        >>> found.video.state, found.is_ok
        ('complete', True)
    """
    from videoseq.jobs.check_run import check_videos, plan_checks
    from videoseq.jobs.events import Listener
    from videoseq.video.isolation import Limits

    given = None if annotations is None else Path(annotations)
    named = _named(videos)
    jobs = plan_checks(named, given)
    _check_found(len(jobs), named)
    return list(check_videos(jobs, given, Limits(), listener or Listener(), is_multilabel=multilabel))


def quantize(
    model: AnyPath | Model,
    videos: AnyPath | Iterable[AnyPath],
    *,
    out: AnyPath,
    threads: int | None = None,
    overwrite: bool = False,
    listener: Listener | None = None,
) -> QuantizedModel:
    """Makes a model whose CNN also runs in 8-bit integers, by OpenVINO on the CPU, if the labels stay the same.

    Args:
        model: A model folder, or a model that was loaded from one.
        videos: Files, folders or patterns of videos like those to be labeled; annotations are not needed.
        out: The model folder to make.
        threads: Cores that the CNN may keep busy; None for all that this process may use, up to sixteen.
        overwrite: Whether a model at ``out`` may be replaced.
        listener: Hears each video that cannot be used as a failed result, and how far the work is.

    Raises:
        ConfigError: There are no videos, or OpenVINO or NNCF is not installed.
        ModelError: The model cannot be loaded, or too many labels change.
        VideoError: No video can be used.
        OutputError: Something is at ``out`` already, or it cannot be written.

    Example:
        >>> videoseq.quantize("model", "recordings", out="model8")  # doctest: +SKIP
    """
    from videoseq.export.int8 import quantize_model
    from videoseq.jobs.plan import plan_jobs

    folder, _ = _folder_of(model, _choice("auto", "auto", "auto", None))
    named = _named(videos)
    jobs = [job for name in named for job in plan_jobs([name], Path(out))]  # no file is named after them
    _check_found(len(jobs), named)
    return quantize_model(folder, jobs, Path(out), num_threads=threads, overwrite=overwrite, listener=listener)


def _choice(device: str, runtime: str, precision: str, threads: int | None) -> RuntimeChoice:
    from videoseq.config.runtime import RuntimeChoice

    return RuntimeChoice(device, runtime, precision, threads)


def _on_corrupt(name: str) -> OnCorrupt:
    from videoseq.errors import ConfigError, did_you_mean
    from videoseq.jobs.request import OnCorrupt

    known = [one.value for one in OnCorrupt]
    if name not in known:
        raise ConfigError(f"on_corrupt: expected {', '.join(known)}, got {name!r}{did_you_mean(name, known)}")
    return OnCorrupt(name)


def _resources(choice: RuntimeChoice, cache: AnyPath | None, workers: int, listener: Listener | None) -> Resources:
    from videoseq.jobs.events import Listener
    from videoseq.jobs.feature_provider import Resources
    from videoseq.storage.cache import cache_folder

    return Resources(choice, cache_folder(None if cache is None else Path(cache)), workers, listener or Listener())


def _folder_of(model: AnyPath | Model, choice: RuntimeChoice) -> tuple[Path, RuntimeChoice]:
    """A model's folder, and what its CNN is to run by; a loaded model has been told."""
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.errors import ConfigError
    from videoseq.inference.model import Model

    if not isinstance(model, Model):
        return Path(model), choice
    if model.folder is None:
        raise ConfigError("model: expected a model that was loaded from a folder, got one that was not")
    if choice != RuntimeChoice():
        raise ConfigError(f"device, runtime, precision and threads: expected none with a loaded model, got {choice}")
    return model.folder, model.choice


def _loaded(model: AnyPath | Model, choice: RuntimeChoice) -> tuple[Model, Path]:
    from videoseq.inference.model import Model, open_model

    folder, choice = _folder_of(model, choice)
    return (model if isinstance(model, Model) else open_model(folder, choice)), folder


def _dataset_for(model: Model, dataset: AnyPath | Dataset, split: str, background: str | None) -> Dataset:
    """A dataset with a model's classes; by default with the background that it was trained with."""
    from videoseq.data.dataset import Dataset, load_dataset
    from videoseq.errors import ConfigError

    if isinstance(dataset, Dataset):
        for name, value in (("split", split), ("background", background)):
            if value:
                raise ConfigError(f"{name}: expected none with a dataset that was read already, got {value!r}")
        return dataset
    data = model.contents.config.settings.data
    if background and model.contents.config.is_multilabel:
        raise ConfigError(
            f"background: expected none, got {background!r}; the model is multilabel and has no such class"
        )
    return load_dataset(
        dataset, task=data.task, background=background or data.background, classes=model.classes, split=split
    )


def _named(videos: AnyPath | Iterable[AnyPath]) -> list[str]:
    return [os.fspath(one) for one in ([videos] if isinstance(videos, (str, os.PathLike)) else videos)]


def _check_found(num_jobs: int, named: list[str]) -> None:
    from videoseq.errors import ConfigError

    if not num_jobs:
        expected = "expected video files, folders of them or patterns"
        raise ConfigError(f"videos: {expected}, found none in {', '.join(named)}")


def _plan(named: list[str], out: AnyPath, listener: Listener | None) -> Jobs:
    """The videos that are called so; a folder without one is a notice."""
    from videoseq.errors import Notice
    from videoseq.jobs.plan import plan_jobs

    jobs = plan_jobs(named, Path(out))
    _check_found(jobs.num_found, named)
    for folder in jobs.empty:
        if listener is not None:
            listener.on_notice(Notice("empty_folder", f"no video files in {folder}"))
    return jobs

"""Annotated clips → a model folder with its metrics and its report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from videoseq.storage.cache import cache_folder

from . import dataset as datasets
from . import options
from .console import Console, Exit, percent, print_json, table
from .extraction import Workers
from .sweep import swept
from .train_screen import EpochLines
from .trained import save, with_agreement

if TYPE_CHECKING:
    from videoseq.annotations.types import ClassNames
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.config.schema import TrainSettings
    from videoseq.data.dataset import Clip
    from videoseq.data.statistics import ClassOverview
    from videoseq.errors import Notice
    from videoseq.features.backbones import Backbone
    from videoseq.training.checkpoints import CheckpointFolder
    from videoseq.training.fit import FitPlace


def train(
    dataset: Annotated[Optional[Path], typer.Argument(help="A folder of annotated clips, or a manifest CSV.")] = None,  # noqa: UP045
    out: Annotated[Optional[Path], typer.Option(help="The model folder to make.")] = None,  # noqa: UP045
    config: Annotated[Optional[Path], typer.Option(help="A YAML file of settings.")] = None,  # noqa: UP045
    set_: Annotated[Optional[list[str]], typer.Option("--set", help="One setting, as key.path=value.")] = None,  # noqa: UP045
    cv: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--cv",
            metavar="groups|N",
            help="Measure on all clips: leave out one group after the other, or at most N times several, and fit on "
            "the rest; short for data.cross_validation.",
        ),
    ] = None,
    ensemble: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--ensemble",
            metavar="K",
            help="Fit K networks from seeds of their own and average their logits; short for training.ensemble.",
        ),
    ] = None,
    sweep: Annotated[
        int,
        typer.Option(
            "--sweep",
            metavar="N",
            min=0,
            help="Try N sets of settings on the validation clips (or with --cv on all) and take the best.",
        ),
    ] = 0,
    resume: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--resume",
            metavar="auto",
            help="Go on where a training with the same settings and clips was interrupted, if one was.",
        ),
    ] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print all settings as YAML and stop.")] = False,
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    workers: options.Workers = 1,
    cache: options.Cache = None,
    overwrite: options.Overwrite = False,
    images: options.Images = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Train a model on annotated clips.

    Groups are never split; validation clips measure, and choose the epoch only where training.patience is set.
    """
    from videoseq.config.yaml_file import dump_settings, load_settings
    from videoseq.storage.lock import locked_folder

    shorthands = {"data.cross_validation": cv, "training.ensemble": ensemble}
    overrides = [f"{key}={value}" for key, value in shorthands.items() if value is not None]
    settings = load_settings(config, [*(set_ or ()), *overrides])
    if print_config:
        print(dump_settings(settings), end="")
        raise typer.Exit(Exit.DONE)
    if dataset is None or out is None:
        raise typer.BadParameter("expected DATASET and --out MODEL (or --print-config)")
    if resume not in (None, "auto"):
        raise typer.BadParameter(f"--resume: expected auto, got {resume!r}")
    console = Console(quiet=quiet, verbose=verbose)
    with locked_folder(_kept(out), on_notice=console.warn):
        metrics = run(
            dataset, settings, out, console,
            choice=options.runtime_choice(device, runtime, precision, threads),
            cache=cache_folder(cache), overwrite=overwrite, num_trials=sweep, pictures=images,
            resume=resume is not None,
            num_workers=workers,
        )  # fmt: skip
    if json:
        print_json(metrics)


def run(
    dataset: Path,
    settings: TrainSettings,
    out: Path,
    console: Console,
    *,
    choice: RuntimeChoice,
    cache: Path,
    overwrite: bool,
    num_trials: int = 0,
    pictures: bool = False,
    resume: bool = False,
    num_workers: int = 1,
) -> dict[str, Any]:
    """Trains, measures and saves a model; returns what ``metrics.json`` holds.

    ``pictures`` puts frames of the videos into its report, which is passed on with the model. With ``resume`` it goes
    on with what a training that was interrupted has left beside ``out``. ``num_workers`` processes compute features, or
    one: this.
    """
    from videoseq.data.dataset import load_dataset
    from videoseq.data.statistics import describe_clips
    from videoseq.features.backbones import load_backbone
    from videoseq.features.runtimes import select_runtime
    from videoseq.models.model_folder import check_target
    from videoseq.training.finetuning import check_finetuning
    from videoseq.training.train import train_model

    check_target(out, overwrite=overwrite)
    data = settings.data
    annotated = load_dataset(dataset, task=data.task, background=data.background, classes=data.classes)
    classes = annotated.classes
    num_clips, num_groups = len(annotated.entries), len(annotated.groups)
    console.say(f"{num_clips} clips in {num_groups} groups; classes: {', '.join(classes)}")
    backbone = load_backbone(settings.backbone)
    check_finetuning(settings, backbone)
    workers = Workers(num_workers, settings.backbone, choice) if num_workers > 1 else None
    clips, notices = datasets.load(
        annotated,
        runtime=select_runtime(backbone, choice),
        sample_hz=settings.sample_hz,
        cache=cache,
        console=console,
        on_bad_clip=settings.data.on_bad_clip,
        workers=workers,
    )
    overview = describe_clips(clips, classes)
    notices += _show_overview(overview, console)
    checkpoints = _checkpoints(out, clips, classes, settings, backbone, choice, num_trials, console, resume=resume)
    place = _place(checkpoints, settings, choice, notices, console)
    if num_trials:
        settings, notice = swept(clips, classes, settings, num_trials, place, console)
        notices.append(notice)
    with datasets.finetuning(clips, backbone, settings, choice, cache, console) as finetuner:
        with console.progress("") as bar:
            trained = train_model(
                clips,
                classes,
                settings,
                backbone,
                place=place,
                on_epoch=EpochLines(console, bar, settings.training),
                finetuner=finetuner,
            )
        for notice in trained.measured.notices:
            console.warn(notice)
        trained = with_agreement(trained, clips, choice, cache, console, num_workers)
    shown = {
        "overview": overview,
        "pictures": datasets.read_pictures(trained.measured.evaluation, console) if pictures else None,
    }
    metrics = save(trained, out, [*notices, *trained.measured.notices], console, overwrite=overwrite, **shown)
    checkpoints.remove()
    return metrics


def _kept(out: Path) -> Path:
    """The folder beside a model's in which its training is kept."""
    return out.with_name(f"{out.name}.training")


def _checkpoints(
    out: Path,
    clips: Sequence[Clip],
    classes: ClassNames,
    settings: TrainSettings,
    backbone: Backbone,
    choice: RuntimeChoice,
    num_trials: int,
    console: Console,
    *,
    resume: bool,
) -> CheckpointFolder:
    """What is kept of the training beside its model; says what an interrupted one has left there."""
    from videoseq.system.torch_devices import choose_device
    from videoseq.training.checkpoints import CheckpointFolder, training_digest

    device = choose_device(choice.device)
    digest = training_digest(clips, classes, settings, backbone.identity, device, num_trials)
    checkpoints = CheckpointFolder(_kept(out), digest, resume)
    for notice in checkpoints.take_stock():
        console.warn(notice)
    if resume:
        console.say(f"{checkpoints.path}: {checkpoints.num_done} networks are fitted already; training goes on")
    return checkpoints


def _place(
    checkpoints: CheckpointFolder,
    settings: TrainSettings,
    choice: RuntimeChoice,
    notices: list[Notice],
    console: Console,
) -> FitPlace:
    """Where networks are fitted; what is told there is said, and joins the notices, once."""
    from videoseq.system.torch_devices import choose_device
    from videoseq.training.fit import FitPlace

    def note(notice: Notice) -> None:
        if notice not in notices:
            notices.append(notice)
            console.warn(notice)

    return FitPlace(choose_device(choice.device), settings.trainer, checkpoints, note)


def _show_overview(overview: Sequence[ClassOverview], console: Console) -> list[Notice]:
    """Says what was annotated, class by class, and what is wrong with it."""
    from videoseq.data.statistics import dataset_notices

    rows = [
        [
            one.name, str(one.num_frames), percent(one.share), str(one.num_bouts),
            "–" if one.median_bout_seconds is None else f"{one.median_bout_seconds:.1f}", str(len(one.groups)),
        ]
        for one in overview
    ]  # fmt: skip
    for line in table(["annotated", "frames", "%", "bouts", "median s", "groups"], rows):
        console.say(line)
    notices = dataset_notices(overview)
    for notice in notices:
        console.warn(notice)
    return notices

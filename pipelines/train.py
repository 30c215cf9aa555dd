"""Annotated clips → a model folder with its metrics and its report: options, progress and the table at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from videoseq.storage.cache import cache_folder

from . import options
from .console import Console, Exit, print_json
from .screens import group_lines, metrics_table

if TYPE_CHECKING:
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.config.schema import TrainSettings


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
            "the rest; short for data.cross_validation. Without it, at most five times.",
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
    unlabeled: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--unlabeled",
            metavar="VIDEOS",
            help="Videos without annotations of the places where the model will work, which teach it too: a file, a "
            "folder or a pattern. May be given several times.",
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
    metrics = run(
        dataset, settings, out, console,
        choice=options.runtime_choice(device, runtime, precision, threads),
        cache=cache_folder(cache), overwrite=overwrite, num_trials=sweep, unlabeled=unlabeled or (), images=images,
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
    unlabeled: Sequence[str] = (),
    images: bool = False,
    resume: bool = False,
    num_workers: int = 1,
) -> dict[str, Any]:
    """Trains, measures and saves a model, and shows its numbers; returns what ``metrics.json`` holds."""
    from videoseq.jobs.feature_provider import Resources
    from videoseq.report.model_files import MEASURED_ON
    from videoseq.report.training_run import train_and_save

    trained, metrics = train_and_save(
        dataset, settings, out, Resources(choice, cache, num_workers, console),
        num_trials=num_trials, unlabeled=unlabeled, may_resume=resume, overwrite=overwrite, has_images=images,
    )  # fmt: skip
    result = trained.validation
    evaluation = result.evaluation
    num_clips = len(evaluation.clips)
    console.say(f"on {MEASURED_ON[result.measured_on]} ({num_clips} clip{'s' if num_clips != 1 else ''}):")
    of_groups = [] if result.measured_on == "train" else group_lines(evaluation)
    for line in [*metrics_table(evaluation), *of_groups]:
        console.say(line)
    console.say(f"model: {out}; look at {out / 'report.html'}")
    return metrics

"""A model against annotated clips: metrics.json and report.html. Or two annotators against each other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from videoseq.storage.cache import cache_folder

from . import agreement, options
from . import dataset as datasets
from .console import Console, print_json
from .extraction import Workers
from .train_screen import difference_table, looks_ahead, metrics_table

if TYPE_CHECKING:
    from videoseq.errors import Notice
    from videoseq.evaluation.comparison import Previous
    from videoseq.evaluation.metrics import LabeledVideo
    from videoseq.evaluation.results import Evaluation
    from videoseq.inference.model import Model


def evaluate(
    model: Annotated[Path, typer.Argument(help="A model folder; or the same videos as somebody else annotated them.")],
    dataset: Annotated[Path, typer.Argument(help="A folder of annotated clips, or a manifest CSV.")],
    out: Annotated[
        Optional[Path],  # noqa: UP045 (typer reads the annotation at run time, on Python 3.10 too)
        typer.Option(help="Where metrics.json goes, and report.html of a model; without it they are not written."),
    ] = None,
    baseline: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A previous model with the same classes, measured on the same clips and compared."),
    ] = None,
    split: Annotated[str, typer.Option(help="Only clips of this split: train, val or test; all by default.")] = "",
    background: Annotated[str, typer.Option(help="The class of frames that no row covers.")] = "",
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    workers: options.Workers = 1,
    cache: options.Cache = None,
    images: options.Images = True,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Compare a model's labels with annotated clips, beside its baselines.

    With a second person's clips, manifest or annotation files in the model's place, it says how far the two people
    agree, which is what a model's numbers are to be read beside.
    """
    from videoseq.data.dataset import load_dataset
    from videoseq.data.statistics import describe_clips
    from videoseq.errors import AnnotationError, ConfigError
    from videoseq.evaluation.comparison import load_previous
    from videoseq.evaluation.evaluate import evaluate_heads
    from videoseq.inference.model import open_model

    console = Console(quiet=quiet, verbose=verbose)
    _check_split(split)
    if not _is_model(model, dataset, baseline):
        agreement.run(model, dataset, console, out=out, split=split, background=background or None, json=json)
        return
    choice, cache = options.runtime_choice(device, runtime, precision, threads), cache_folder(cache)
    loaded = open_model(model, choice)
    previous = None if baseline is None else load_previous(baseline, loaded.contents, choice)
    config = loaded.contents.config
    if background and config.is_multilabel:
        raise ConfigError(
            f"--background: expected none, got {background!r}; {model} is multilabel and knows no such class"
        )
    task = config.settings.data.task
    background_class = background or config.settings.data.background
    annotated = load_dataset(dataset, task=task, background=background_class, classes=loaded.classes, split=split)
    clips, notices = datasets.load(
        annotated,
        runtime=loaded.runtime,
        sample_hz=loaded.sample_hz,
        cache=cache,
        console=console,
        workers=Workers(workers, model, choice) if workers > 1 else None,
    )
    if not clips:
        raise AnnotationError(f"{dataset}: expected at least one labelled frame, got none")
    majority = tuple(loaded.classes.index(name) for name in config.majority_names)
    labelled: Sequence[LabeledVideo] = ()
    if previous is not None:
        what, videos = "features of the previous model", [clip.entry.video for clip in clips]
        used, crew = previous.model, Workers(workers, previous.folder, choice) if workers > 1 else None
        with datasets.shown_features(what, videos, used.runtime, used.sample_hz, cache, console, crew) as features_of:
            labelled = previous.label(clips, loaded.classes, features_of)
    evaluation = evaluate_heads(
        loaded.contents.head, loaded.contents.no_context, majority, clips, loaded.classes, background_class, labelled
    )
    for line in [*metrics_table(evaluation), *difference_table(evaluation)]:
        console.say(line)
    facts = {"model": model, "model sha256": loaded.contents.sha256}
    facts |= previous.facts if previous is not None else {}
    facts |= {"looks ahead": looks_ahead(loaded.contents)}
    facts |= {"dataset": dataset, "runtime": loaded.runtime.description}
    facts |= {"decoding": loaded.contents.head.decoding.parameters.text}
    shown = {
        "overview": describe_clips(clips, loaded.classes),
        "pictures": datasets.read_pictures(evaluation, console) if images and out is not None else None,
    }
    metrics = _save(evaluation, loaded, previous, out, split or "all", facts, notices, **shown)
    if out is not None:
        console.say(f"look at {out / 'report.html'}")
    if json:
        print_json(metrics)


def _check_split(split: str) -> None:
    from videoseq.data.manifest import SPLITS
    from videoseq.errors import ConfigError, did_you_mean

    if split and split not in SPLITS:
        raise ConfigError(f"--split: expected {', '.join(SPLITS)}, got {split!r}{did_you_mean(split, SPLITS)}")


def _is_model(model: Path, dataset: Path, baseline: Path | None) -> bool:
    """Whether a model is to be evaluated, and not a second annotator; what can be neither is refused."""
    from videoseq.errors import AnnotationError, ConfigError

    if _has_model(dataset):
        raise ConfigError(
            f"{dataset}: expected annotated clips, got a model; it goes before them, a second to --baseline"
        )
    if not os.path.exists(model):  # noqa: PTH110 (Path.exists raises where a name is too long)
        raise AnnotationError(f"{model}: expected a model folder or another annotator's clips, found nothing there")
    is_model = _has_model(model)
    if baseline is not None and not is_model:
        raise ConfigError(
            f"--baseline: expected a model to compare it with, got {model}, which has no model.json in it"
        )
    return is_model


def _has_model(folder: Path) -> bool:
    return os.path.exists(folder / "model.json")  # noqa: PTH110 (as above)


def _save(
    evaluation: Evaluation,
    loaded: Model,
    previous: Previous | None,
    out: Path | None,
    measured_on: str,
    facts: dict[str, Any],
    notices: Sequence[Notice],
    **shown: Any,  # noqa: ANN401 (what the report shows besides)
) -> dict[str, Any]:
    """Writes both files where ``out`` says; returns what ``metrics.json`` holds."""
    import json

    from videoseq.config.yaml_file import dump_settings
    from videoseq.evaluation.metrics_json import metrics_json
    from videoseq.report.html import render_report
    from videoseq.storage.files import write_text

    metrics = metrics_json(evaluation, measured_on, notices)
    if previous is not None:
        metrics["previous_model"] = previous.as_dict()
    if out is not None:
        title = f"Model {facts['model'].name} on {facts['dataset'].name}"
        settings = dump_settings(loaded.contents.config.settings)
        page = render_report(title, evaluation, loaded.classes, facts, notices, settings=settings, **shown)
        write_text(out / "metrics.json", json.dumps(metrics, indent=1) + "\n")
        write_text(out / "report.html", page)
    return metrics

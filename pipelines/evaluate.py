"""A model against annotated clips: metrics.json and report.html. Or two annotators against each other."""

from __future__ import annotations

import os
from json import dumps
from pathlib import Path
from typing import Annotated, Optional

import typer

from . import options
from .console import Console, print_json
from .screens import agreement_table, difference_table, group_lines, metrics_table


def evaluate(
    model: Annotated[Path, typer.Argument(help="A model folder; or the same videos annotated by a second person.")],
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
    """Compare a model's labels with annotated clips, next to its baselines.

    With a second person's clips, manifest or annotation files in place of the model, shows how far two people agree; a
    model's numbers are best compared with that.
    """
    from videoseq import api

    console = Console(quiet=quiet, verbose=verbose)
    if not _is_model(model, dataset, baseline):
        _compare_annotators(model, dataset, console, out=out, split=split, background=background or None, json=json)
        return
    result = api.evaluate(
        model, dataset, baseline=baseline, split=split, background=background or None, device=device, runtime=runtime,
        precision=precision, threads=threads, workers=workers, cache=cache, listener=console,
    )  # fmt: skip
    evaluation = result.evaluation
    for line in [*metrics_table(evaluation), *group_lines(evaluation), *difference_table(evaluation)]:
        console.say(line)
    if out is not None:
        result.write_report(out, images=images)
        console.say(f"look at {out / 'report.html'}")
    if json:
        print_json(result.metrics)


def _compare_annotators(
    labels: Path, targets: Path, console: Console, *, out: Path | None, split: str, background: str | None, json: bool
) -> None:
    """Compares two annotators, shows it, and writes ``metrics.json`` where ``out`` says."""
    from videoseq.evaluation.annotators import compare_annotators
    from videoseq.storage.files import write_text

    found = compare_annotators(labels, targets, split=split, background=background, listener=console)
    metrics, lines = found.metrics, agreement_table(found)
    if out is not None:
        write_text(out / "metrics.json", dumps(metrics, indent=1) + "\n")
    if json:
        for line in lines:
            console.say(line)
        print_json(metrics)
    elif not console.quiet:
        console.show(lines)


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

"""A model against annotated clips: metrics.json and report.html."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .console import Console, print_json
from .train_screen import metrics_table


def evaluate(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    dataset: Annotated[Path, typer.Argument(help="A folder of annotated clips, or a manifest CSV.")],
    out: Annotated[Path, typer.Option(help="Where metrics.json and report.html go.")],
    split: Annotated[str, typer.Option(help="Only clips of this split: train, val or test; all by default.")] = "",
    background: Annotated[str, typer.Option(help="The class of frames that no row covers.")] = "",
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    cache: options.Cache = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Compare a model's labels with annotated clips, beside its baselines."""
    import json as json_

    from videoseq.clips import SPLITS, read_dataset
    from videoseq.errors import AnnotationError, ConfigError, did_you_mean
    from videoseq.evaluation import evaluate_heads
    from videoseq.files import write_text
    from videoseq.formats import read_annotation
    from videoseq.labeling import load_model
    from videoseq.recipe import metrics_json
    from videoseq.report.page import render_report

    from . import dataset as datasets

    console = Console(quiet=quiet, verbose=verbose)
    if split and split not in SPLITS:
        raise ConfigError(f"--split: expected {', '.join(SPLITS)}, got {split!r}{did_you_mean(split, SPLITS)}")
    loaded = load_model(model, options.runtime_choice(device, runtime, precision, threads))
    description = loaded.bundle.description
    entries = [entry for entry in read_dataset(dataset) if not split or entry.split == split]
    if not entries:
        raise AnnotationError(f"{dataset}: expected clips of the split {split}, got none")
    annotations = [read_annotation(entry.annotation) for entry in entries]
    for annotation in annotations:  # before the features are computed, not after
        for interval in annotation.intervals:
            loaded.classes.index_of(interval.label, f"{annotation.path}: row {interval.row}")
    background_class = background or description.settings.data.background
    clips, notices = datasets.load(
        entries,
        annotations,
        loaded.classes,
        background=background_class,
        runtime=loaded.runtime,
        sample_hz=loaded.sample_hz,
        cache=options.cache_folder(cache),
        console=console,
    )
    if not clips:
        raise AnnotationError(f"{dataset}: expected at least one labelled frame, got none")
    majority = loaded.classes.index(description.majority_class)
    evaluation = evaluate_heads(
        loaded.bundle.head, loaded.bundle.no_context, majority, clips, loaded.classes, background_class
    )
    metrics = metrics_json(evaluation, split or "all", notices)
    facts = {
        "model": model,
        "model sha256": loaded.bundle.sha256,
        "dataset": dataset,
        "runtime": loaded.runtime.description,
    }
    page = render_report(f"Model {model.name} on {dataset.name}", evaluation, loaded.classes, facts, notices)
    write_text(out / "metrics.json", json_.dumps(metrics, indent=1) + "\n")
    write_text(out / "report.html", page)
    for line in metrics_table(evaluation):
        console.say(line)
    console.say(f"look at {out / 'report.html'}")
    if json:
        print_json(metrics)

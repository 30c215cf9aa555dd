"""A trained model's folder, with what people look at: metrics.json, report.html and the model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from videoseq.config.yaml_file import dump_settings
from videoseq.evaluation.metrics_json import metrics_json
from videoseq.models.model_config import ModelConfig
from videoseq.models.model_folder import ModelFolder, save_model_folder
from videoseq.report.html import render_model_card, render_report
from videoseq.report.mistakes import WrongSpan
from videoseq.training.train import TrainedModel

MEASURED_ON = {
    "val": "the validation clips",
    "test": "the test clips",
    "train": "the training clips",
    "cross-validation": "clips of groups left out in turn",
}
"""For people, what a training measures its model on."""


def save_model(
    trained: TrainedModel,
    out: Path,
    *,
    overwrite: bool = False,
    images: Mapping[WrongSpan, bytes] | None = None,
) -> dict[str, Any]:
    """Saves a model with its metrics, report and card; returns what ``metrics.json`` holds.

    Args:
        trained: The model, and what it was measured at.
        out: The model folder to make.
        overwrite: Whether a model that is there may be replaced.
        images: Of the longest mistakes, for the report (:func:`videoseq.report.mistakes.read_mistakes`).

    Raises:
        OutputError: Something is there already, or the folder cannot be written.
    """
    result, config, classes = trained.validation, trained.contents.config, trained.contents.classes
    evaluation, notices = result.evaluation, trained.notices
    metrics = metrics_json(evaluation, result.measured_on, notices, result.folds)
    if result.choice is not None:
        metrics["choice"] = asdict(result.choice)
    measured_on, facts = MEASURED_ON[result.measured_on], model_facts(trained)

    def add_files(folder: Path) -> None:
        page = render_report(
            f"Model {out.name}, on {measured_on}", evaluation, classes, facts, notices, result.fit.history,
            settings=dump_settings(config.settings), folds=result.folds, overview=trained.overview, images=images,
        )  # fmt: skip
        card = render_model_card(
            classes=config.classes, facts=facts, measured_on=measured_on, metrics=evaluation.metrics,
            is_multilabel=config.is_multilabel,
        )  # fmt: skip
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        (folder / "report.html").write_text(page, encoding="utf-8")
        (folder / "README.md").write_text(card, encoding="utf-8")

    save_model_folder(trained.contents, out, overwrite=overwrite, add_files=add_files)
    return metrics


def model_facts(trained: TrainedModel) -> dict[str, Any]:
    """How the model was made, by name, as the report and the card show it."""
    result, config, head = trained.validation, trained.contents.config, trained.contents.head
    thresholds = result.evaluation.thresholds
    fitted = {"decoding": head.decoding.parameters.text}
    if thresholds is not None:
        fitted = {"thresholds": ", ".join(f"{value:.2f}" for value in thresholds.values())}
    return {
        "backbone": f"{config.backbone.name} ({config.backbone.weights_sha256[:12]}…{_finetuning(config)})",
        "sampling": "every frame" if config.sample_hz is None else f"{config.sample_hz:g} a second",
        "head": f"{config.head.cell}, {config.head.num_layers} × {config.head.hidden_size} units",
        "sees": config.head.inputs,
        "looks ahead": looks_ahead(trained.contents),
        "networks": config.num_members,
        "temperature": f"{float(head.temperature):.3f}",
        **fitted,
        "epoch taken": f"{result.fit.best_epoch} of {len(result.fit.history)}",
        "seed": config.settings.training.seed,
        **config.versions,
    }


def looks_ahead(contents: ModelFolder) -> str:
    """Whether a model's labels depend on later frames, and by how much."""
    if not contents.looks_ahead:
        return "no"
    how_far = "to the video's end" if contents.head.looks_ahead else f"by {contents.head.decoding.delay_seconds:g} s"
    return f"yes, {how_far}; it cannot stream"


def _finetuning(config: ModelConfig) -> str:
    trainable = config.settings.backbone.trainable
    named = {0: "", 1: ", last block fine-tuned", "all": ", fine-tuned"}
    return named.get(trainable, f", last {trainable} blocks fine-tuned")

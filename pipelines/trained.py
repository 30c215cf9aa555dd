"""A trained model → whether bfloat16 keeps its labels, and its folder with metrics, report and card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import dataset as datasets
from .console import Console
from .extraction import Workers
from .train_screen import fold_lines, looks_ahead, metrics_table

if TYPE_CHECKING:
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.data.dataset import Clip
    from videoseq.errors import Notice
    from videoseq.evaluation.results import Evaluation
    from videoseq.models.model_folder import ModelConfig
    from videoseq.training.train import TrainedModel


def with_agreement(
    trained: TrainedModel,
    clips: Sequence[Clip],
    choice: RuntimeChoice,
    cache: Path,
    console: Console,
    num_workers: int,
) -> TrainedModel:
    """Looks whether labels are the same in bfloat16, where the CPU has it, so that labelling may use it unasked."""
    from videoseq.evaluation.precision import spread_clips
    from videoseq.features.runtimes import select_runtime
    from videoseq.models.model_folder import MIN_AGREEMENT
    from videoseq.system.hardware import cpu_computes_bfloat16
    from videoseq.system.torch_devices import choose_device

    if choice.precision != "auto" or choose_device(choice.device).type != "cpu" or not cpu_computes_bfloat16():
        return trained
    choice = replace(choice, precision="bfloat16")
    runtime = select_runtime(trained.contents.backbone, choice)
    settings, workers = trained.contents.config.settings.backbone, None
    if num_workers > 1 and settings.trainable == 0:  # a CNN that was fine-tuned is in this process only
        workers = Workers(num_workers, settings, choice)
    seen = trained.measured.kept.seen(spread_clips(clips))
    share = datasets.measure_agreement(seen, trained.contents, runtime, cache, console, workers)
    use = "labels will be made in it" if share >= MIN_AGREEMENT else "labels will be made in float32"
    console.say(f"in bfloat16 {100 * share:.2f} % of the frames are labelled as in float32; {use}")
    config = trained.contents.config.model_copy(update={"agreement": {runtime.precision: round(share, 6)}})
    return replace(trained, contents=replace(trained.contents, config=config))


def _settled_facts(evaluation: Evaluation, trained: TrainedModel) -> dict[str, str]:
    """What was fitted after the weights, besides the temperature."""
    if evaluation.thresholds is not None:
        return {"thresholds": ", ".join(f"{value:.2f}" for value in evaluation.thresholds.values())}
    return {"decoding": trained.contents.head.decoding.parameters.text}


_MEASURED_ON = {
    "val": "the validation clips",
    "test": "the test clips",
    "train": "the training clips",
    "cross-validation": "clips of groups left out in turn",
}


def _tuned(config: ModelConfig) -> str:
    trainable = config.settings.backbone.trainable
    named = {0: "", 1: ", last block fine-tuned", "all": ", fine-tuned"}
    return named.get(trainable, f", last {trainable} blocks fine-tuned")


def save(
    trained: TrainedModel,
    out: Path,
    notices: Sequence[Notice],
    console: Console,
    *,
    overwrite: bool,
    **shown: Any,  # noqa: ANN401 (what the report shows besides)
) -> dict[str, Any]:
    """Saves a model with its metrics, report and card; returns what ``metrics.json`` holds."""
    import json

    from videoseq.config.yaml_file import dump_settings
    from videoseq.evaluation.metrics_json import metrics_json
    from videoseq.models.model_folder import save_model_folder
    from videoseq.report.html import render_model_card, render_report

    measured, config = trained.measured, trained.contents.config
    evaluation = measured.evaluation
    metrics = metrics_json(evaluation, measured.measured_on, notices, measured.folds)
    where = _MEASURED_ON[measured.measured_on]
    facts = {
        "backbone": f"{config.backbone.name} ({config.backbone.weights_sha256[:12]}…{_tuned(config)})",
        "sampling": "every frame" if config.sample_hz is None else f"{config.sample_hz:g} a second",
        "head": f"{config.head.cell}, {config.head.num_layers} × {config.head.hidden_size} units",
        "looks ahead": looks_ahead(trained.contents),
        "networks": config.num_members,
        "temperature": f"{float(trained.contents.head.temperature):.3f}",
        **_settled_facts(evaluation, trained),
        "epoch taken": f"{measured.fit.best_epoch} of {len(measured.fit.history)}",
        "seed": config.settings.training.seed,
        **config.versions,
    }

    def add_files(folder: Path) -> None:
        page = render_report(
            f"Model {out.name}, on {where}", evaluation, trained.contents.classes, facts, notices, measured.fit.history,
            settings=dump_settings(config.settings), folds=measured.folds, **shown,
        )  # fmt: skip
        card = render_model_card(
            classes=config.classes, facts=facts, measured_on=where, metrics=evaluation.metrics,
            is_multilabel=config.is_multilabel,
        )  # fmt: skip
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        (folder / "report.html").write_text(page, encoding="utf-8")
        (folder / "README.md").write_text(card, encoding="utf-8")

    save_model_folder(trained.contents, out, overwrite=overwrite, add_files=add_files)
    console.say(f"on {where} ({len(evaluation.clips)} clips):")
    for line in [*metrics_table(evaluation), *fold_lines(measured.folds)]:
        console.say(line)
    console.say(f"model: {out}; look at {out / 'report.html'}")
    return metrics

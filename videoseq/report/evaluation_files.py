"""The files of an evaluation: metrics.json and report.html."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from videoseq.config.yaml_file import dump_settings
from videoseq.evaluation.model_evaluation import ModelEvaluation
from videoseq.report.html import render_report
from videoseq.report.mistakes import WrongSpan
from videoseq.report.model_files import looks_ahead
from videoseq.storage.files import write_text


def write_evaluation(result: ModelEvaluation, out: Path, images: Mapping[WrongSpan, bytes] | None = None) -> None:
    """Writes ``metrics.json`` and ``report.html``.

    Args:
        result: The evaluation.
        out: The folder, which is made.
        images: Of the longest mistakes, for the report (:func:`videoseq.report.mistakes.read_mistakes`).

    Raises:
        OutputError: A file cannot be written.
    """
    contents, source = result.model.contents, result.dataset.source
    facts = {
        "model": result.folder,
        "model sha256": contents.sha256,
        **(result.previous.facts if result.previous is not None else {}),
        "looks ahead": looks_ahead(contents),
        "dataset": source,
        "runtime": result.model.runtime.description,
        "decoding": contents.head.decoding.parameters.text,
    }
    title = f"Model {result.folder.name} on {'clips' if source is None else source.name}"
    page = render_report(
        title, result.evaluation, result.model.classes, facts, result.notices,
        settings=dump_settings(contents.config.settings), overview=result.overview, images=images,
    )  # fmt: skip
    write_text(out / "metrics.json", json.dumps(result.as_dict(), indent=1) + "\n")
    write_text(out / "report.html", page)

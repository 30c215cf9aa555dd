"""Evaluations made by hand, and the page of one, with whatever names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.data.statistics import ClassOverview
from videoseq.errors import Notice
from videoseq.evaluation.groups import macro_f1_by_group
from videoseq.evaluation.metrics import LabeledVideo, compare, measure
from videoseq.evaluation.metrics_json import FoldResult
from videoseq.evaluation.results import MAJORITY, MODEL, NO_CONTEXT, PREVIOUS, Evaluation
from videoseq.report.html import render_report
from videoseq.report.mistakes import wrong_spans
from videoseq.training.fit_job import EpochRecord


def labeled(
    name: str,
    targets: list[int],
    labels: list[int],
    *,
    num_classes: int = 3,
    group: str = "",
    path: Path | None = None,
    confidence: float = 0.7,
) -> LabeledVideo:
    """A video of five frames a second, all of whose labels have one probability."""
    given = np.array(labels)
    probabilities = np.full((len(labels), num_classes), (1 - confidence) / (num_classes - 1), np.float32)
    probabilities[np.arange(len(labels)), given] = confidence
    seconds = np.arange(len(labels)) / 5
    return LabeledVideo(
        name, group or name, seconds, len(labels) / 5, np.array(targets), given, probabilities, path=path
    )


def evaluated(
    videos: list[LabeledVideo],
    classes: ClassNames,
    *,
    blind: list[LabeledVideo] | None = None,
    previous: list[LabeledVideo] | None = None,
    background: str | None = None,
    further: dict[str, list[LabeledVideo]] | None = None,
) -> Evaluation:
    """The videos measured, next to labels without context (the same unless given) and whatever further labelers."""
    labelers = {MODEL: videos, **({PREVIOUS: previous} if previous else {}), NO_CONTEXT: blind or videos}
    labelers |= {MAJORITY: blind or videos, **(further or {})}
    measured = {name: measure(labels, classes, background) for name, labels in labelers.items()}
    return Evaluation(
        {name: one.metrics for name, one in measured.items()},
        tuple(videos),
        {name: one.videos for name, one in measured.items()},
        compare(measured[MODEL], measured[NO_CONTEXT]),
        background,
        minus_previous=compare(measured[MODEL], measured[PREVIOUS]) if previous else {},
        groups={name: macro_f1_by_group(labels, len(classes)) for name, labels in labelers.items()},
    )


FOLD = {"num_frames": 777, "accuracy": 0.625, "macro_f1": 0.4321, "f1_at_50": None}


def make_page(names: list[str], image: bytes = b"") -> str:
    """A report in which the names, of three classes or more, stand wherever a name can stand."""
    classes = ClassNames(names)
    targets, labels = [0, 0, 1, 1, 2, IGNORE_INDEX], [0, 1, 1, 1, 2, 2]
    videos = [labeled(f"{name}.mp4", targets, labels, num_classes=len(names), group=name) for name in names[:2]]
    evaluation = evaluated(videos, classes, background=names[2], further={names[0]: videos})
    return render_report(
        f"Model {names[2]}",
        evaluation,
        classes,
        {"dataset": Path(names[1]), names[0]: names[1]},
        [Notice("labels_past_end", f"{names[1]}: row 3")],
        [EpochRecord(0, 1.5, None, 1e-3), EpochRecord(1, 0.5, 0.7, 1e-4)],
        overview=[ClassOverview(name, 4, 2, 0.4, (names[0], names[1]), 0.1) for name in names],
        folds=[FoldResult((names[0], names[1]), {"model": FOLD, "no context": FOLD | {"macro_f1": None}})],
        settings=f"data:\n  background: {names[2]}\n",
        images={span: image for span in wrong_spans(videos) if image},
    )

"""Timelines: for each video the targets over the labels, a color for each class, nothing for unlabeled frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from videoseq.annotations.segments import find_runs
from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.evaluation.metrics import LabeledVideo
from videoseq.inference.drawing import bar_style, ink_on, plain, set_class_rows

_ROW_INCHES = 0.32
_LETTER_INCHES = 0.075  # of the names inside bars
_MAX_COLUMNS = 3_000  # of a timeline in a page, which is no wider


class Band(NamedTuple):
    """One row of a timeline: its name, and for each frame of ``seconds`` an index into the classes."""

    name: str
    seconds: Float[np.ndarray, " frames"]
    duration_seconds: float
    class_index: Int[np.ndarray, " frames"]


def draw_timeline(bands: Sequence[Band], classes: ClassNames, title: str) -> Figure:
    """A picture with one row per band, all on one time axis, a title and a legend."""
    figure = Figure(figsize=(9.0, 1.3 + _ROW_INCHES * len(bands)), layout="constrained")
    axes = figure.add_subplot()
    _draw_bands(axes, bands)
    axes.set_title(plain(title), loc="left", fontsize="medium")
    handles = [Patch(label=plain(name), **bar_style(index)) for index, name in enumerate(classes)]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(classes), 6), frameon=False)
    return figure


def draw_comparison(video: LabeledVideo, classes: ClassNames) -> Figure:
    """A video's targets over its labels, named where there is room, and below, in black, where the two differ."""
    is_wrong = (video.targets != video.labels) & (video.targets != IGNORE_INDEX) & (video.labels != IGNORE_INDEX)
    rows = {"truth": video.targets, "label": video.labels, "differs": np.where(is_wrong, 0, IGNORE_INDEX)}
    kept = np.unique(np.linspace(0, len(is_wrong) - 1, min(len(is_wrong), _MAX_COLUMNS)).astype(np.int64))
    *bands, wrong = (Band(name, video.seconds[kept], video.duration_seconds, row[kept]) for name, row in rows.items())
    figure = Figure(figsize=(9.0, 1.1))
    axes = figure.add_axes((0.06, 0.3, 0.92, 0.68))
    _draw_bands(axes, bands)
    for row, band in enumerate(bands):
        _name_runs(axes, row, band, classes, 8.28)
    axes.broken_barh([(start, stop - start) for start, stop, _ in _runs(wrong)], (1.55, 0.35), color="black")
    axes.set_yticks([0, 1, 1.72], [band.name for band in [*bands, wrong]])
    axes.set_ylim(1.95, -0.5)
    axes.set_xlabel("")
    axes.xaxis.set_major_formatter("{x:g} s")
    return figure


def draw_class_rows(video: LabeledVideo, classes: ClassNames) -> Figure:
    """For each class of a multilabel video when it is there, above in truth and below in the labels.

    A black bar below both shows where they differ; unlabeled frames are gray.
    """
    kept = np.unique(np.linspace(0, len(video.seconds) - 1, min(len(video.seconds), _MAX_COLUMNS)).astype(np.int64))
    figure = Figure(figsize=(9.0, 0.45 + 0.42 * len(classes)), layout="constrained")
    axes = figure.add_subplot()
    for index in range(len(classes)):
        target, label = video.targets[kept, index], video.labels[kept, index]
        is_labeled = target != IGNORE_INDEX
        rows = (
            (-0.4, 0.36, bar_style(index), target == 1),
            (-0.02, 0.36, bar_style(index), label == 1),
            (0.36, 0.1, {"color": "black", "linewidth": 0.0}, is_labeled & (target != label)),
            (-0.4, 0.86, {"color": "#dddddd", "linewidth": 0.0}, ~is_labeled),
        )
        for top, height, look, is_drawn in rows:
            band = Band("", video.seconds[kept], video.duration_seconds, np.where(is_drawn, 0, IGNORE_INDEX))
            axes.broken_barh([(start, stop - start) for start, stop, _ in _runs(band)], (index + top, height), **look)
    set_class_rows(axes, classes, video.duration_seconds)
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Writes a picture, the same bytes for the same picture."""
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw_bands(axes: Axes, bands: Sequence[Band]) -> None:
    for row, band in enumerate(bands):
        runs = _runs(band)
        for index in sorted({run[2] for run in runs}):
            bars = [(start, stop - start) for start, stop, one in runs if one == index]
            axes.broken_barh(bars, (row - 0.42, 0.84), **bar_style(index))
    axes.set_yticks(range(len(bands)), [plain(band.name) for band in bands])
    axes.set_ylim(len(bands) - 0.5, -0.5)
    axes.set_xlim(0, max(band.duration_seconds for band in bands))
    axes.set_xlabel("seconds")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _name_runs(axes: Axes, row: int, band: Band, classes: ClassNames, width_inches: float) -> None:
    """Writes the classes into the bars that have room, for readers who do not see colors."""
    for start, stop, index in _runs(band):
        name = plain(classes[index])
        if len(name) * _LETTER_INCHES < (stop - start) / band.duration_seconds * width_inches:
            middle = (start + stop) / 2
            axes.text(middle, row, name, ha="center", va="center_baseline", fontsize=8, color=ink_on(index))


def _runs(band: Band) -> list[tuple[float, float, int]]:
    """Start, stop and class of each run of equal labels; unlabeled runs are left out."""
    runs, edges = find_runs(band.class_index), np.append(band.seconds, band.duration_seconds)
    runs = runs.where(runs.value != IGNORE_INDEX)
    return list(zip(edges[runs.start].tolist(), edges[runs.stop].tolist(), runs.value.tolist(), strict=True))

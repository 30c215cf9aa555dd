"""Timelines: for each video the targets over the labels, a colour a class, unlabelled frames left white."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from videoseq.annotations import IGNORE_INDEX, ClassNames

# Paul Tol's "muted" scheme, told apart by colour-blind readers; it repeats after nine classes.
_COLOURS = ("#332288", "#DDCC77", "#88CCEE", "#CC6677", "#117733", "#AA4499", "#44AA99", "#882255", "#999933")
_ROW_INCHES = 0.32


class Band(NamedTuple):
    """One row of a timeline: its name, and for each frame of ``seconds`` an index into the classes."""

    name: str
    seconds: Float[np.ndarray, " frames"]
    duration_seconds: float
    class_index: Int[np.ndarray, " frames"]


def draw_timeline(bands: Sequence[Band], classes: ClassNames, title: str) -> Figure:
    """A picture with one row per band, all on one time axis."""
    figure = Figure(figsize=(9.0, 1.3 + _ROW_INCHES * len(bands)), layout="constrained")
    axes = figure.add_subplot()
    for row, band in enumerate(bands):
        for start, stop, index in _runs(band):
            axes.broken_barh([(start, stop - start)], (row - 0.42, 0.84), facecolors=_COLOURS[index % len(_COLOURS)])
    axes.set_yticks(range(len(bands)), [_plain(band.name) for band in bands])
    axes.set_ylim(len(bands) - 0.5, -0.5)
    axes.set_xlim(0, max(band.duration_seconds for band in bands))
    axes.set_xlabel("seconds")
    axes.set_title(_plain(title), loc="left", fontsize="medium")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    handles = [Patch(color=_COLOURS[i % len(_COLOURS)], label=_plain(name)) for i, name in enumerate(classes)]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(classes), 6), frameon=False)
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Writes a picture, the same bytes for the same picture."""
    figure.savefig(path, dpi=110, metadata={"Software": None})


def to_svg(figure: Figure) -> str:
    """The picture as an SVG element to put into a page."""
    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "videoseq"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _runs(band: Band) -> list[tuple[float, float, int]]:
    """Start, stop and class of each run of equal labels; unlabelled runs are left out."""
    if not len(band.class_index):
        return []
    starts = np.concatenate(([0], np.flatnonzero(np.diff(band.class_index)) + 1))
    stops = np.append(band.seconds[starts[1:]], band.duration_seconds)
    runs = zip(band.seconds[starts].tolist(), stops.tolist(), band.class_index[starts].tolist(), strict=True)
    return [run for run in runs if run[2] != IGNORE_INDEX]


def _plain(text: str) -> str:
    """Keeps a dollar sign in a name from starting mathematics."""
    return text.replace("$", r"\$")

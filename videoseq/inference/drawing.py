"""How labels are drawn: a color for each class, and a row of bars for each class on a time axis.

The colors differ for color-blind readers too; more classes than colors differ by their hatches.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from videoseq.annotations.segments import Segment
from videoseq.annotations.types import ClassNames

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Paul Tol's "muted" scheme, told apart by color-blind readers.
COLORS = ("#332288", "#DDCC77", "#88CCEE", "#CC6677", "#117733", "#AA4499", "#44AA99", "#882255", "#999933")

_HATCHES = ("", "////", "....")
_BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_LONGEST = 28


def color_of(index: int) -> str:
    """A class's color; they repeat after nine, see :func:`hatch_of`."""
    return COLORS[index % len(COLORS)]


def ink_on(index: int) -> str:
    """The color of text that is readable on a class's color: black or white."""
    red, green, blue = (int(color_of(index)[at : at + 2], 16) for at in (1, 3, 5))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 120 else "white"


def hatch_of(index: int) -> str:
    """What tells classes of equal color apart, as matplotlib writes it; the first nine have none."""
    return _HATCHES[index // len(COLORS) % len(_HATCHES)]


def visible(text: str) -> str:
    """The text with control characters, and those that turn the order of what follows, as escapes to be seen."""
    return "".join(
        character.encode("unicode_escape", "surrogatepass").decode()
        if unicodedata.category(character) in ("Cc", "Cs") or unicodedata.bidirectional(character) in _BIDI_CONTROLS
        else character
        for character in text
    )


def plain(text: str) -> str:
    """A name for a picture: short, and a dollar sign in it starts no mathematics."""
    text = visible(text)
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return text.replace("$", r"\$")


def bar_style(index: int) -> dict[str, Any]:
    """How the bars of a class look, as matplotlib's arguments."""
    hatch = {"hatch": hatch_of(index), "edgecolor": "white"} if hatch_of(index) else {}
    return {"facecolor": color_of(index), "linewidth": 0.0, **hatch}


def set_class_rows(axes: Axes, classes: ClassNames, duration_seconds: float) -> None:
    """A row for each class, the first on top, over the time of a video."""
    axes.set_yticks(range(len(classes)), [plain(name) for name in classes], fontsize=8)
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.set_xlim(0, duration_seconds)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter("{x:g} s")


def draw_segments(axes: Axes, segments: Iterable[Segment], classes: ClassNames, duration_seconds: float) -> None:
    """The segments of a video as bars, each in the row of its class."""
    bars: dict[str, list[tuple[float, float]]] = {name: [] for name in classes}
    for one in segments:
        bars[one.label].append((one.start_seconds, one.stop_seconds - one.start_seconds))
    for index, name in enumerate(classes):
        axes.broken_barh(bars[name], (index - 0.42, 0.84), **bar_style(index))
    set_class_rows(axes, classes, duration_seconds)

"""Annotations as people wrote them down: labeled intervals of one video, and the names of the classes.

Intervals are half-open and belong to a video whose frame times decide which frames they cover. A frame that no
interval covers is *unlabeled*: it has the target ``IGNORE_INDEX`` and counts in no loss and no metric.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from videoseq.errors import AnnotationError, did_you_mean

IGNORE_INDEX = -100
"""The target of an unlabeled frame; PyTorch's losses and torchmetrics skip it."""

TOO_ALIKE = "differ by case, blanks or the encoding of accents alone; write them alike"
"""What is wrong with two classes that are most likely one."""


@dataclass(frozen=True)
class Interval:
    """A label from ``start`` up to but without ``stop``, in the unit of its :class:`Annotation`.

    Attributes:
        start: First instant or frame.
        stop: End, not included.
        label: The class.
        row: Line of the file it was read from, the header being line 1.

    Example:
        >>> videoseq.Interval(0.0, 1.5, "walk", row=2).label
        'walk'
    """

    start: float
    stop: float
    label: str
    row: int


@dataclass(frozen=True)
class Annotation:
    """The labels of one video, as an annotator wrote them.

    Attributes:
        path: The file.
        unit: What ``start`` and ``stop`` count: seconds of video, or frames from 0 in decode order.
        intervals: In order of their start.
        described: In a file with a row per frame, the runs of frames that have one, labeled or not; else None.

    Example:
        >>> videoseq.read_annotation("clips/clip0.csv").labels == {"dark", "bright"}
        True
    """

    path: Path
    unit: Literal["seconds", "frames"]
    intervals: tuple[Interval, ...]
    described: tuple[range, ...] | None = None

    def __post_init__(self) -> None:
        for interval in self.intervals:
            if not 0 <= interval.start < interval.stop:
                raise AnnotationError(
                    f"{self.path}: row {interval.row}: expected 0 <= start < stop, "
                    f"got {interval.start:.12g} and {interval.stop:.12g}"
                )
        object.__setattr__(self, "intervals", tuple(sorted(self.intervals, key=lambda i: (i.start, i.stop))))

    @property
    def labels(self) -> set[str]:
        """The classes that occur."""
        return {interval.label for interval in self.intervals}


class ClassNames(tuple[str, ...]):
    """The classes of a model in the order of its logits.

    Raises:
        AnnotationError: On construction, when there is none, or two differ by no more than case and blanks.

    Example:
        >>> model.classes.index("dark")
        1
    """

    __slots__ = ()

    def __new__(cls, names: Iterable[str]) -> ClassNames:
        """Checks the names."""
        classes = super().__new__(cls, names)
        if not classes:
            raise AnnotationError("classes: expected at least one, got none; is anything labeled?")
        seen: dict[str, str] = {}
        for name in classes:
            if not name.strip():
                raise AnnotationError("classes: expected a name, got a blank one")
            if any(unicodedata.category(character) == "Cc" for character in name):
                raise AnnotationError(f"classes: expected a name on one line, got {name!r}")
            twin = seen.get(folded(name))
            if twin == name:
                raise AnnotationError(f"classes: {name!r} is there twice")
            if twin is not None:
                raise AnnotationError(f"classes: {twin!r} and {name!r} {TOO_ALIKE}")
            seen[folded(name)] = name
        return classes

    def index_of(self, label: str, where: str) -> int:
        """The class index of a label.

        Raises:
            AnnotationError: It is none of the classes; ``where`` names the file and row.
        """
        try:
            return self.index(label)
        except ValueError:
            known = ", ".join(self)
            raise AnnotationError(
                f"{where}: unknown class {label!r}{did_you_mean(label, self)}; classes are {known}"
            ) from None


def folded(label: str) -> str:
    """A label without what people vary by mistake: case, blanks and the encoding of accents."""
    return "".join(unicodedata.normalize("NFKC", label).casefold().split())

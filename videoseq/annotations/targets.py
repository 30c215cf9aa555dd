"""Intervals of labels → one target per frame, on the video's own times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int64

from videoseq.annotations.types import IGNORE_INDEX, TOO_ALIKE, Annotation, ClassNames, Interval, folded
from videoseq.errors import AnnotationError, Notice

# Annotation tools round times to milliseconds; a frame half a millisecond outside is meant to be inside. The last
# digit leaves room for the rounding of the half itself.
_TIME_TOLERANCE_SECONDS = 0.000501


def find_classes(annotations: Sequence[Annotation], background: str | None = None) -> ClassNames:
    """All labels that occur, sorted, and the background class where there is one.

    Raises:
        AnnotationError: Two labels differ by case or blanks alone; the message names a file and row of each.
    """
    first_seen: dict[str, str] = {}
    for annotation in annotations:
        for interval in annotation.intervals:
            first_seen.setdefault(interval.label, f"{annotation.path} row {interval.row}")
    if background is not None:
        first_seen.setdefault(background, "the setting data.background")
    twins: dict[str, str] = {}
    for label in first_seen:
        other = twins.setdefault(folded(label), label)
        if other != label:
            raise AnnotationError(
                f"{first_seen[label]}: class {label!r} and {other!r} in {first_seen[other]} {TOO_ALIKE}"
            )
    return ClassNames(sorted(first_seen))


def make_targets(
    annotation: Annotation,
    seconds: Float[np.ndarray, " frames"],
    duration_seconds: float,
    classes: ClassNames,
    background: str | None = None,
) -> tuple[Int64[np.ndarray, " frames"], list[Notice]]:
    """One class index per frame of the annotated video.

    Args:
        annotation: What was written down.
        seconds: The time of every frame of the video.
        duration_seconds: The time of the end of its last frame.
        classes: The classes; a label outside them is an error.
        background: The class of frames that no interval covers; without it they stay unlabeled.

    Returns:
        The targets, ``IGNORE_INDEX`` where unlabeled, and what a user should know about the fit.

    Raises:
        AnnotationError: A class is unknown, two intervals of different classes overlap, or one starts after the end.
    """
    fill = IGNORE_INDEX if background is None else classes.index_of(background, "data.background")
    targets = np.full(len(seconds), fill, dtype=np.int64)
    notices = list(check_overlaps(annotation))
    for interval, where, covered in frames_covered(annotation, seconds, duration_seconds, notices):
        targets[covered] = classes.index_of(interval.label, where)
    return targets, notices


def frames_covered(
    annotation: Annotation, seconds: Float[np.ndarray, " frames"], duration_seconds: float, notices: list[Notice]
) -> Iterator[tuple[Interval, str, slice]]:
    """Each interval with its file and row, and the frames that it covers; misfits are added to ``notices``.

    Raises:
        AnnotationError: An interval starts after the video's end.
    """
    end, unit = (duration_seconds if annotation.unit == "seconds" else len(seconds)), annotation.unit
    for interval in annotation.intervals:
        where = f"{annotation.path}: row {interval.row}"
        if interval.start >= end:
            raise AnnotationError(
                f"{where}: {interval.label!r} starts at {interval.start:.12g} {unit}, "
                f"the video ends at {end:.12g}; is it another video's file?"
            )
        if interval.stop > end + (end_tolerance(seconds) if unit == "seconds" else 0):
            text = f"{where}: {interval.label!r} stops at {interval.stop:.12g} {unit}, the video ends at {end:.12g}"
            notices.append(Notice("labels_past_end", f"{text}; the rest is left out"))
        covered = frames_in(interval, unit, seconds)
        if covered.start == covered.stop:
            notices.append(
                Notice("interval_without_frames", f"{where}: {interval.label!r} is too short to cover a frame")
            )
        yield interval, where, covered


def frames_in(interval: Interval, unit: str, seconds: Float[np.ndarray, " frames"]) -> slice:
    """The frames that an interval covers; ``unit`` is that of its :class:`Annotation`."""
    if unit == "frames":
        return slice(int(interval.start), min(int(interval.stop), len(seconds)))
    bounds = np.array([interval.start, interval.stop]) - _TIME_TOLERANCE_SECONDS
    start, stop = np.searchsorted(seconds, bounds, side="left")
    return slice(int(start), int(stop))


def end_tolerance(seconds: Float[np.ndarray, " frames"]) -> float:
    """How many seconds after the video's end labels may stop and still fit it: the duration of one frame.

    Tools disagree about whether a video ends with its last frame's start or stop.
    """
    last_frame = float(seconds[-1] - seconds[-2]) if len(seconds) > 1 else 0.0
    return max(last_frame, _TIME_TOLERANCE_SECONDS)


def check_overlaps(annotation: Annotation) -> Iterator[Notice]:
    """Finds where intervals of one class overlap.

    Raises:
        AnnotationError: Two of different classes do.
    """
    reaching: Interval | None = None  # of the intervals so far, the one that stops last
    for interval in annotation.intervals:
        if reaching is not None and interval.start < reaching.stop - 1e-9:
            rows = f"{annotation.path}: rows {reaching.row} and {interval.row}"
            if interval.label != reaching.label:
                raise AnnotationError(
                    f"{rows}: {reaching.label!r} and {interval.label!r} overlap from {interval.start:.12g} to "
                    f"{min(interval.stop, reaching.stop):.12g} {annotation.unit}; a frame has one label, "
                    "or several with data.task=multilabel"
                )
            yield Notice("intervals_overlap", f"{rows}: two intervals of {interval.label!r} overlap; taken as one")
        if reaching is None or interval.stop > reaching.stop:
            reaching = interval

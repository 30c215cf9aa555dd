"""The demo's world: a corridor with a door, in which the same picture means different things.

Someone comes from the right, opens the door, goes in, and the door closes: from then on the room is *occupied*, and
looks exactly as when it was *empty*. On the way out every pose of the way in is met again, in reverse, so that a
single frame of *entering* and of *leaving* are the same too. Only what came before tells them apart.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from videoseq.errors import OutputError

CLASSES = ("empty", "entering", "leaving", "occupied")
STILL = ("empty", "occupied")
"""Nobody to be seen and the door closed: these two show the same picture."""

_WIDTH, _HEIGHT = 256, 192
_FRAME_RATES = (12, 15, 24, 25, 30)
_DOOR = (52, 46, 40, 104)  # left, top, width, height
_WALK_END = 0.62  # of the way in: from here on the door moves and the person stands in it
_VISITS_PER_CLIP = 2


class _Moment(NamedTuple):
    label: str
    way: float  # 0: not there yet, 1: inside with the door closed


def draw_dataset(folder: Path, num_train: int = 18, num_val: int = 5, num_test: int = 3, seed: int = 0) -> Path:
    """Draws clips with their annotations and a manifest; returns the manifest.

    Raises:
        OutputError: OpenCV could not write a clip.
    """
    folder.mkdir(parents=True, exist_ok=True)
    splits = ["train"] * num_train + ["val"] * num_val + ["test"] * num_test
    rows = []
    for number, split in enumerate(splits):
        name = f"{split}-{number:02d}"
        _draw_clip(folder / f"{name}.mp4", np.random.default_rng((seed, number)))
        rows.append([f"{name}.mp4", f"{name}.csv", split, f"visitors-{number:02d}"])
    manifest = folder / "manifest.csv"
    with manifest.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["video", "annotation", "split", "group"], *rows])
    return manifest


def _draw_clip(path: Path, random: np.random.Generator) -> None:
    fps = int(random.choice(_FRAME_RATES))
    moments = list(_script(random, fps))
    background = _background(random)
    shirt = tuple(int(value) for value in random.integers(40, 220, size=3))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (_WIDTH, _HEIGHT))
    for moment in moments:
        picture = background.copy()
        _draw(picture, moment.way, shirt)
        noise = random.normal(0.0, 5.0, picture.shape)
        writer.write(np.clip(picture + noise, 0, 255).astype(np.uint8))
    writer.release()
    if cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) != len(moments):
        raise OutputError(f"{path}: OpenCV could not write {len(moments)} frames; is the disk full?")
    _write_annotation(path.with_suffix(".csv"), [moment.label for moment in moments], fps)


def _script(random: np.random.Generator, fps: int) -> Iterator[_Moment]:
    """What happens, frame by frame: visits of random length with pauses between them."""

    def still(label: str, way: float) -> Iterator[_Moment]:
        for _ in range(round(random.uniform(1.0, 4.0) * fps)):
            yield _Moment(label, way)

    def walk(label: str, *, inwards: bool) -> Iterator[_Moment]:
        steps = np.linspace(0.0, 1.0, round(random.uniform(1.4, 3.0) * fps), endpoint=False)
        yield from (_Moment(label, float(way if inwards else 1.0 - way)) for way in steps)

    for _ in range(_VISITS_PER_CLIP):
        yield from still("empty", 0.0)
        yield from walk("entering", inwards=True)
        yield from still("occupied", 1.0)
        yield from walk("leaving", inwards=False)
    yield from still("empty", 0.0)


def _background(random: np.random.Generator) -> np.ndarray:
    """A wall with texture and a floor, of this clip's own colours."""
    picture = np.empty((_HEIGHT, _WIDTH, 3))
    picture[:] = random.integers(120, 190, size=3)
    picture += cv2.GaussianBlur(random.normal(0.0, 40.0, picture.shape), (0, 0), sigmaX=3.0)
    picture[int(0.78 * _HEIGHT) :] *= 0.6  # the floor
    return picture


def _draw(picture: np.ndarray, way: float, shirt: tuple[int, ...]) -> None:
    """Draws a person who has gone ``way`` of the way, and the door; the same picture in either direction."""
    left, top, width, height = _DOOR
    # The door opens in the first third of the second part of the way, and is closed again at its end.
    after_walk = (way - _WALK_END) / (1.0 - _WALK_END)
    openness = float(np.clip(min(after_walk * 3.0, (1.0 - after_walk) * 3.0), 0.0, 1.0))
    cv2.rectangle(picture, (left - 4, top - 4), (left + width + 4, top + height), (60, 50, 45), thickness=-1)
    cv2.rectangle(picture, (left, top), (left + width, top + height), (18, 18, 18), thickness=-1)
    if 0.0 < way < 1.0:
        _draw_person(picture, way, after_walk, shirt)
    leaf = round(width * (1.0 - 0.85 * openness))
    cv2.rectangle(picture, (left, top), (left + leaf, top + height), (70, 95, 130), thickness=-1)


def _draw_person(picture: np.ndarray, way: float, after_walk: float, shirt: tuple[int, ...]) -> None:
    """A figure seen from the front: it shows no direction."""
    left, top, width, height = _DOOR
    is_walking = after_walk < 0.0
    target = left + width + 34.0  # beside the door
    start = _WIDTH + 6.0
    x = start + (target - start) * way / _WALK_END if is_walking else target
    if not is_walking and after_walk > 1.0 / 3.0:  # through the open door, then behind its leaf
        x = target + (left + width / 2.0 - target) * min(1.0, (after_walk - 1.0 / 3.0) * 3.0)
        if after_walk > 2.0 / 3.0:
            return
    foot = top + height + 12
    cv2.ellipse(picture, (round(x), foot - 45), (15, 40), 0, 0, 360, shirt, thickness=-1)
    cv2.circle(picture, (round(x), foot - 96), 12, (150, 180, 220), thickness=-1)


def _write_annotation(path: Path, labels: list[str], fps: int) -> None:
    """Intervals in seconds, half-open."""
    starts = [0, *(i for i in range(1, len(labels)) if labels[i] != labels[i - 1])]
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["start_s", "stop_s", "label"])
        for start, stop in zip(starts, [*starts[1:], len(labels)], strict=True):
            rows.writerow([f"{start / fps:.3f}", f"{stop / fps:.3f}", labels[start]])

"""The clips of the demo: a corridor with a door, where the same image means different things.

A person comes from the right, opens the door and goes in, and the door closes. Now the room is *occupied* and looks
exactly as when it was *empty*. On the way out the person shows every pose of the way in again, in reverse, so single
frames of *entering* and *leaving* are the same too. Only what came before tells them apart.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np

from videoseq.errors import OutputError
from videoseq.evaluation.metrics import LabeledVideo
from videoseq.jobs.events import Listener, Progress
from videoseq.system.hardware import num_usable_cores

CLASSES = ("empty", "entering", "leaving", "occupied")
STILL = ("empty", "occupied")
"""The classes without a person in view and with a closed door: their images are the same."""

CLIPS_PER_SPLIT = MappingProxyType({"train": 18, "val": 5, "test": 3})

_WIDTH, _HEIGHT = 256, 192
_FRAME_RATES = (12, 15, 24, 25, 30)
_DOOR = (52, 46, 40, 104)  # left, top, width, height
_WALK_END = 0.62  # of the way in: from here on the person stands at the door, and the door moves
_VISITS_PER_CLIP = 2


class _Moment(NamedTuple):
    label: str
    way: float  # 0: not in view yet, 1: inside with the door closed


def draw_dataset(
    folder: Path, counts: Mapping[str, int] = CLIPS_PER_SPLIT, seed: int = 0, listener: Listener | None = None
) -> Path:
    """Draws clips with their annotations, on all cores, and writes a manifest; the same seed gives the same files.

    Args:
        folder: Where they go.
        counts: How many clips of each split.
        seed: Of everything that is random.
        listener: Hears how many clips are drawn.

    Returns:
        The manifest.

    Raises:
        OutputError: OpenCV could not write a clip.
    """
    folder.mkdir(parents=True, exist_ok=True)
    splits = [split for split, count in counts.items() for _ in range(count)]
    names = [f"{split}-{number:02d}" for number, split in enumerate(splits)]
    listener = listener or Listener()

    def draw(number: int) -> None:
        _draw_clip(folder / f"{names[number]}.mp4", np.random.default_rng((seed, number)))

    with ThreadPoolExecutor(num_usable_cores()) as threads:
        for num_done, _ in enumerate(threads.map(draw, range(len(names)))):
            listener.on_progress(Progress("drawing clips", num_done + 1, len(names)))
    manifest = folder / "manifest.csv"
    with manifest.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["video", "annotation", "split", "group"])
        for number, (name, split) in enumerate(zip(names, splits, strict=True)):
            rows.writerow([f"{name}.mp4", f"{name}.csv", split, f"visitors-{number:02d}"])
    return manifest


def accuracy_by_kind(videos: Sequence[LabeledVideo], classes: Sequence[str]) -> dict[str, float]:
    """The share of frames with the right label: of still frames, of moving frames, of all."""
    targets = np.concatenate([video.targets for video in videos])
    is_right = targets == np.concatenate([video.labels for video in videos])
    is_still = np.isin(targets, [classes.index(name) for name in STILL])
    return {
        "empty or occupied, the same image": float(is_right[is_still].mean()),
        "entering or leaving, the same poses": float(is_right[~is_still].mean()),
        "all frames": float(is_right.mean()),
    }


def _draw_clip(path: Path, random: np.random.Generator) -> None:
    fps = int(random.choice(_FRAME_RATES))
    moments = list(_script(random, fps))
    background = _background(random)
    shirt = tuple(int(value) for value in random.integers(40, 220, size=3))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (_WIDTH, _HEIGHT))
    for moment in moments:
        image = background.copy()
        _draw(image, moment.way, shirt)
        noise = random.normal(0.0, 5.0, image.shape)
        writer.write(np.clip(image + noise, 0, 255).astype(np.uint8))
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
    """A wall with texture and a floor, in colors of this clip only."""
    image = np.empty((_HEIGHT, _WIDTH, 3))
    image[:] = random.integers(120, 190, size=3)
    image += cv2.GaussianBlur(random.normal(0.0, 40.0, image.shape), (0, 0), sigmaX=3.0)
    image[int(0.78 * _HEIGHT) :] *= 0.6  # the floor
    return image


def _draw(image: np.ndarray, way: float, shirt: tuple[int, ...]) -> None:
    """Draws the door and a person at ``way`` of the way in; the same image in both directions."""
    left, top, width, height = _DOOR
    # After the walk, the door opens in the first third of the rest of the way and closes in the last.
    after_walk = (way - _WALK_END) / (1.0 - _WALK_END)
    openness = float(np.clip(min(after_walk * 3.0, (1.0 - after_walk) * 3.0), 0.0, 1.0))
    cv2.rectangle(image, (left - 4, top - 4), (left + width + 4, top + height), (60, 50, 45), thickness=-1)
    cv2.rectangle(image, (left, top), (left + width, top + height), (18, 18, 18), thickness=-1)
    if 0.0 < way < 1.0:
        _draw_person(image, way, after_walk, shirt)
    leaf = round(width * (1.0 - 0.85 * openness))
    cv2.rectangle(image, (left, top), (left + leaf, top + height), (70, 95, 130), thickness=-1)


def _draw_person(image: np.ndarray, way: float, after_walk: float, shirt: tuple[int, ...]) -> None:
    """A person seen from the front, which shows no direction."""
    left, top, width, height = _DOOR
    is_walking = after_walk < 0.0
    target = left + width + 34.0  # next to the door
    start = _WIDTH + 6.0
    x = start + (target - start) * way / _WALK_END if is_walking else target
    if not is_walking and after_walk > 1.0 / 3.0:  # through the open door, then behind its leaf
        x = target + (left + width / 2.0 - target) * min(1.0, (after_walk - 1.0 / 3.0) * 3.0)
        if after_walk > 2.0 / 3.0:
            return
    foot = top + height + 12
    cv2.ellipse(image, (round(x), foot - 45), (15, 40), 0, 0, 360, shirt, thickness=-1)
    cv2.circle(image, (round(x), foot - 96), 12, (150, 180, 220), thickness=-1)


def _write_annotation(path: Path, labels: list[str], fps: int) -> None:
    """Intervals in seconds, half-open."""
    starts = [0, *(i for i in range(1, len(labels)) if labels[i] != labels[i - 1])]
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["start_s", "stop_s", "label"])
        for start, stop in zip(starts, [*starts[1:], len(labels)], strict=True):
            rows.writerow([f"{start / fps:.3f}", f"{stop / fps:.3f}", labels[start]])

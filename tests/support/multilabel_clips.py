"""Clips in which two things overlap: a light that is on or off, and a square that is there or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.index_videos import write_video

FPS = 20
Spans = list[tuple[int, int]]
CLIPS: list[tuple[Spans, Spans]] = [  # of frames: the light, the square
    ([(10, 30)], [(20, 40)]),
    ([(0, 15)], [(5, 25), (35, 40)]),
    ([(20, 40)], [(0, 30)]),
    ([(5, 35)], [(15, 25)]),
    ([], [(10, 30)]),
    ([(0, 10), (30, 40)], [(5, 35)]),
]


def frames(light: Spans, square: Spans, seed: int, num_frames: int = 40) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    found = []
    for index in range(num_frames):
        image = random.normal(150 if _holds(light, index) else 50, 6.0, (72, 96, 3))
        if _holds(square, index):
            left = 10 + index
            image[20:50, left : left + 30] = (230, 30, 30)
        found.append(np.clip(image, 0, 255).astype(np.uint8))
    return found


def write_overlapping(folder: Path) -> Path:
    """The clips, annotated by intervals that overlap; the last one frame by frame."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (light, square) in enumerate(CLIPS):
        video = write_video(folder / f"clip{number}.mp4", frames(light, square, number), FPS)
        rows = ["start_s,stop_s,label"]
        rows += [
            f"{a / FPS},{b / FPS},{name}" for name, spans in (("lit", light), ("square", square)) for a, b in spans
        ]
        if number == len(CLIPS) - 1:
            rows = ["frame,label", *(f"{index},{label_at(number, index)}" for index in range(40))]
        video.with_suffix(".csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def label_at(number: int, index: int) -> str:
    light, square = CLIPS[number]
    return "|".join(name for name, spans in (("lit", light), ("square", square)) if _holds(spans, index))


def _holds(spans: Spans, index: int) -> bool:
    return any(start <= index < stop for start, stop in spans)

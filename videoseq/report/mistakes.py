"""The longest spans with a wrong label, and an image of each from its video."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from videoseq.annotations.segments import find_runs
from videoseq.annotations.types import IGNORE_INDEX
from videoseq.errors import VideoError
from videoseq.evaluation.metrics import LabeledVideo
from videoseq.jobs.events import Listener
from videoseq.video.access import open_videos
from videoseq.video.frames import FrameReader, Image
from videoseq.video.reader import VideoReader

NUM_SPANS = 12
"""How many are shown."""

NOT_THERE = -1
"""In multilabel, in the place of a class that is not there."""

MAX_FRAMES_READ = 20_000
"""Decoded for images, over all videos: frames are never sought, so a late one costs all before it."""

_IMAGE_WIDTH, _IMAGE_HEIGHT = 240, 120
_JPEG_QUALITY = 80


@dataclass(frozen=True)
class WrongSpan:
    """Frames in a row of one class that were all given one other; in multilabel, in which a class is missed or made up.

    Attributes:
        video: Which of the labeled videos.
        start_frame: Its first frame.
        stop_frame: The frame after its last.
        start_seconds: When it begins.
        stop_seconds: When it ends.
        target: The class's index, or :data:`NOT_THERE`.
        label: Index of the class that was given, or :data:`NOT_THERE`.
        confidence: Mean probability of that; None without probabilities.
    """

    video: int
    start_frame: int
    stop_frame: int
    start_seconds: float
    stop_seconds: float
    target: int
    label: int
    confidence: float | None

    @property
    def middle_frame(self) -> int:
        """The frame to look at."""
        return (self.start_frame + self.stop_frame) // 2


def wrong_spans(videos: Sequence[LabeledVideo], limit: int = NUM_SPANS) -> list[WrongSpan]:
    """The longest spans with a wrong label, the longest first."""
    spans = [
        span
        for row, video in enumerate(videos)
        for span in (_class_spans_of(row, video) if video.is_multilabel else _spans_of(row, video))
    ]
    spans.sort(key=lambda span: round(span.start_seconds - span.stop_seconds, 6))  # equal ones stay in order
    return spans[:limit]


def read_mistakes(videos: Sequence[LabeledVideo], listener: Listener) -> dict[WrongSpan, bytes]:
    """Images of the longest spans that were labeled wrongly, for a report; their videos are decoded in isolation."""
    listener.on_message("reading images of the longest mistakes", is_detail=True)
    with open_videos() as access:
        return read_images(wrong_spans(videos), videos, access.open)


def read_images(
    spans: Sequence[WrongSpan],
    videos: Sequence[LabeledVideo],
    open_video: Callable[[Path], FrameReader] = VideoReader,
    max_frames: int = MAX_FRAMES_READ,
) -> dict[WrongSpan, bytes]:
    """The middle frame of each span as a small JPEG; one whose video cannot be read, or that lies too late, has none.

    Args:
        spans: Of ``videos``.
        videos: With their paths.
        open_video: How a video is opened.
        max_frames: How many frames are decoded at most; the videos that need fewest come first.
    """
    wanted: dict[int, dict[int, list[WrongSpan]]] = {}
    for span in spans:
        wanted.setdefault(span.video, {}).setdefault(span.middle_frame, []).append(span)
    found: dict[WrongSpan, bytes] = {}
    for row, frames in sorted(wanted.items(), key=lambda one: max(one[1])):
        path, num_needed = videos[row].path, max(frames) + 1
        if path is None or num_needed > max_frames:
            continue
        max_frames -= num_needed
        try:
            with open_video(path) as reader:
                found.update(_images_of(reader, frames))
        except (VideoError, OSError):  # the report says what is wrong with a video elsewhere
            continue
    return found


def _spans_of(row: int, video: LabeledVideo) -> list[WrongSpan]:
    edges = np.append(video.seconds, video.duration_seconds)
    runs = find_runs(np.stack((video.targets, video.labels), axis=1))
    runs = runs.where((runs.value[:, 0] != runs.value[:, 1]) & (runs.value != IGNORE_INDEX).all(axis=1))
    return [
        WrongSpan(
            row,
            start,
            stop,
            float(edges[start]),
            float(edges[stop]),
            target,
            label,
            None if video.probabilities is None else float(video.probabilities[start:stop, label].mean()),
        )
        for (target, label), start, stop in zip(*(column.tolist() for column in runs), strict=True)
    ]


def _class_spans_of(row: int, video: LabeledVideo) -> Iterator[WrongSpan]:
    """Of each class, where it is missed and where it is made up."""
    for index in range(video.targets.shape[1]):
        probabilities = None if video.probabilities is None else video.probabilities[:, index]
        of_class = replace(
            video,
            targets=video.targets[:, index],
            labels=video.labels[:, index],
            probabilities=None if probabilities is None else np.stack((1 - probabilities, probabilities), axis=1),
        )
        for span in _spans_of(row, of_class):
            yield replace(span, target=index if span.target else NOT_THERE, label=index if span.label else NOT_THERE)


def _images_of(reader: FrameReader, wanted: Mapping[int, Sequence[WrongSpan]]) -> Iterator[tuple[WrongSpan, bytes]]:
    last = max(wanted)
    for frame in reader.sampled(None):
        spans = wanted.get(frame.stamp.index, ())
        if spans and frame.image is not None:
            jpeg = _as_jpeg(frame.image)
            yield from ((span, jpeg) for span in spans)
        if frame.stamp.index == last:
            return


def _as_jpeg(image: Image) -> bytes:
    height, width = image.shape[:2]
    scale = min(1.0, _IMAGE_WIDTH / width, _IMAGE_HEIGHT / height)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes()

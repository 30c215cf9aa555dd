"""Frames → features: decoding and the CNN overlap, and what was computed once is kept on disk.

A store entry is a folder named after the video's content, the backbone's identity and the sampling; it appears by one
rename, so that it is complete or absent.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor

from videoseq.errors import Notice
from videoseq.files import staged_binary_file, staged_file, staged_folder
from videoseq.frames import FrameReader, FrameStamp
from videoseq.runtimes import Runtime
from videoseq.safe_file import FileWatch
from videoseq.video import VideoReader, content_sha256

_BATCH_IMAGES = 4  # larger float32 batches fall out of a laptop CPU's cache
_MAX_FRAMES_PER_BATCH = 256  # bounds a batch in which few frames are sampled
_QUEUE_BATCHES = 3
_STORE_VERSION = 2

Progress = Callable[[int, float], None]
"""Called with the frames read so far and the fraction of the file's bytes read."""


@dataclass(frozen=True, eq=False)
class FeatureChunk:
    """Consecutive frames with the features of those among them that were sampled.

    Attributes:
        index: Frame indices.
        seconds: Frame times.
        flags: :class:`videoseq.timing.FrameFlag` of each frame, as numbers.
        steps: Steps of the network due at each frame; 0 where the frame was not sampled.
        features: One row for each frame with ``steps > 0``.
    """

    index: Int[np.ndarray, " frames"]
    seconds: Float[np.ndarray, " frames"]
    flags: Int[np.ndarray, " frames"]
    steps: Int[np.ndarray, " frames"]
    features: Float[Tensor, "sampled features"]

    def __post_init__(self) -> None:
        lengths = [len(part) for part in (self.index, self.seconds, self.flags, self.steps)]
        if len(set(lengths)) != 1:
            raise ValueError(f"expected equal lengths, got {', '.join(map(str, lengths))}")
        if np.count_nonzero(self.steps) != len(self.features):
            raise ValueError(f"expected {np.count_nonzero(self.steps)} feature rows, got {len(self.features)}")


def stream_features(
    reader: FrameReader, runtime: Runtime, sample_hz: float | None, on_progress: Progress | None = None
) -> Iterator[FeatureChunk]:
    """The features of a video, chunk by chunk; a thread decodes and resizes while this one runs the CNN.

    Raises:
        VideoError: The video cannot be read to its end.
    """
    batches = _image_batches(reader, sample_hz, runtime)
    for stamps, steps, images in _in_background(batches, depth=_QUEUE_BATCHES):
        yield FeatureChunk(
            index=np.array([stamp.index for stamp in stamps]),
            seconds=np.array([stamp.seconds for stamp in stamps]),
            flags=np.array([int(stamp.flags) for stamp in stamps]),
            steps=np.array(steps),
            features=_features_of(images, runtime),
        )
        if on_progress is not None:
            on_progress(stamps[-1].index + 1, reader.fraction_read)


_Batch = tuple[list[FrameStamp], list[int], list[Tensor]]


def _features_of(images: list[UInt8[Tensor, "3 height width"]], runtime: Runtime) -> Float[Tensor, "batch features"]:
    return runtime(torch.stack(images)) if images else torch.empty(0, runtime.identity.feature_size)


def _image_batches(reader: FrameReader, sample_hz: float | None, runtime: Runtime) -> Iterator[_Batch]:
    resize = runtime.identity.preprocessing.resize
    stamps: list[FrameStamp] = []
    steps: list[int] = []
    images: list[Tensor] = []
    for frame in reader.sampled(sample_hz):
        stamps.append(frame.stamp)
        steps.append(frame.steps)
        if frame.image is not None:
            images.append(resize(frame.image))
        if len(images) == _BATCH_IMAGES or len(stamps) == _MAX_FRAMES_PER_BATCH:
            yield stamps, steps, images
            stamps, steps, images = [], [], []
    if stamps:
        yield stamps, steps, images


_T = TypeVar("_T")


def _in_background(items: Iterator[_T], depth: int) -> Iterator[_T]:
    """The same items, made by one thread that stays at most ``depth`` ahead; its errors are raised here."""
    end = object()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="videoseq-decode") as thread:
        ahead = deque(thread.submit(next, items, end) for _ in range(depth))
        try:
            while (item := ahead.popleft().result()) is not end:
                ahead.append(thread.submit(next, items, end))
                yield cast(_T, item)
        finally:
            for future in ahead:
                future.cancel()  # leaving the executor waits for the item being made, then nobody reads any more


@dataclass(frozen=True, eq=False)
class ClipFeatures:
    """A whole video's features, memory-mapped.

    Attributes:
        video_sha256: Of the video file's bytes.
        seconds: Time of every native frame.
        flags: :class:`videoseq.timing.FrameFlag` of every native frame, as numbers.
        steps: Steps of the network due at every native frame.
        features: One row for each frame with ``steps > 0``; lies on disk until touched.
        duration_seconds: Time of the end of the last frame.
        notices: What reading the video brought to light.
    """

    video_sha256: str
    seconds: Float[np.ndarray, " frames"]
    flags: Int[np.ndarray, " frames"]
    steps: Int[np.ndarray, " frames"]
    features: Float32[np.ndarray, "sampled features"]
    duration_seconds: float
    notices: tuple[Notice, ...]

    def chunks(self, num_frames: int = 1024) -> Iterator[FeatureChunk]:
        """The same frames as :func:`stream_features` gives, in chunks of ``num_frames``."""
        row = 0
        for start in range(0, len(self.seconds), num_frames):
            frames = slice(start, min(start + num_frames, len(self.seconds)))
            steps = self.steps[frames]
            stop_row = row + int(np.count_nonzero(steps))
            features = torch.from_numpy(np.array(self.features[row:stop_row]))
            index = np.arange(frames.start, frames.stop)
            yield FeatureChunk(index, self.seconds[frames], self.flags[frames], steps, features)
            row = stop_row

    def export(self, target: Path) -> None:
        """Writes ``target.features.npy`` and, naming each row's frame and time, ``target.features.csv``.

        Raises:
            OutputError: They cannot be written.
        """
        sampled = np.flatnonzero(self.steps)
        with staged_file(target.with_name(f"{target.name}.features.csv")) as file:
            file.write("row,frame,time_s\n")
            file.writelines(f"{row},{frame},{self.seconds[frame]:.6f}\n" for row, frame in enumerate(sampled.tolist()))
        with staged_binary_file(target.with_name(f"{target.name}.features.npy")) as binary:
            np.save(binary, self.features)


class FeatureStore:
    """Features on disk, in one folder an entry below ``root``.

    Args:
        root: The folder.
        open_video: How a video is opened.
    """

    def __init__(self, root: Path, open_video: Callable[[Path], FrameReader] = VideoReader) -> None:
        self.root = root
        self._open_video = open_video

    def get(
        self, video: Path, runtime: Runtime, sample_hz: float | None, on_progress: Progress | None = None
    ) -> ClipFeatures:
        """The features of a video: from disk where they are, computed and kept where they are not.

        Raises:
            VideoError: The video cannot be read.
            OutputError: The store cannot be written.
        """
        watch = FileWatch(video)
        key = {
            "store_version": _STORE_VERSION,
            "video_sha256": content_sha256(video),
            "backbone": runtime.identity.model_dump(mode="json"),
            "sample_hz": sample_hz,
        }
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        entry = self.root / name[:2] / name
        try:
            return _read_entry(entry, video)
        except (OSError, EOFError, ValueError, KeyError, TypeError):  # not there yet, or damaged since
            with staged_folder(entry, replace=True) as staging, self._open_video(video) as reader:
                _compute_entry(staging, key, reader, runtime, on_progress)
                watch.check()
        return _read_entry(entry, video)


def _compute_entry(
    folder: Path, key: dict[str, Any], reader: FrameReader, runtime: Runtime, on_progress: Progress | None
) -> None:
    seconds, flags, steps = [], [], []
    with (folder / "features.npy").open("w+b") as file:
        rows = _GrowingArray(file, runtime.identity.feature_size)
        for chunk in stream_features(reader, runtime, key["sample_hz"], on_progress):
            rows.append(chunk.features.numpy())
            seconds.append(chunk.seconds)
            flags.append(chunk.flags)
            steps.append(chunk.steps)
        rows.finish()
        facts = reader.facts()
    np.save(folder / "seconds.npy", np.concatenate(seconds))
    np.save(folder / "flags.npy", np.concatenate(flags))
    np.save(folder / "steps.npy", np.concatenate(steps))
    notices = [notice.as_dict() for notice in facts.notices]
    described = {**key, "duration_seconds": facts.duration_seconds, "notices": notices}
    (folder / "entry.json").write_text(json.dumps(described, indent=1), encoding="utf-8")


class _GrowingArray:
    """A float32 .npy file whose number of rows is known only at its end.

    numpy reserves room in the header for the first axis to grow, so the header is written again in place.
    """

    def __init__(self, file: BinaryIO, width: int) -> None:
        self._file = file
        self._width = width
        self._num_rows = 0
        self._write_header()

    def append(self, rows: Float32[np.ndarray, "rows width"]) -> None:
        self._file.write(np.ascontiguousarray(rows, dtype="<f4").tobytes())
        self._num_rows += len(rows)

    def finish(self) -> None:
        self._file.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        shape = (self._num_rows, self._width)
        np.lib.format.write_array_header_1_0(self._file, {"descr": "<f4", "fortran_order": False, "shape": shape})


def _read_entry(entry: Path, video: Path) -> ClipFeatures:
    """What is kept; its notices name the video that was asked for, under whatever name it was read first."""
    described = json.loads((entry / "entry.json").read_text(encoding="utf-8"))
    return ClipFeatures(
        video_sha256=described["video_sha256"],
        seconds=np.load(entry / "seconds.npy", allow_pickle=False),
        flags=np.load(entry / "flags.npy", allow_pickle=False),
        steps=np.load(entry / "steps.npy", allow_pickle=False),
        features=np.load(entry / "features.npy", mmap_mode="r", allow_pickle=False),
        duration_seconds=described["duration_seconds"],
        notices=tuple(Notice(kept["code"], f"{video}: {kept['message']}") for kept in described["notices"]),
    )

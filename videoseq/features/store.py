"""Features on disk: what was computed once is kept, and read again without being loaded.

An entry is a folder named after the video's content, the backbone's identity and arithmetic, and the sampling; it
appears by one rename, so that it is complete or absent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from jaxtyping import Float, Float32, Int

from videoseq.errors import Notice, OutputError
from videoseq.features.extraction import FeatureChunk, stream_features
from videoseq.features.runtimes import Runtime
from videoseq.storage.disk_arrays import DiskArray, release_pages
from videoseq.storage.files import remove_leftovers, staged_binary_file, staged_file, staged_folder
from videoseq.video.frames import FrameReader, OnFrames
from videoseq.video.info import ReadReport
from videoseq.video.reader import VideoReader, content_sha256
from videoseq.video.safe_file import FileWatch

_STORE_VERSION = 4


@dataclass(frozen=True, eq=False)
class VideoFeatures:
    """The features of a video, memory-mapped.

    Attributes:
        video_sha256: Of the video file's bytes.
        seconds: Time of every native frame.
        flags: :class:`videoseq.video.timestamps.FrameFlag` of every native frame, as numbers.
        steps: Steps of the network due at every native frame.
        features: One row for each frame with ``steps > 0``; lies on disk until touched.
        duration_seconds: Time of the end of the last frame.
        notices: What was found when the video was read; they name the video as it was asked for.
        report: Everything that reading found; None if the features were not computed from a video.
    """

    video_sha256: str
    seconds: Float[np.ndarray, " frames"]
    flags: Int[np.ndarray, " frames"]
    steps: Int[np.ndarray, " frames"]
    features: Float32[np.ndarray, "sampled features"]
    duration_seconds: float
    notices: tuple[Notice, ...]
    report: ReadReport | None = None

    def chunks(self, num_frames: int = 1024) -> Iterator[FeatureChunk]:
        """The same frames as :func:`stream_features` gives, in chunks of ``num_frames``."""
        row = 0
        for start in range(0, len(self.seconds), num_frames):
            frames = slice(start, min(start + num_frames, len(self.seconds)))
            steps = self.steps[frames]
            stop_row = row + int(np.count_nonzero(steps))
            features = torch.from_numpy(np.array(self.features[row:stop_row]))
            release_pages(self.features)
            index = np.arange(frames.start, frames.stop)
            yield FeatureChunk(index, self.seconds[frames], self.flags[frames], steps, features)
            row = stop_row

    def export(self, target: Path) -> None:
        """Writes ``target.features.npy`` and, naming each row's frame and time, ``target.features.csv``.

        Raises:
            OutputError: They cannot be written.
        """
        sampled = np.flatnonzero(self.steps)
        vectors, frames = feature_paths(target)
        with staged_file(frames) as file:
            file.write("row,frame,time_s\n")
            file.writelines(f"{row},{frame},{self.seconds[frame]:.6f}\n" for row, frame in enumerate(sampled.tolist()))
        with staged_binary_file(vectors) as binary:
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

    def find(self, video: Path, runtime: Runtime, sample_hz: float | None) -> VideoFeatures | None:
        """The features of a video if they are on disk and can be read.

        Raises:
            VideoError: The video cannot be read.
        """
        return _find_entry(self._entry(_key(video, runtime, sample_hz)), video)

    def get(
        self, video: Path, runtime: Runtime, sample_hz: float | None, on_progress: OnFrames | None = None
    ) -> VideoFeatures:
        """The features of a video: from disk where they are, computed and kept where they are not.

        Raises:
            VideoError: The video cannot be read.
            OutputError: The store cannot be written.
        """
        watch, key = FileWatch(video), _key(video, runtime, sample_hz)
        entry = self._entry(key)
        found = _find_entry(entry, video)
        if found is not None:
            return found
        remove_leftovers(entry.parent)
        try:
            with staged_folder(entry, replace=entry.exists()) as staging, self._open_video(video) as reader:
                _compute_entry(staging, key, reader, runtime, on_progress)
                watch.check()
        except OutputError:
            found = _find_entry(entry, video)  # another process may have put the same there meanwhile
            if found is None:
                raise
        return found or _read_entry(entry, video)

    def _entry(self, key: dict[str, Any]) -> Path:
        name = _digest(key)
        return self.root / name[:2] / name


def features_sha256(runtime: Runtime, sample_hz: float | None) -> str:
    """What tells features from those of the same video by another CNN, in other arithmetic or at another rate."""
    return _digest(_kind(runtime, sample_hz))


def feature_paths(target: Path) -> tuple[Path, Path]:
    """Where a video's features are exported to: ``target`` plus ``.features.npy`` and ``.features.csv``."""
    return target.with_name(f"{target.name}.features.npy"), target.with_name(f"{target.name}.features.csv")


def _key(video: Path, runtime: Runtime, sample_hz: float | None) -> dict[str, Any]:
    return {"video_sha256": content_sha256(video), **_kind(runtime, sample_hz)}


def _kind(runtime: Runtime, sample_hz: float | None) -> dict[str, Any]:
    return {
        "store_version": _STORE_VERSION,
        "backbone": runtime.identity.model_dump(mode="json"),
        "precision": runtime.arithmetic,
        "sample_hz": sample_hz,
    }


def _digest(key: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def _compute_entry(
    folder: Path, key: dict[str, Any], reader: FrameReader, runtime: Runtime, on_progress: OnFrames | None
) -> None:
    seconds, flags, steps = [], [], []
    with (folder / "features.npy").open("w+b") as file:
        _write_header(file, (0, runtime.identity.vector_size))
        rows = DiskArray(file)
        for chunk in stream_features(reader, runtime, key["sample_hz"], on_progress):
            rows.append(chunk.features.numpy().astype("<f4", copy=False))
            seconds.append(chunk.seconds)
            flags.append(chunk.flags)
            steps.append(chunk.steps)
        _write_header(file, (len(rows), runtime.identity.vector_size))
        report = reader.report()
    np.save(folder / "seconds.npy", np.concatenate(seconds))
    np.save(folder / "flags.npy", np.concatenate(flags))
    np.save(folder / "steps.npy", np.concatenate(steps))
    described = {**key, "facts": report.as_dict()}
    (folder / "entry.json").write_text(json.dumps(described, indent=1), encoding="utf-8")


def _write_header(file: BinaryIO, shape: tuple[int, int]) -> None:
    """Starts a float32 .npy file; numpy leaves room in the header for the number of rows to grow."""
    file.seek(0)
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})


def _find_entry(entry: Path, video: Path) -> VideoFeatures | None:
    try:
        return _read_entry(entry, video)
    except (OSError, EOFError, ValueError, KeyError, TypeError):  # not there yet, or damaged since
        return None


def _read_entry(entry: Path, video: Path) -> VideoFeatures:
    """An entry of the store; its notices name the video that was asked for, not the one that was read first."""
    described = json.loads((entry / "entry.json").read_text(encoding="utf-8"))
    report = ReadReport.from_dict(described["facts"])
    return VideoFeatures(
        video_sha256=described["video_sha256"],
        seconds=np.load(entry / "seconds.npy", allow_pickle=False),
        flags=np.load(entry / "flags.npy", allow_pickle=False),
        steps=np.load(entry / "steps.npy", allow_pickle=False),
        features=np.load(entry / "features.npy", mmap_mode="r", allow_pickle=False),
        duration_seconds=report.duration_seconds,
        notices=tuple(Notice(notice.code, f"{video}: {notice.message}") for notice in report.notices),
        report=report,
    )

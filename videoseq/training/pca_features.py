"""Clips' features → their principal components, computed once and not in every epoch: training does not change them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from videoseq.data.dataset import Clip
from videoseq.models.head import RNNHead
from videoseq.storage.disk_arrays import DiskArray, no_room, release_pages

_MAX_ROWS_TO_LEARN_FROM = 2_000  # all at once in memory; the time that they take goes with their cube
_ROWS_AT_ONCE = 512


def fit_pca(network: RNNHead, clips: Sequence[Clip]) -> None:
    """Fits the network's PCA to rows from all over the clips, evenly spaced, a few at a time."""
    stride = _stride(clips)
    network.reduction.learn(torch.from_numpy(rows) for clip in clips for rows in _parts(clip, stride))


@contextmanager
def pca_clips(network: RNNHead, clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    """The clips with principal components as features, in mapped files that exist inside the block.

    Raises:
        OutputError: The folder for temporary files cannot be written, or has no room for them.
    """
    with tempfile.TemporaryDirectory(prefix="videoseq-components-") as folder:
        with no_room(folder, "the principal components of the clips"):
            reduced = [_reduce(network, clip, Path(folder) / str(number)) for number, clip in enumerate(clips)]
        yield reduced


def mean_deviation(clips: Sequence[Clip]) -> float:
    """The root of the mean variance of what the network sees, over rows from all over the clips."""
    count, total, squares = 0, 0.0, 0.0
    for clip in clips:
        for rows in _parts(clip, _stride(clips)):
            count += len(rows)
            total = total + rows.sum(axis=0, dtype=np.float64)
            squares = squares + np.square(rows, dtype=np.float64).sum(axis=0)
    variance = squares / max(count, 1) - np.square(total / max(count, 1))
    return float(np.sqrt(np.mean(np.maximum(variance, 0.0))))


def _reduce(network: RNNHead, clip: Clip, file: Path) -> Clip:
    with file.open("w+b") as opened, torch.inference_mode():
        components = DiskArray(opened)
        components.append(np.empty((0, network.reduction.num_components), np.float32))
        for rows in _parts(clip):
            components.append(network.reduce(torch.from_numpy(rows)[None])[0].numpy())
        return replace(clip, features=replace(clip.features, features=components.mapped()))


def _stride(clips: Sequence[Clip]) -> int:
    """From one used row to the next, so that there are enough rows and not many more."""
    num_rows = sum(len(clip.features.features) for clip in clips)
    return max(1, -(-num_rows // _MAX_ROWS_TO_LEARN_FROM))


def _parts(clip: Clip, stride: int = 1) -> Iterator[Float32[np.ndarray, "_rows features"]]:
    """Every stride-th row, a few at a time, so that no more of a mapped file is in memory."""
    stored = clip.features.features
    for start in range(0, len(stored), stride * _ROWS_AT_ONCE):
        rows = np.array(stored[start : start + stride * _ROWS_AT_ONCE : stride])
        release_pages(stored)
        yield rows

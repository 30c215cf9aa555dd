"""Frames → motion: what moves, where and how fast, as a few numbers that no network has to learn.

Features of a CNN describe the room, the person and the light as much as the behavior, and so do their differences.
Movement that is measured as movement means the same in another room. Two measures of it are taken from small gray
images: the silhouette of what differs from a running background (a Gaussian for each pixel, Wren et al. 1997), and
dense optical flow (DIS, Kroeger et al. 2016, arXiv:1603.03590). Both look at earlier frames only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor

MOTION_VERSION: Final = 1
"""Of what is measured; other numbers are another version, since models depend on them."""
MOTION_SIZE: Final = 20
"""Numbers a step: of the silhouette 8, and of the flow 4 in each of three horizontal bands."""

_SIDE = 112  # of the square gray image: finer ones cost more and label no better
_BANDS = ((0, 38), (37, 75), (74, 112))
_LEARNING_RATE = 0.01  # of the background: at ten steps a second it forgets in ten seconds
_FIRST_VARIANCE = 100.0
_MIN_DEVIATIONS = 3.0
_MIN_DIFFERENCE = 15.0  # gray levels
_MIN_PIXELS = 5
_QUANTILES = (0.05, 0.5, 0.95)
_SECONDS = (0.02, 1.0)  # between two steps: flow over longer gaps says nothing of speed
_OPENING = np.ones((3, 3), np.uint8)

Gray = UInt8[np.ndarray, "side side"]


class MotionTracker:
    """Measures motion in the images of one video, in order.

    The numbers of a step are, with lengths in image sides and speeds in image sides a second on a logarithmic scale:
    the root of the silhouette's share of the image; its 5th, 50th and 95th percentile from left to right, and from top
    to bottom; the logarithm of its height over its width; then for each band of the image, from the top down, mean and
    greatest speed, and the mean velocity to the right and downward.
    """

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._num_steps = 0
        self._seconds = 0.0
        self._gray: Gray = np.zeros((_SIDE, _SIDE), np.uint8)
        self._mean: Float32[np.ndarray, "side side"] = np.zeros((_SIDE, _SIDE), np.float32)
        self._variance: Float32[np.ndarray, "side side"] = np.zeros((_SIDE, _SIDE), np.float32)

    def step(self, image: UInt8[Tensor, "3 height width"], seconds: float) -> Float[Tensor, " motion"]:
        """The motion up to the next image of the video.

        Args:
            image: RGB, resized for the CNN.
            seconds: Its time.
        """
        gray = _to_gray(image)
        silhouette = self._silhouette(gray)
        speeds = self._speeds(gray, seconds) if self._num_steps else np.zeros(12, np.float32)
        self._gray, self._seconds = gray, seconds
        self._num_steps += 1
        return torch.from_numpy(np.concatenate((silhouette, speeds)))

    def _silhouette(self, gray: Gray) -> Float32[np.ndarray, " numbers"]:
        """Where the image differs from the background, which then learns from the image."""
        values = gray.astype(np.float32)
        if self._num_steps == 0:
            self._mean, self._variance = values, np.full_like(values, _FIRST_VARIANCE)
        difference = values - self._mean
        square = difference * difference
        differs = square > np.maximum(_MIN_DEVIATIONS**2 * self._variance, _MIN_DIFFERENCE**2)
        rate = np.float32(max(1.0 / (self._num_steps + 1), _LEARNING_RATE))
        self._mean = self._mean + rate * difference
        self._variance = self._variance + rate * (square - self._variance)
        opened = cv2.morphologyEx(differs.astype(np.uint8), cv2.MORPH_OPEN, _OPENING)
        return _describe_silhouette(opened > 0)

    def _speeds(self, gray: Gray, seconds: float) -> Float32[np.ndarray, " numbers"]:
        """Speeds and velocities of each band since the last image."""
        flow: Any = self._flow.calc(self._gray, gray, np.zeros((_SIDE, _SIDE, 2), np.float32))
        rightward, downward = cv2.split(flow)
        speed = np.sqrt(rightward * rightward + downward * downward)  # cv2.magnitude is not the same bytes every time
        numbers = []
        for top, bottom in _BANDS:
            of_band = (part[top:bottom] for part in (rightward, downward))
            numbers += [speed[top:bottom].mean(), speed[top:bottom].max(), *(part.mean() for part in of_band)]
        sides_per_second = _SIDE * min(max(seconds - self._seconds, _SECONDS[0]), _SECONDS[1])
        return _logarithmic(np.array(numbers, np.float32) / np.float32(sides_per_second))

    def state_dict(self) -> dict[str, Tensor]:
        """All that the next step depends on, as tensors to be saved."""
        return {
            "num_steps": torch.tensor(self._num_steps),
            "seconds": torch.tensor(self._seconds, dtype=torch.float64),
            "gray": torch.from_numpy(self._gray.copy()),
            "mean": torch.from_numpy(self._mean.copy()),
            "variance": torch.from_numpy(self._variance.copy()),
        }

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from where :meth:`state_dict` was taken."""
        self._num_steps, self._seconds = int(tensors["num_steps"]), float(tensors["seconds"])
        self._gray, self._mean, self._variance = (tensors[name].numpy().copy() for name in ("gray", "mean", "variance"))


def _to_gray(image: UInt8[Tensor, "3 height width"]) -> Gray:
    planes = [
        cv2.resize(np.ascontiguousarray(plane), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for plane in image.numpy()
    ]
    return np.asarray(cv2.cvtColor(cv2.merge(planes), cv2.COLOR_RGB2GRAY))


def _describe_silhouette(is_part: Bool[np.ndarray, "side side"]) -> Float32[np.ndarray, " numbers"]:
    columns, rows = is_part.sum(axis=0), is_part.sum(axis=1)
    num_pixels = int(columns.sum())
    if num_pixels < _MIN_PIXELS:  # nothing there: as if it were in the middle, without a size
        return np.array([0.0, *[0.5] * 6, 0.0], np.float32)
    left, middle, right = np.searchsorted(np.cumsum(columns) / num_pixels, _QUANTILES) / _SIDE
    top, center, bottom = np.searchsorted(np.cumsum(rows) / num_pixels, _QUANTILES) / _SIDE
    aspect = np.log((bottom - top + 0.02) / (right - left + 0.02))
    share = np.sqrt(num_pixels / is_part.size)
    return np.array([share, left, middle, right, top, center, bottom, aspect], np.float32)


def _logarithmic(values: Float32[np.ndarray, " numbers"]) -> Float32[np.ndarray, " numbers"]:
    """Small speeds as they are, large ones compressed; the sign stays."""
    compressed: np.ndarray = np.sign(values) * np.log1p(10 * np.abs(values))
    return compressed

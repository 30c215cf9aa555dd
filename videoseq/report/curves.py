"""Curves of a report: losses of the training, reliability of the probabilities, precision against recall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.evaluation.metrics import LabeledVideo
from videoseq.evaluation.metrics.calibration import ReliabilityBin
from videoseq.evaluation.metrics.ranking import precision_recall
from videoseq.inference.drawing import COLORS, color_of, plain

if TYPE_CHECKING:
    from videoseq.training.fit_job import EpochRecord

_DASHES = ("-", "--", ":", "-.")
_MAX_POINTS = 200  # of a curve; a page's width shows no more


def draw_learning_curves(history: Sequence[EpochRecord]) -> Figure:
    """The training and, if there is one, the validation loss of each epoch."""
    figure, axes = _figure()
    epochs = [record.epoch for record in history]
    axes.plot(epochs, [record.train_loss for record in history], color=COLORS[0], label="training")
    validated = [(record.epoch, record.val_loss) for record in history if record.val_loss is not None]
    if validated:
        axes.plot(*zip(*validated, strict=True), color=COLORS[3], linestyle="--", label="validation")
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def draw_reliability(bins: Sequence[ReliabilityBin], said: str = "confidence", seen: str = "accuracy") -> Figure:
    """Accuracy against confidence, and the share of frames of each confidence; calibrated labels are on the diagonal.

    Args:
        bins: The points.
        said: The name of the horizontal axis.
        seen: The name of the vertical axis.
    """
    figure, axes = _figure()
    known = [(one.confidence, one.accuracy) for one in bins if one.confidence is not None and one.accuracy is not None]
    total = max(1, sum(one.num_frames for one in bins))
    shares = [one.num_frames / total for one in bins]
    widths = [one.high - one.low for one in bins]
    axes.bar([one.low for one in bins], shares, widths, align="edge", color="#dddddd", label="share of the frames")
    axes.plot([0, 1], [0, 1], color="#777777", linestyle=":", label="perfect calibration")
    if known:
        axes.plot(*zip(*known, strict=True), "o-", color=COLORS[0], label=seen)
    _unit_square(axes, said, seen)
    axes.legend(frameon=False, fontsize="small", loc="upper left")
    return figure


def draw_precision_recall(videos: Sequence[LabeledVideo], classes: ClassNames) -> Figure | None:
    """Precision against recall of every class that occurs, over all thresholds; None without probabilities."""
    probabilities = [video.probabilities for video in videos if video.probabilities is not None]
    if len(probabilities) < len(videos):
        return None
    targets = np.concatenate([video.targets for video in videos])
    scores = np.concatenate(probabilities)
    figure, axes = _figure()
    for index, name in enumerate(classes):
        of_class, there = (targets[:, index], 1) if targets.ndim == 2 else (targets, index)
        is_positive = of_class[of_class != IGNORE_INDEX] == there
        if is_positive.any():
            curve = _thinned(np.stack(precision_recall(is_positive, scores[of_class != IGNORE_INDEX, index])))
            dashes = _DASHES[index % len(_DASHES)]
            axes.step(curve[1], curve[0], where="pre", color=color_of(index), linestyle=dashes, label=plain(name))
    _unit_square(axes, "recall", "precision")
    axes.legend(frameon=False, fontsize="small", loc="lower left")
    return figure


def _thinned(curve: Float[np.ndarray, "2 thresholds"]) -> Float[np.ndarray, "2 _points"]:
    """At most :data:`_MAX_POINTS` points, evenly over the recall."""
    wanted = np.linspace(0, 1, _MAX_POINTS)
    kept = np.unique(np.append(np.searchsorted(curve[1], wanted).clip(0, curve.shape[1] - 1), 0))
    return curve[:, kept]


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _unit_square(axes: Axes, across: str, up: str) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=across, ylabel=up)

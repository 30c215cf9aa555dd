"""Labeled videos → all numbers of one labeler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.evaluation.metrics.bouts import BoutMetrics, bout_metrics, join_bout_times
from videoseq.evaluation.metrics.calibration import reliability_curve
from videoseq.evaluation.metrics.comparison import Measurement, by_unit, estimated, resampled_units
from videoseq.evaluation.metrics.frames import FrameMetrics, f1_scores, frame_metrics
from videoseq.evaluation.metrics.headline import (
    HEADLINES,
    LabeledVideo,
    VideoParts,
    count_video,
    headline_numbers,
    video_statistics,
)
from videoseq.evaluation.metrics.multilabel import measure_multilabel
from videoseq.evaluation.metrics.ranking import average_precision
from videoseq.evaluation.metrics.ratios import known, known_mean
from videoseq.evaluation.metrics.results import Metrics, VideoMetrics
from videoseq.evaluation.metrics.segments import segment_f1, segment_metrics
from videoseq.evaluation.metrics.since_start import accuracy_since_start
from videoseq.evaluation.metrics.uncertainty import (
    measured,
    percentile_interval,
    resampling_weights,
)


def measure(
    videos: Sequence[LabeledVideo], classes: ClassNames, background: str | None = None, seed: int = 0
) -> Measurement:
    """Measures one labeler, of one class per frame or, where the videos are multilabel, of any number of classes.

    Args:
        videos: One or more.
        classes: What the indices mean.
        background: A class that has no segments, no bouts and no part in the mean average precision; in multilabel
            there is none.
        seed: Of the resamples; the same makes the intervals of two labelers comparable.
    """
    if videos[0].is_multilabel:
        return measure_multilabel(videos, classes, seed)
    hidden = None if background is None else classes.index_of(background, "background")
    parts = [count_video(video, len(classes), hidden) for video in videos]
    units = resampled_units([video.group for video in videos])
    statistics = {name: by_unit(values, units) for name, values in video_statistics(videos, parts, hidden).items()}
    num_units = len(next(iter(statistics.values())))
    everything = measured(statistics, np.ones((1, num_units)), headline_numbers)
    values = {name: known(number[0]) for name, number in everything.items()}
    weights = resampling_weights(num_units, seed)
    resampled = measured(statistics, weights, headline_numbers) if num_units > 1 else {}
    of_frames = _with_ranking(frame_metrics(statistics["confusion"].sum(axis=0), classes), videos)
    if num_units > 1:
        of_frames = _with_intervals(of_frames, np.tensordot(weights, statistics["confusion"], axes=1))
    values |= _mean_ranking(of_frames, background)
    foreground = {name: index for index, name in enumerate(classes) if index != hidden}
    metrics = Metrics(
        num_videos=len(videos),
        num_frames=of_frames.num_frames,
        labeled_seconds=sum(part.bouts.compared_seconds for part in parts),
        resampled=units.kind,
        num_resampled=num_units,
        headline={name: estimated(values.get(name), resampled.get(name)) for name in HEADLINES},
        per_class=of_frames.per_class,
        segments=segment_metrics(np.sum([part.segments for part in parts], axis=0), foreground),
        bouts=_bouts_by_class(parts, foreground),
        confusion=of_frames.confusion,
        reliability=reliability_curve(statistics["bins"].sum(axis=0)) if "bins" in statistics else None,
        since_start=accuracy_since_start(videos),
    )
    of_videos = tuple(_video_metrics(part, classes) for part in parts)
    return Measurement(metrics, of_videos, statistics, resampled, headline_numbers)


def _with_ranking(of_frames: FrameMetrics, videos: Sequence[LabeledVideo]) -> FrameMetrics:
    """The same with each class's average precision, if there are probabilities: exact, from all frames."""
    probabilities = [video.probabilities for video in videos if video.probabilities is not None]
    if len(probabilities) < len(videos):
        return of_frames
    targets = np.concatenate([video.targets for video in videos])
    is_labeled = targets != IGNORE_INDEX
    per_class = {}
    for index, (name, metrics) in enumerate(of_frames.per_class.items()):
        scores = np.concatenate([one[:, index] for one in probabilities])[is_labeled]
        is_positive = targets[is_labeled] == index
        update = {
            "average_precision": known(average_precision(is_positive, scores)),
            "calibrated_average_precision": known(average_precision(is_positive, scores, calibrated=True)),
        }
        per_class[name] = metrics.model_copy(update=update)
    return of_frames.model_copy(update={"per_class": per_class})


def _with_intervals(of_frames: FrameMetrics, resampled: Float[np.ndarray, "resamples classes classes"]) -> FrameMetrics:
    """The same with an interval of each class's F1, from the confusion matrix of each resample."""
    per_class = {}
    for (name, metrics), values in zip(of_frames.per_class.items(), f1_scores(resampled).T, strict=True):
        interval = percentile_interval(values) if metrics.f1 is not None else None
        update = {} if interval is None else {"f1_low": interval.low, "f1_high": interval.high}
        per_class[name] = metrics.model_copy(update=update)
    return of_frames.model_copy(update={"per_class": per_class})


def _mean_ranking(of_frames: FrameMetrics, background: str | None) -> dict[str, float | None]:
    foreground = [metrics for name, metrics in of_frames.per_class.items() if name != background]
    means = {}
    for name in ("average_precision", "calibrated_average_precision"):
        values = np.array([getattr(metrics, name) for metrics in foreground], np.float64)  # None becomes NaN
        means[f"mean_{name}"] = known(known_mean(values))
    return means


def _bouts_by_class(parts: Sequence[VideoParts], classes: Mapping[str, int]) -> dict[str, BoutMetrics]:
    times = join_bout_times([part.bouts for part in parts])
    return {name: bout_metrics(times, i) for name, i in classes.items()}


def _video_metrics(part: VideoParts, classes: ClassNames) -> VideoMetrics:
    of_frames, f1 = frame_metrics(part.confusion, classes), segment_f1(part.segments.sum(axis=1))
    return VideoMetrics(
        num_frames=of_frames.num_frames,
        accuracy=of_frames.accuracy,
        macro_f1=of_frames.macro_f1,
        edit=known(part.edit),
        f1_at_10=known(f1[0]),
        f1_at_25=known(f1[1]),
        f1_at_50=known(f1[2]),
    )

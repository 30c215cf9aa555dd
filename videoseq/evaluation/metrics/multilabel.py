"""Labels against targets where a frame has any number of classes: each class is judged as a question of its own.

For a class, a frame is there or not there, and *not there* is its background: it has no segments. What makes sense for
one label a frame only (the confusion of two classes, kappa, the edit score) is not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int, Int64, Num

from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.evaluation.metrics import frames, ranking
from videoseq.evaluation.metrics.bouts import BoutTimes, bout_metrics, bout_times, join_bout_times
from videoseq.evaluation.metrics.calibration import multilabel_calibration_counts, reliability_curve
from videoseq.evaluation.metrics.comparison import Measurement, by_unit, estimated, resampled_units
from videoseq.evaluation.metrics.frames import ClassMetrics
from videoseq.evaluation.metrics.headline import (
    HEADLINES,
    Headline,
    LabeledVideo,
    bout_sums,
    probability_numbers,
    segment_numbers,
)
from videoseq.evaluation.metrics.ratios import known, known_mean, ratio
from videoseq.evaluation.metrics.results import Metrics, VideoMetrics
from videoseq.evaluation.metrics.segments import segment_counts, segment_f1, segment_metrics, segment_video
from videoseq.evaluation.metrics.uncertainty import Statistics, measured, percentile_interval, resampling_weights

_NO, _YES = 0, 1  # of a class: not there, there

MULTILABEL_HEADLINES: Final[dict[str, Headline]] = {
    "macro_f1": HEADLINES["macro_f1"],
    "micro_f1": Headline("micro F1", "share"),
    "exact_match": Headline("exact match", "share"),
    **{
        name: HEADLINES[name]
        for name in (
            "mean_average_precision", "mean_calibrated_average_precision", "f1_at_10", "f1_at_25", "f1_at_50",
            "onset_error_seconds", "offset_error_seconds", "detected", "detection_delay_seconds",
            "false_alarms_per_hour", "expected_calibration_error", "negative_log_likelihood", "brier_score",
        )
    },
}  # fmt: skip
"""By their names in metrics.json, in the order in which they are shown; docs/metrics.md defines each."""


@dataclass(frozen=True, eq=False)
class _Counts:
    """What was counted in one video: of each class confusion, segments and bouts; frames, and those that are exact."""

    confusions: Int64[np.ndarray, "classes 2 2"]
    segments: Int[np.ndarray, "overlaps classes 3"]
    bouts: list[BoutTimes]
    exact: Int64[np.ndarray, " 2"]


def measure_multilabel(videos: Sequence[LabeledVideo], classes: ClassNames, seed: int = 0) -> Measurement:
    """Measures one labeler.

    Args:
        videos: One or more, whose targets and labels have a column for each class.
        classes: What the columns mean.
        seed: Of the resamples; the same makes the intervals of two labelers comparable.
    """
    counts = [_count(video) for video in videos]
    units = resampled_units([video.group for video in videos])
    statistics = {name: by_unit(values, units) for name, values in _statistics(videos, counts).items()}
    num_units = len(statistics["exact"])
    everything = measured(statistics, np.ones((1, num_units)), multilabel_numbers)
    values = {name: known(number[0]) for name, number in everything.items()}
    weights = resampling_weights(num_units, seed)
    resampled = measured(statistics, weights, multilabel_numbers) if num_units > 1 else {}
    drawn = np.tensordot(weights, statistics["confusions"], axes=1) if num_units > 1 else None
    per_class = _with_ranking(_per_class(statistics["confusions"].sum(axis=0), drawn, classes), videos)
    for name in ("average_precision", "calibrated_average_precision"):
        found = np.array([getattr(one, name) for one in per_class.values()], np.float64)  # None becomes NaN
        values[f"mean_{name}"] = known(known_mean(found))
    metrics = Metrics(
        num_videos=len(videos),
        num_frames=int(statistics["exact"][:, 0].sum()),
        labeled_seconds=sum(one.bouts[0].compared_seconds for one in counts),
        resampled=units.kind,
        num_resampled=num_units,
        headline={name: estimated(values.get(name), resampled.get(name)) for name in MULTILABEL_HEADLINES},
        per_class=per_class,
        segments=segment_metrics(
            np.sum([one.segments for one in counts], axis=0), {name: i for i, name in enumerate(classes)}
        ),
        bouts={
            name: bout_metrics(join_bout_times([one.bouts[index] for one in counts]), _YES)
            for index, name in enumerate(classes)
        },
        reliability=reliability_curve(statistics["bins"].sum(axis=0)) if "bins" in statistics else None,
    )
    of_videos = tuple(_video_metrics(one) for one in counts)
    return Measurement(metrics, of_videos, statistics, resampled, multilabel_numbers)


def multilabel_numbers(totals: Statistics) -> dict[str, Float[np.ndarray, " sets"]]:
    """The headline numbers of sums over videos; NaN where there is no denominator."""
    numbers = {
        "macro_f1": known_mean(class_f1(totals["confusions"])),
        "micro_f1": class_f1(totals["confusions"].sum(axis=1)),
        "exact_match": ratio(totals["exact"][:, 1], totals["exact"][:, 0]),
    }
    return numbers | segment_numbers(totals) | probability_numbers(totals)


def class_f1(confusions: Num[np.ndarray, "*sets 2 2"]) -> Float[np.ndarray, "*sets"]:
    """F1 of being there; NaN for a class that is there neither in targets nor in labels."""
    hits = 2 * confusions[..., _YES, _YES]
    return ratio(hits, hits + confusions[..., _NO, _YES] + confusions[..., _YES, _NO])


def class_confusions(video: LabeledVideo) -> Int64[np.ndarray, "classes 2 2"]:
    """For each class, how many frames are there or not there in the targets (rows) and in the labels (columns)."""
    columns = zip(video.targets.T, video.labels.T, strict=True)
    return np.stack([frames.confusion_matrix(target, label, 2) for target, label in columns])


def two_way(probabilities: Float[np.ndarray, " frames"]) -> Float[np.ndarray, "frames 2"]:
    """Those of a class not being there, and being there."""
    return np.stack((1 - probabilities, probabilities), axis=1)


def _count(video: LabeledVideo) -> _Counts:
    segments, bouts = [], []
    for target, label in zip(video.targets.T, video.labels.T, strict=True):
        segmented = segment_video(target, label, _NO)
        segments.append(segment_counts(segmented, 2)[:, _YES])
        bouts.append(bout_times(segmented, video.seconds, video.duration_seconds))
    is_compared = (video.targets != IGNORE_INDEX).all(axis=1)
    is_exact = (video.targets == video.labels).all(axis=1)
    exact = np.array([is_compared.sum(), (is_compared & is_exact).sum()], np.int64)
    return _Counts(class_confusions(video), np.stack(segments, axis=1), bouts, exact)


def _statistics(videos: Sequence[LabeledVideo], counts: Sequence[_Counts]) -> dict[str, Num[np.ndarray, "videos ..."]]:
    statistics: dict[str, np.ndarray] = {
        "confusions": np.stack([one.confusions for one in counts]),
        "exact": np.stack([one.exact for one in counts]),
        "segments": np.stack([one.segments.sum(axis=1) for one in counts]),
        "bouts": np.stack([_sums_of(one.bouts) for one in counts]),
    }
    probabilities = [video.probabilities for video in videos if video.probabilities is not None]
    if len(probabilities) == len(videos):
        targets = [video.targets for video in videos]
        found = [multilabel_calibration_counts(*one) for one in zip(targets, probabilities, strict=True)]
        statistics["bins"] = np.stack([one.bins for one in found])
        statistics["losses"] = np.stack([one.losses for one in found])
        statistics["ranking"] = np.concatenate(
            [
                ranking.ranking_counts([t[:, c] for t in targets], [two_way(p[:, c]) for p in probabilities], [_YES])
                for c in range(targets[0].shape[1])
            ],
            axis=1,
        )
    return statistics


def _sums_of(bouts: Sequence[BoutTimes]) -> Float[np.ndarray, " 9"]:
    """Over all classes; the video lasts as long for all of them as for one."""
    sums: np.ndarray = np.sum([bout_sums(times) for times in bouts], axis=0)
    sums[-1] = bouts[0].compared_seconds
    return sums


def _per_class(
    confusions: Int64[np.ndarray, "classes 2 2"],
    drawn: Float[np.ndarray, "resamples classes 2 2"] | None,
    classes: ClassNames,
) -> dict[str, ClassMetrics]:
    f1 = class_f1(confusions)
    per_class = {}
    for index, name in enumerate(classes):
        right, support, labeled = (
            confusions[index, _YES, _YES], confusions[index, _YES].sum(), confusions[index, :, _YES].sum(),
        )  # fmt: skip
        has_interval = drawn is not None and not np.isnan(f1[index])
        interval = percentile_interval(class_f1(drawn[:, index])) if drawn is not None and has_interval else None
        per_class[name] = ClassMetrics(
            precision=known(ratio(right, labeled)),
            recall=known(ratio(right, support)),
            f1=known(f1[index]),
            f1_low=interval.low if interval else None,
            f1_high=interval.high if interval else None,
            support=int(support),
            num_labeled=int(labeled),
        )
    return per_class


def _with_ranking(per_class: Mapping[str, ClassMetrics], videos: Sequence[LabeledVideo]) -> dict[str, ClassMetrics]:
    """The same with each class's average precision, if there are probabilities: exact, from all frames."""
    probabilities = [video.probabilities for video in videos if video.probabilities is not None]
    if len(probabilities) < len(videos):
        return dict(per_class)
    targets, scores = np.concatenate([video.targets for video in videos]), np.concatenate(probabilities)
    found = {}
    for index, (name, metrics) in enumerate(per_class.items()):
        is_labeled = targets[:, index] != IGNORE_INDEX
        is_there: Bool[np.ndarray, " frames"] = targets[is_labeled, index] == _YES
        score = scores[is_labeled, index]
        update = {
            "average_precision": known(ranking.average_precision(is_there, score)),
            "calibrated_average_precision": known(ranking.average_precision(is_there, score, calibrated=True)),
        }
        found[name] = metrics.model_copy(update=update)
    return found


def _video_metrics(counts: _Counts) -> VideoMetrics:
    f1 = segment_f1(counts.segments.sum(axis=1))
    return VideoMetrics(
        num_frames=int(counts.exact[0]),
        exact_match=known(ratio(counts.exact[1], counts.exact[0])),
        macro_f1=known(known_mean(class_f1(counts.confusions))),
        micro_f1=known(class_f1(counts.confusions.sum(axis=0))),
        f1_at_10=known(f1[0]),
        f1_at_25=known(f1[1]),
        f1_at_50=known(f1[2]),
    )

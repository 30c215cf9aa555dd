"""One labeler's numbers with their intervals, and the difference between two labelers with its p-value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from videoseq.evaluation.metrics.results import Difference, Estimate, Metrics, VideoMetrics
from videoseq.evaluation.metrics.uncertainty import Measure, Statistics, exchange_p_values, percentile_interval


@dataclass(frozen=True, eq=False)
class Measurement:
    """Metrics and what they came from.

    Attributes:
        metrics: Of all videos.
        videos: Of each video by itself.
        statistics: What is drawn for intervals, see :mod:`videoseq.evaluation.metrics.uncertainty`.
        resampled: The headline numbers of each resample.
        numbers: Computes the headline numbers from sums of the statistics.
    """

    metrics: Metrics
    videos: tuple[VideoMetrics, ...]
    statistics: Statistics
    resampled: Mapping[str, Float[np.ndarray, " resamples"]]
    numbers: Measure


class Units(NamedTuple):
    """What is drawn for intervals: groups where the videos have two or more, else videos.

    Attributes:
        kind: Which of the two.
        of_videos: The unit of each video.
    """

    kind: Literal["videos", "groups"]
    of_videos: Sequence[str] | range


def resampled_units(groups: Sequence[str]) -> Units:
    """What is drawn, from the group of each video."""
    return Units("groups", groups) if 1 < len(set(groups)) < len(groups) else Units("videos", range(len(groups)))


def by_unit(values: np.ndarray, units: Units) -> np.ndarray:
    """What videos add up to in each unit, in the order in which units first occur."""
    row_of = {unit: row for row, unit in enumerate(dict.fromkeys(units.of_videos))}
    summed = np.zeros((len(row_of), *values.shape[1:]), values.dtype)
    np.add.at(summed, [row_of[unit] for unit in units.of_videos], values)
    return summed


def estimated(value: float | None, resampled: Float[np.ndarray, " resamples"] | None) -> Estimate:
    """A number with its interval, if it has one."""
    interval = percentile_interval(resampled) if value is not None and resampled is not None else None
    return Estimate(value=value) if interval is None else Estimate(value=value, low=interval.low, high=interval.high)


def compare(one: Measurement, other: Measurement) -> dict[str, Difference]:
    """Each headline number of one labeler minus the other's, both measured on the same videos with the same seed.

    The interval is of a paired bootstrap: both are computed on the same resamples. The p-value is of exchanging the two
    in each video; average precision ranks the frames of all videos together, which cannot be exchanged, and has none.
    """
    shared = one.statistics.keys() & other.statistics.keys() - {"ranking"}
    p_values = exchange_p_values(
        {name: one.statistics[name] for name in shared}, {name: other.statistics[name] for name in shared}, one.numbers
    )
    found = {}
    for name in one.metrics.headline:
        first, second = one.metrics.headline[name].value, other.metrics.headline[name].value
        if first is not None and second is not None:
            drawn = one.resampled[name] - other.resampled[name] if name in one.resampled else None
            p_value = p_values.get(name) if drawn is not None else None
            found[name] = Difference(**estimated(first - second, drawn).model_dump(), p_value=p_value)
    return found

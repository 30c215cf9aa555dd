"""How certain a number is: intervals and tests over videos, from sums that each video adds to.

Frames of one video are similar, so videos are resampled, never frames. Everything here works on *statistics*: arrays by
name whose first axis is what is resampled (videos, or groups of them) and which add up over it, such as confusion
matrices. A measure turns sums of them into numbers, for many sets of videos at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num

Statistics = Mapping[str, Num[np.ndarray, "_units ..."]]
Measure = Callable[[Statistics], dict[str, Float[np.ndarray, " sets"]]]

NUM_RESAMPLES = 1_000
NUM_PERMUTATIONS = 10_000
CONFIDENCE = 0.95

_MAX_ENUMERATED = 12  # units whose 2 ** 12 exchanges are all looked at
_BLOCK_SETS = 50  # computed at once, which bounds the memory


class Interval(NamedTuple):
    """The middle 95 % of what resampling gives."""

    low: float
    high: float


def sums(statistics: Statistics, weights: Num[np.ndarray, "sets units"]) -> Statistics:
    """The statistics summed over units, each counted as often as ``weights`` says."""
    return {name: np.tensordot(weights.astype(values.dtype), values, axes=1) for name, values in statistics.items()}


def measured(
    statistics: Statistics, weights: Num[np.ndarray, "sets units"], measure: Measure
) -> dict[str, Float[np.ndarray, " sets"]]:
    """The numbers of ``measure`` for each set of units."""
    blocks = [
        measure(sums(statistics, weights[start : start + _BLOCK_SETS])) for start in range(0, len(weights), _BLOCK_SETS)
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def resampling_weights(
    num_units: int, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> Float[np.ndarray, "resamples units"]:
    """How often each unit is drawn in resamples of as many units as there are, with replacement."""
    return np.random.default_rng(seed).multinomial(num_units, np.full(num_units, 1 / num_units), num_resamples) * 1.0


def percentile_interval(resampled: Float[np.ndarray, " resamples"]) -> Interval | None:
    """The percentile interval (Efron & Tibshirani 1993, chapter 13) of a number's values in resamples.

    Resamples in which the number has no denominator are left out; None if those are all.
    """
    values = resampled[~np.isnan(resampled)]
    if not len(values):
        return None
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))


def exchange_p_values(
    one: Statistics, other: Statistics, measure: Measure, seed: int = 0, num_permutations: int = NUM_PERMUTATIONS
) -> dict[str, float | None]:
    """Two-sided p-values of the differences between two labelers on the same videos.

    If they were equally good, it would not matter which of them had labeled a video. So the two are exchanged at random
    in each video, and p is how often the difference is at least as large as the one observed (Good 2005; Dror et al.
    2018): over all exchanges for up to 12 units, else over ``num_permutations`` and the one observed.

    Args:
        one: Statistics of a labeler, which must mean the same in both (thresholds that differ do not).
        other: Of the other, in the same units.
        measure: The numbers that are tested.
        seed: Of the exchanges.
        num_permutations: How many are drawn.

    Returns:
        p for each number; None where either labeler has none.
    """
    num_units = len(next(iter(one.values())))
    is_enumerated = num_units <= _MAX_ENUMERATED
    if is_enumerated:
        exchanged = (np.arange(2**num_units)[:, None] >> np.arange(num_units) & 1).astype(np.float64)
    else:
        exchanged = np.random.default_rng(seed).integers(0, 2, (num_permutations, num_units)).astype(np.float64)
        exchanged = np.concatenate((np.zeros((1, num_units)), exchanged))
    both = {name: np.concatenate((one[name], other[name])) for name in one}
    first = measured(both, np.concatenate((1 - exchanged, exchanged), axis=1), measure)
    second = measured(both, np.concatenate((exchanged, 1 - exchanged), axis=1), measure)
    return {name: _two_sided(first[name] - second[name]) for name in first}


def _two_sided(differences: Float[np.ndarray, " exchanges"]) -> float | None:
    """The share of differences that are at least as large as the first, the observed one."""
    if np.isnan(differences[0]):
        return None
    sizes = np.abs(differences[~np.isnan(differences)])
    return float(np.mean(sizes >= sizes[0] - 1e-12))

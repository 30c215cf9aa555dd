"""Division by 0 is unknown: NaN within arrays, None in results, never 0."""

from __future__ import annotations

from typing import SupportsFloat

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike


def ratio(part: ArrayLike, whole: ArrayLike) -> Float[np.ndarray, "*shape"]:
    """``part / whole``, element by element, NaN where ``whole`` is 0."""
    parts, wholes = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    quotients = np.full(parts.shape, np.nan)
    np.divide(parts, wholes, out=quotients, where=wholes != 0)
    return quotients


def known_mean(values: Float[np.ndarray, "*shape last"]) -> Float[np.ndarray, "*shape"]:
    """The mean along the last axis of the values that are not NaN; NaN where none is left."""
    return ratio(np.nansum(values, axis=-1), np.sum(~np.isnan(values), axis=-1))


def known(value: SupportsFloat) -> float | None:
    """A number for a result: None for NaN."""
    number = float(value)
    return None if np.isnan(number) else number

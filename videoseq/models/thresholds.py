"""From which probability on a multilabel head says that a class is there; heads of one class a frame have none.

They are a buffer of the head, as its temperature is: fitted after the weights, and saved with them.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from videoseq.errors import ModelError
from videoseq.models.ensemble import Head

DEFAULT_THRESHOLD = 0.5
"""Until thresholds are tuned on clips that were not learnt from."""

_NAME = "thresholds"


def add_thresholds(head: Head) -> None:
    """Makes a head one of several classes a frame."""
    head.register_buffer(_NAME, torch.full((head.num_classes,), DEFAULT_THRESHOLD))


def thresholds_of(head: Head) -> Float[Tensor, " classes"] | None:
    """A head's thresholds, to be read or set in place; None for a head of one class a frame."""
    return dict(head.named_buffers(recurse=False)).get(_NAME)


def copy_thresholds(source: Head, target: Head) -> None:
    """Gives a head the thresholds of another of the same classes, if it has any."""
    found, given = thresholds_of(target), thresholds_of(source)
    if found is not None and given is not None:
        found.copy_(given)


def check_thresholds(head: Head) -> None:
    """Looks at thresholds that were read from a file.

    Raises:
        ModelError: One is not between 0 and 1.
    """
    thresholds = thresholds_of(head)
    if thresholds is not None and not ((thresholds > 0) & (thresholds < 1)).all():
        got = ", ".join(f"{value:g}" for value in thresholds.tolist())
        raise ModelError(f"expected thresholds between 0 and 1, got {got}")

"""Training clips → what their groups look like (:mod:`videoseq.models.known_groups`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from videoseq.data.dataset import Clip
from videoseq.features.motion import MOTION_SIZE
from videoseq.models.known_groups import KnownGroups, group_distances
from videoseq.storage.disk_arrays import release_pages

_ROWS_OF_A_CLIP = 200
_LEAST_DEVIATION = 0.25  # of the mean one: features that hardly change in the training would make all videos look new
_LEAST_REACH = 2 / 3  # deviations: groups may be alike, and a new video may yet show one behavior only


def learn_known_groups(clips: Sequence[Clip]) -> KnownGroups | None:
    """What the groups of clips look like; None where there are fewer than two, which show nothing about new ones."""
    names = sorted({clip.entry.group for clip in clips if len(clip.features.features)})
    if len(names) < 2:
        return None
    known = [clip for clip in clips if len(clip.features.features)]
    rows = [_rows(clip) for clip in known]
    of_clips = torch.stack([part.mean(dim=0) for part in rows])
    variance = torch.stack([part.var(dim=0, correction=0) for part in rows]).mean(dim=0)
    least = _LEAST_DEVIATION**2 * float(variance.mean())
    deviation = variance.clamp_min(least).sqrt().clamp_min(torch.finfo(torch.float32).tiny)
    place = torch.tensor([names.index(clip.entry.group) for clip in known])
    means = torch.stack([of_clips[place == number].mean(dim=0) for number in range(len(names))])
    nearest = [
        float(group_distances(mean, means, deviation)[torch.arange(len(names)) != own].min())
        for mean, own in zip(of_clips, place.tolist(), strict=True)
    ]
    return KnownGroups(tuple(names), means.float(), deviation.float(), max(_LEAST_REACH, *nearest))


def _rows(clip: Clip) -> Float[Tensor, "rows features"]:
    """The CNN's features at some steps, evenly spaced."""
    stored = clip.features.features
    rows = np.array(stored[:: max(1, -(-len(stored) // _ROWS_OF_A_CLIP)), :-MOTION_SIZE], dtype=np.float64)
    release_pages(stored)
    return torch.from_numpy(rows)

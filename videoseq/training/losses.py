"""What a chunk of labeled steps costs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.config.schema import TrainingSettings

Total = Callable[[Tensor], Tensor]
"""Sums a number over the processes that each have some rows of a batch."""
_MAX_JUMP = 4.0  # of log-probabilities from step to step, beyond which it costs no more (Farha & Gall 2019: τ = 4)


def chunk_loss(
    logits: Float[Tensor, "streams batch steps classes"],
    targets: Int64[Tensor, "batch steps"],
    class_weights: Float[Tensor, " classes"],
    settings: TrainingSettings,
    total: Total = lambda number: number,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The weighted loss of a chunk's labeled steps, and the sum of their weights, by which it is to be divided.

    Cross-entropy, with smoothed targets (Szegedy et al. 2016, section 7) and less of it for what is right already (the
    focal loss of Lin et al. 2017, equation 4) if the settings say so; then the truncated mean squared jump of
    log-probabilities between neighboring steps (Farha & Gall 2019, equation 4).

    Args:
        logits: Of every stream; each has a loss of its own, and their mean is taken.
        targets: Class indices, ``IGNORE_INDEX`` where nothing is to be learned.
        class_weights: What a step of each class counts.
        settings: Which of these, and how much.
        total: If other processes have other rows of the batch, what sums over all of them: then the losses of all
            add up to that of the whole chunk, and the weight is the whole chunk's.
    """
    flat, repeated = logits.flatten(0, 2), targets.flatten().repeat(len(logits))
    losses = nn.functional.cross_entropy(
        flat, repeated, class_weights, ignore_index=IGNORE_INDEX, reduction="none",
        label_smoothing=settings.label_smoothing,
    )  # fmt: skip
    if settings.focal_gamma > 0:
        likelihood = nn.functional.cross_entropy(flat, repeated, ignore_index=IGNORE_INDEX, reduction="none")
        is_wrong = (1 - torch.exp(-likelihood)).clamp_min(
            torch.finfo(likelihood.dtype).eps
        )  # 0 has no slope below γ = 1
        losses = losses * is_wrong.pow(settings.focal_gamma)
    is_labeled = targets != IGNORE_INDEX
    weight = total(class_weights[targets[is_labeled]].sum())
    loss = losses.sum() / len(logits)
    if settings.temporal_smoothing > 0:
        jumps = _jumps(logits.log_softmax(dim=-1), is_labeled[:, 1:] & is_labeled[:, :-1], total)
        loss = loss + settings.temporal_smoothing * weight * jumps
    return loss, weight


def multilabel_chunk_loss(
    logits: Float[Tensor, "streams batch steps classes"],
    targets: Int64[Tensor, "batch steps classes"],
    class_weights: Float[Tensor, "classes 2"],
    settings: TrainingSettings,
    total: Total = lambda number: number,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The same where each class is a question of its own, there or not there: binary cross-entropy.

    A logit is that of *there*, next to 0 for *not there*; their softmax is the logit's sigmoid. What the settings do to
    the cross-entropy of classes they do to that of these two answers. The mean is over steps and classes.

    Args:
        logits: Of every stream; each has a loss of its own, and their mean is taken.
        targets: 1 where a class is there, 0 where it is not, ``IGNORE_INDEX`` where nothing is to be learned.
        class_weights: What *not there* and *there* count, for each class.
        settings: As for :func:`chunk_loss`.
        total: As there.
    """
    logs = torch.stack((nn.functional.logsigmoid(-logits), nn.functional.logsigmoid(logits)), dim=-1)
    is_labeled = targets != IGNORE_INDEX
    answers = nn.functional.one_hot(targets.clamp_min(0), 2).to(logs.dtype) * is_labeled[..., None]
    spread = answers * (1 - settings.label_smoothing) + settings.label_smoothing / 2
    losses = -(spread * class_weights * logs).sum(dim=-1) * is_labeled
    if settings.focal_gamma > 0:
        is_wrong = (1 - (answers * logs.exp()).sum(dim=-1)).clamp_min(torch.finfo(logs.dtype).eps)
        losses = losses * is_wrong.pow(settings.focal_gamma)
    weight = total((answers * class_weights).sum())
    loss = losses.sum() / len(logits)
    if settings.temporal_smoothing > 0:
        is_step = is_labeled.all(dim=2)
        jumps = _jumps(logs.flatten(3), is_step[:, 1:] & is_step[:, :-1], total)
        loss = loss + settings.temporal_smoothing * weight * jumps
    return loss, weight


def sqrt_inverse_weights(target_counts: Int64[np.ndarray, " classes"]) -> Float[np.ndarray, " classes"]:
    """Loss weights 1 / sqrt(frequency), scaled so that their mean over the frames is 1; absent classes get 0."""
    counts = target_counts.astype(np.float64)
    weights = np.where(counts > 0, 1.0 / np.sqrt(np.maximum(counts, 1.0)), 0.0)
    scale: float = counts.sum() / np.sum(weights * counts)
    return weights * scale


def _jumps(logs: Tensor, are_labeled: Tensor, total: Total) -> Tensor:
    """The mean over neighboring steps that are both labeled, and over answers; 0 where there are none."""
    jumps = (logs[:, :, 1:] - logs[:, :, :-1].detach()).square().clamp(max=_MAX_JUMP**2).mean(dim=(0, 3))
    return (jumps * are_labeled).sum() / total(are_labeled.sum()).clamp_min(1)

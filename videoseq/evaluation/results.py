"""What an evaluation found: the model's numbers next to those of its baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from videoseq.evaluation.metrics import Difference, LabeledVideo, Metrics, VideoMetrics

MODEL, PREVIOUS, NO_CONTEXT = "model", "previous model", "no context"
MAJORITY, MAJORITY_SET = "majority class", "most frequent set"
"""The names of the labelers in every result: the model, a previous model if there is one, the model without context,
and the constant baseline, which gives every frame what most training frames have: a class, or in multilabel a set of
classes, which may be empty."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model's numbers and those of its baselines, on the same videos.

    Attributes:
        metrics: By labeler: :data:`MODEL`, :data:`PREVIOUS`, :data:`NO_CONTEXT`, and :data:`MAJORITY` or, in
            multilabel, :data:`MAJORITY_SET`.
        clips: The model's labels.
        videos: The numbers of each labeler on each of the clips.
        differences: The model's headline numbers minus those of the baseline without context.
        background: The class that has no segments, if there is one; never in multilabel.
        thresholds: By class, the probability from which on a frame has the class; None in multiclass.
        minus_previous: The model's headline numbers minus those of the previous model; empty without one.
        groups: By labeler, the macro F1 of each group by itself
            (:func:`videoseq.evaluation.groups.macro_f1_by_group`).
    """

    metrics: Mapping[str, Metrics]
    clips: tuple[LabeledVideo, ...]
    videos: Mapping[str, tuple[VideoMetrics, ...]]
    differences: Mapping[str, Difference]
    background: str | None = None
    thresholds: Mapping[str, float] | None = None
    minus_previous: Mapping[str, Difference] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def is_multilabel(self) -> bool:
        """Whether a frame may have several classes, or none."""
        return self.thresholds is not None

    @property
    def constant_baseline_name(self) -> str:
        """The name of the labeler that gives every frame the same label."""
        return MAJORITY_SET if self.is_multilabel else MAJORITY

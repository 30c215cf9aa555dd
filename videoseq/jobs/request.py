"""What is to be done with many videos: labels or features, of which videos, into which folder, and how."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoseq.video.access import ISOLATES, describe_access

if TYPE_CHECKING:
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.config.schema import BackboneSettings
    from videoseq.jobs.plan import Jobs
    from videoseq.jobs.result import Result
    from videoseq.jobs.shards import Shard
    from videoseq.video.isolation import Limits


class OnCorrupt(str, enum.Enum):
    """What to do with a damaged video: label the rest, skip it, or stop."""

    SALVAGE = "salvage"
    SKIP = "skip"
    FAIL = "fail"


@dataclass(frozen=True)
class LabelSettings:
    """What the labels depend on, besides the video and the model.

    Attributes:
        accepts_damage: Whether a video with missing frames is labeled.
        precision: What the CNN computes in. ``auto`` takes what is fastest on this machine, and accepts labels from a
            machine that took something else.
        reuse_threshold: As in :func:`videoseq.features.extraction.stream_features`.
    """

    accepts_damage: bool = True
    precision: str = "auto"
    reuse_threshold: float = 0.0

    def would_give(self, result: Result) -> bool:
        """Whether these settings would lead to a recorded result."""
        states = ("complete", "degraded") if self.accepts_damage else ("complete",)
        is_precision = self.precision in ("auto", result.precision)
        return result.state in states and is_precision and result.reuse_threshold == self.reuse_threshold

    def output_paths(self, stem: Path) -> Sequence[Path]:
        """The files of labels."""
        from videoseq.inference.paths import label_paths

        return label_paths(stem)


@dataclass(frozen=True)
class FeatureSettings:
    """The same for features, of which the model's SHA-256 says everything."""

    def would_give(self, result: Result) -> bool:
        """Whether a result is not a failure."""
        return result.state != "failed"

    def output_paths(self, stem: Path) -> Sequence[Path]:
        """The files of exported features."""
        from videoseq.features.store import feature_paths

        return feature_paths(stem)


@dataclass(frozen=True)
class LabelRequest:
    """What to label, with which model, into which folder, and how.

    Attributes:
        jobs: The videos; of a shard, those that belong to it.
        inputs: How the user named them.
        model_path: The model folder.
        out: The output folder.
        choice: What runs the CNN.
        limits: What decoding one file may cost.
        isolate: Whether videos are decoded in a process of their own.
        on_corrupt: What to do with a damaged video.
        overwrite: Whether videos that are labeled already are labeled again.
        reuse_threshold: As in :class:`LabelSettings`.
        shard: The share of the work that this is; other shards can use the same folder.
        retry_failed: Whether to try again what failed before, although nothing has changed.
        max_errors: How many videos may fail in this run before it stops; None for any number.
    """

    jobs: Jobs
    inputs: Sequence[str]
    model_path: Path
    out: Path
    choice: RuntimeChoice
    limits: Limits
    isolate: bool = ISOLATES
    on_corrupt: OnCorrupt = OnCorrupt.SALVAGE
    overwrite: bool = False
    reuse_threshold: float = 0.0
    shard: Shard | None = None
    retry_failed: bool = False
    max_errors: int | None = None

    @property
    def settings(self) -> LabelSettings:
        """What the labels depend on."""
        return LabelSettings(self.on_corrupt is OnCorrupt.SALVAGE, self.choice.precision, self.reuse_threshold)

    @property
    def decoder_options(self) -> Mapping[str, Any]:
        """How videos are read, for ``run.json``."""
        return {**describe_access(self.limits, isolate=self.isolate), "on_corrupt": self.on_corrupt.value}

    @property
    def error_limit(self) -> int | None:
        """How many videos may fail before the run stops; None for any number."""
        return 0 if self.on_corrupt is OnCorrupt.FAIL else self.max_errors


@dataclass(frozen=True)
class FeatureRequest:
    """Which videos' features to compute, by which CNN, into which folder.

    Attributes:
        jobs: The videos; of a shard, those that belong to it.
        inputs: How the user named them.
        backbone: The CNN's settings.
        sample_hz: Feature vectors per second; None for every frame.
        out: The output folder.
        cache: The folder in which features are kept between runs.
        choice: What runs the CNN.
        limits: What decoding one file may cost.
        isolate: Whether videos are decoded in a process of their own.
        shard: The share of the work that this is.
    """

    jobs: Jobs
    inputs: Sequence[str]
    backbone: BackboneSettings
    sample_hz: float | None
    out: Path
    cache: Path
    choice: RuntimeChoice
    limits: Limits
    isolate: bool = ISOLATES
    shard: Shard | None = None

    @property
    def decoder_options(self) -> Mapping[str, Any]:
        """How videos are read, for ``run.json``."""
        return describe_access(self.limits, isolate=self.isolate)

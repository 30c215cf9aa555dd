"""How one video ended: a line of ``results.jsonl``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from videoseq.storage.files import file_sha256

State = Literal["complete", "degraded", "failed"]
STATES = get_args(State)
PASSING_CODES = frozenset({"io_error", "timeout", "changed_while_reading", "decoder_crashed", "worker_died"})
"""Failures that the machine may have caused, and that may not happen the next time."""
_OF_LABELS = frozenset({"unlike_training"})


@dataclass(frozen=True)
class Result:
    """How one input ended.

    Attributes:
        path: The video as it was named.
        state: ``complete``; ``degraded``, if frames are missing but the rest was used; or ``failed``.
        code: A stable word for programs: of the error, or of the first thing noticed about the file; empty if there is
            none.
        message: The same for people.
        num_frames: Frames of the video; of labels, rows written.
        duration_seconds: Where the last frame ends.
        time_source: Where frame times come from: ``container``, ``container_repaired`` or ``frame_rate``.
        start_offset_seconds: The container's own time of frame 0, where it is known.
        rotation_degrees: How far the images were turned to stand upright.
        coverage: The share of the video's time that could be read and is not in a span.
        spans: Where frames are missing or unreliable.
        notices: Everything that was noticed while the video was read and labeled.
        training_distance: How far the video is from what the model learned from; above 1 farther than its groups are
            from each other. None if that is not known.
        nearest_training_group: The group that it is nearest to.
        video_sha256: Of the video's bytes. Empty for a video that failed and may end differently next time: its bytes
            could not be read, or its code is one of :data:`PASSING_CODES`.
        model_sha256: Of the model's description; for features, of what computed them.
        runtime: What ran the CNN.
        precision: What the CNN computed in.
        reuse_threshold: How little an image had to differ for the CNN to be skipped.
        outputs: The SHA-256 of every file written, by its path below the output folder.
        conditions_sha256: Of a failed video, the value of :func:`videoseq.jobs.journal.conditions_digest`.

    Example:
        >>> [result] = videoseq.label("recordings", model=model, out="labels")
        >>> result.state, sorted(result.outputs)
        ('complete', ['clip.mp4.frames.csv', 'clip.mp4.segments.csv'])
    """

    path: str
    state: State
    code: str = ""
    message: str = ""
    num_frames: int = 0
    duration_seconds: float = 0.0
    time_source: str = ""
    start_offset_seconds: float | None = None
    rotation_degrees: int = 0
    coverage: float = 0.0
    spans: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, str]] = field(default_factory=list)
    training_distance: float | None = None
    nearest_training_group: str = ""
    video_sha256: str = ""
    model_sha256: str = ""
    runtime: str = ""
    precision: str = ""
    reuse_threshold: float = 0.0
    outputs: dict[str, str] = field(default_factory=dict)
    conditions_sha256: str = ""

    @property
    def told(self) -> list[str]:
        """What people are told: the first thing about the file, and everything about its labels."""
        of_file = [f"{self.code}: {self.message}"] if self.code else []
        of_labels = [f"{one['code']}: {one['message']}" for one in self.notices if one["code"] in _OF_LABELS]
        return [*of_file, *of_labels]


def output_digests(paths: Iterable[Path], out: Path) -> dict[str, str]:
    """The SHA-256 of output files, by their paths below the output folder.

    Raises:
        OSError: One of them does not exist or cannot be read.
    """
    return {path.relative_to(out).as_posix(): file_sha256(path) for path in paths}

"""How far two annotators of the same videos agree, which is what a model can be expected to reach.

Neither is the truth. Where a metric needs one, one person's annotations are its targets and the other's its labels;
accuracy, macro F1, kappa, edit score and F1@k are the same if the two are exchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from videoseq.annotations.targets import find_classes, make_targets
from videoseq.annotations.types import IGNORE_INDEX, Annotation, ClassNames
from videoseq.errors import AnnotationError, Notice, did_you_mean
from videoseq.evaluation.metrics import METRICS_SCHEMA_VERSION, LabeledVideo, Metrics, VideoMetrics, measure
from videoseq.evaluation.metrics.segments import segment_video

ANNOTATOR = "other annotator"
"""The name of the labeler in ``metrics.json``."""


@dataclass(frozen=True, eq=False)
class AnnotatedTwice:
    """A video that two people annotated.

    Attributes:
        name: The video's.
        seconds: The time of every frame.
        duration_seconds: The time of the end of the last frame.
        targets: The annotation of one person.
        labels: The annotation of the other.
        group: What is resampled for intervals; by default each video is its own group.
    """

    name: str
    seconds: Float[np.ndarray, " frames"]
    duration_seconds: float
    targets: Annotation
    labels: Annotation
    group: str = ""


@dataclass(frozen=True)
class Annotator:
    """What one of the two annotated in the videos of both, whether or not the other did too.

    Attributes:
        num_frames: Labeled frames, by class.
        num_bouts: Bouts, by class; without the background.
        num_only_frames: Frames that the other left unlabeled; they count in no metric.
    """

    num_frames: Mapping[str, int]
    num_bouts: Mapping[str, int]
    num_only_frames: int


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far two annotators agree; ``metrics.headline`` has Cohen's kappa.

    Attributes:
        metrics: Over the frames that both labeled.
        classes: All that either used.
        compared: The videos with such a frame.
        videos: The numbers of each of these.
        targets: The annotator whose annotations count as targets.
        labels: The annotator whose annotations count as labels.
        background: The class that has no segments, if there is one.
        notices: What the two should look at.
    """

    metrics: Metrics
    classes: ClassNames
    compared: tuple[LabeledVideo, ...]
    videos: tuple[VideoMetrics, ...]
    targets: Annotator
    labels: Annotator
    background: str | None
    notices: tuple[Notice, ...]

    def as_dict(self) -> dict[str, Any]:
        """The agreement as ``metrics.json`` has it (docs/metrics.md)."""
        return {
            "schema_version": METRICS_SCHEMA_VERSION,
            "background": self.background,
            "labelers": {ANNOTATOR: self.metrics.model_dump()},
            "videos": [
                {"video": clip.name, "group": clip.group, "labelers": {ANNOTATOR: video.model_dump()}}
                for clip, video in zip(self.compared, self.videos, strict=True)
            ],
            "notices": [notice.as_dict() for notice in self.notices],
        }


def annotator_agreement(
    videos: Sequence[AnnotatedTwice],
    background: str | None = None,
    names: tuple[str, str] = ("the first annotator", "the second annotator"),
) -> Agreement:
    """Compares two annotators frame by frame, segment by segment and in time.

    Args:
        videos: One or more.
        background: The class of frames that no interval covers, which has no segments; without it they are unlabeled.
        names: What messages call the one of ``targets`` and the one of ``labels``.

    Raises:
        AnnotationError: An annotation does not fit its video, two classes differ by case and blanks alone, or there
            is no frame that both labeled.
    """
    classes = find_classes([one for video in videos for one in (video.targets, video.labels)], background)
    labeled, notices = _label(videos, classes, background)
    compared = [video for video in labeled if _is_common(video).any()]
    annotators = _annotators(labeled, classes, background)
    if not compared:
        counts = (f"{sum(one.num_frames.values())} by {name}" for one, name in zip(annotators, names, strict=True))
        raise AnnotationError(f"expected frames that both annotators labeled, got none, but {' and '.join(counts)}")
    measurement = measure(compared, classes, background)
    notices += _class_notices(videos, background, names)
    return Agreement(
        measurement.metrics, classes, tuple(compared), measurement.videos, *annotators, background, tuple(notices)
    )


def _label(
    videos: Sequence[AnnotatedTwice], classes: ClassNames, background: str | None
) -> tuple[list[LabeledVideo], list[Notice]]:
    """Both annotations of every video frame by frame, and what does not fit."""
    labeled, notices = [], []
    for video in videos:
        sides = []
        for annotation in (video.targets, video.labels):
            side, found = make_targets(annotation, video.seconds, video.duration_seconds, classes, background)
            sides.append(side)
            notices += found
        one = LabeledVideo(video.name, video.group or video.name, video.seconds, video.duration_seconds, *sides)
        labeled.append(one)
        if not _is_common(one).any():
            text = f"{video.labels.path} and {video.targets.path} have no labeled frame in common"
            notices.append(Notice("no_common_frames", text))
    return labeled, notices


def _is_common(video: LabeledVideo) -> np.ndarray:
    both: np.ndarray = (video.targets != IGNORE_INDEX) & (video.labels != IGNORE_INDEX)
    return both


def _annotators(
    videos: Sequence[LabeledVideo], classes: ClassNames, background: str | None
) -> tuple[Annotator, Annotator]:
    one, other = [video.targets for video in videos], [video.labels for video in videos]
    return _annotator(one, other, classes, background), _annotator(other, one, classes, background)


def _annotator(
    sides: Sequence[Int64[np.ndarray, " _"]],
    others: Sequence[Int64[np.ndarray, " _"]],
    classes: ClassNames,
    background: str | None,
) -> Annotator:
    num_frames, num_bouts, num_only = (np.zeros(len(classes), np.int64) for _ in range(3))
    for side, other in zip(sides, others, strict=True):
        is_labeled = side != IGNORE_INDEX
        num_frames += np.bincount(side[is_labeled], minlength=len(classes))
        num_only += np.bincount(side[is_labeled & (other == IGNORE_INDEX)], minlength=len(classes))
        num_bouts += np.bincount(segment_video(side, side).targets.value, minlength=len(classes))
    bouts = dict(zip(classes, num_bouts.tolist(), strict=True))
    return Annotator(
        num_frames=dict(zip(classes, num_frames.tolist(), strict=True)),
        num_bouts={name: number for name, number in bouts.items() if name != background},
        num_only_frames=int(num_only.sum()),
    )


def _class_notices(videos: Sequence[AnnotatedTwice], background: str | None, names: tuple[str, str]) -> list[Notice]:
    """Classes that only one annotator used: a misspelled name, or another idea of what to label."""
    one, other = (
        set().union(*(annotation.labels for annotation in side))
        for side in ([video.targets for video in videos], [video.labels for video in videos])
    )
    notices = []
    for mine, theirs, name in ((one, other, names[0]), (other, one, names[1])):
        for label in sorted(mine - theirs - {background}):
            text = f"only {name} has the class {label!r}{did_you_mean(label, theirs)}"
            notices.append(Notice("class_of_one_annotator", text))
    if background is not None and background not in one | other and (hint := did_you_mean(background, one | other)):
        text = f"no frame is labeled {background!r}{hint}"
        notices.append(Notice("background_not_annotated", text))
    return notices

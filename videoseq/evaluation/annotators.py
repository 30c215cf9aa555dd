"""Two people's annotations of the same videos, from files to a comparison: matched, read and compared."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from videoseq.annotations.formats import read_annotation
from videoseq.annotations.targets import find_classes
from videoseq.annotations.types import Annotation
from videoseq.errors import Notice
from videoseq.evaluation.annotator_matching import Matched, Pair, match_annotators
from videoseq.evaluation.inter_annotator import Agreement, AnnotatedTwice, annotator_agreement
from videoseq.jobs.events import Listener
from videoseq.jobs.plan import Job
from videoseq.jobs.progress import each_file
from videoseq.video.access import open_videos
from videoseq.video.check import read_times

_MAX_LISTED = 10


@dataclass(frozen=True, eq=False, repr=False)
class AnnotatorComparison:
    """How far two annotators agree.

    Attributes:
        agreement: On the videos that both annotated.
        matched: Which videos these are, and which videos only one annotated.
        sources: Where the annotations are that count as targets, and where those that count as labels.
        measured_on: The split, or ``all``.
        notices: What the two should look at.

    Example:
        >>> found = videoseq.compare_annotators("clips", "clips-of-another-person")
        >>> found.metrics["labelers"]["other annotator"]["headline"]["kappa"]["value"]
        1.0
    """

    agreement: Agreement
    matched: Matched
    sources: tuple[Path, Path]
    measured_on: str
    notices: tuple[Notice, ...]

    def __repr__(self) -> str:
        kappa = self.agreement.metrics.headline["kappa"].value
        value = "unknown" if kappa is None else f"{kappa:.3f}"
        return f"AnnotatorComparison({len(self.matched.pairs)} videos, kappa {value})"

    @property
    def metrics(self) -> dict[str, Any]:
        """What ``metrics.json`` holds; docs/metrics.md says what each field means."""
        annotators = (self.agreement.targets, self.agreement.labels)
        only = (self.matched.only_targets, self.matched.only_labels)
        described = self.agreement.as_dict()
        return {
            "schema_version": described.pop("schema_version"),
            "measured_on": self.measured_on,
            "annotators": {
                role: {"source": str(source), **asdict(annotator), "only": [str(path) for path in left]}
                for role, source, annotator, left in zip(
                    ("targets", "labels"), self.sources, annotators, only, strict=True
                )
            },
            **described,
            "notices": [notice.as_dict() for notice in self.notices],
        }


def compare_annotators(
    labels: str | os.PathLike[str],
    targets: str | os.PathLike[str],
    *,
    split: str = "",
    background: str | None = None,
    listener: Listener | None = None,
) -> AnnotatorComparison:
    """Compares two people's annotations of the same videos.

    Args:
        labels: One person's clips, manifest or annotations (:func:`match_annotators`).
        targets: The other's, which count as the truth where a metric needs one.
        split: Only clips of this split, as ``targets`` has it; all by default.
        background: The class of frames that no interval covers, which has no segments; without it they are unlabeled.
        listener: Hears the progress of reading videos, and every notice.

    Raises:
        AnnotationError: A side cannot be read, an annotation does not fit its video, or there is no frame that both
            labeled.
        VideoError: A video cannot be read.

    Example:
        >>> videoseq.compare_annotators("clips", "clips-of-another-person")
        AnnotatorComparison(6 videos, kappa 1.000)
    """
    listener = listener or Listener()
    labels, targets = Path(labels), Path(targets)
    matched = match_annotators(targets, labels, split)
    both = [(read_annotation(pair.entry.annotation), read_annotation(pair.labels)) for pair in matched.pairs]
    find_classes([one for pair in both for one in pair], background)  # an error comes before the videos are read
    names = _names(targets, labels)
    videos, notices = _read_videos(matched.pairs, both, listener)
    agreement = annotator_agreement(videos, background, names)
    notices = [*_match_notices(matched, names), *notices, *agreement.notices]
    for notice in notices:
        listener.on_notice(notice)
    return AnnotatorComparison(agreement, matched, (targets, labels), split or "all", tuple(notices))


def _read_videos(
    pairs: Sequence[Pair], both: Sequence[tuple[Annotation, Annotation]], listener: Listener
) -> tuple[list[AnnotatedTwice], list[Notice]]:
    """The frame times of every video, for which it is decoded, and what the reader noticed."""
    videos, notices = [], []
    jobs = [Job(pair.entry.video, pair.entry.video) for pair in pairs]
    with open_videos() as access:
        progress = each_file(jobs, len(jobs), "reading", listener)
        for (job, show), pair, (targets, labels) in zip(progress, pairs, both, strict=True):
            seconds: list[float] = []
            with access.open(job.video) as reader:
                report = read_times(reader, seconds, show)
            notices += [Notice(notice.code, f"{job.video}: {notice.message}") for notice in report.notices]
            times, duration = np.array(seconds), report.duration_seconds
            videos.append(AnnotatedTwice(job.video.name, times, duration, targets, labels, pair.entry.group))
            listener.on_message(f"{job.video}: {len(seconds)} frames", is_detail=True)
    return videos, notices


def _names(targets: Path, labels: Path) -> tuple[str, str]:
    """What to call the two: the last part of their paths, or all of it where that is the same."""
    if targets.name and labels.name and targets.name != labels.name:
        return targets.name, labels.name
    return str(targets), str(labels)


def _match_notices(matched: Matched, names: tuple[str, str]) -> list[Notice]:
    """What only one has, and where both have the same file."""
    notices = []
    for left, name in zip((matched.only_targets, matched.only_labels), names, strict=True):
        if left:
            notices.append(Notice("annotated_once", f"only {name} has {_listed(left)}; left out"))
    same = [pair.labels for pair in matched.pairs if pair.entry.annotation.resolve() == pair.labels.resolve()]
    if same:
        text = f"both annotators have the same file {_listed(same)}, which agrees with itself"
        notices.append(Notice("same_annotation", text))
    return notices


def _listed(paths: Sequence[Path]) -> str:
    """The first few names; ``metrics.json`` has all that were left out."""
    more = f" and {len(paths) - _MAX_LISTED} more" if len(paths) > _MAX_LISTED else ""
    return ", ".join(map(str, paths[:_MAX_LISTED])) + more

"""What ``evaluate`` does with a second annotator in the model's place: the videos that both annotated, compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoseq.video.access import open_videos

from .console import Console, print_json
from .screens import agreement_screen

if TYPE_CHECKING:
    from videoseq.annotations.types import Annotation
    from videoseq.errors import Notice
    from videoseq.evaluation.annotator_matching import Matched, Pair
    from videoseq.evaluation.inter_annotator import Agreement, AnnotatedTwice

_MAX_LISTED = 10


def run(
    labels: Path,
    targets: Path,
    console: Console,
    *,
    out: Path | None,
    split: str,
    background: str | None,
    json: bool,
) -> None:
    """Compares two annotators, shows it, and writes ``metrics.json`` where ``out`` says."""
    import json as json_

    from videoseq.annotations.formats import read_annotation
    from videoseq.annotations.targets import find_classes
    from videoseq.evaluation.annotator_matching import match_annotators
    from videoseq.evaluation.inter_annotator import annotator_agreement
    from videoseq.storage.files import write_text

    matched = match_annotators(targets, labels, split)
    both = [(read_annotation(pair.entry.annotation), read_annotation(pair.labels)) for pair in matched.pairs]
    find_classes([one for pair in both for one in pair], background)  # before the videos are read, not after
    names = _names(targets, labels)
    videos, notices = _read_videos(matched.pairs, both, console)
    agreement = annotator_agreement(videos, background, names)
    notices = [*_match_notices(matched, names), *notices, *agreement.notices]
    for notice in notices:
        console.warn(notice)
    metrics = _metrics(agreement, matched, (targets, labels), split or "all", notices)
    if out is not None:
        write_text(out / "metrics.json", json_.dumps(metrics, indent=1) + "\n")
    _show(agreement, (targets, labels), console, json=json)
    if json:
        print_json(metrics)


def _show(agreement: Agreement, sources: tuple[Path, Path], console: Console, *, json: bool) -> None:
    """The table, on stdout unless that is for JSON."""
    lines = agreement_screen(agreement, sources)
    if json:
        for line in lines:
            console.say(line)
    elif not console.quiet:
        console.show(lines)


def _read_videos(
    pairs: Sequence[Pair], both: Sequence[tuple[Annotation, Annotation]], console: Console
) -> tuple[list[AnnotatedTwice], list[Notice]]:
    """The frame times of every video, for which it is decoded, and what reading it brought to light."""
    import numpy as np

    from videoseq.errors import Notice
    from videoseq.evaluation.inter_annotator import AnnotatedTwice
    from videoseq.jobs.plan import Job
    from videoseq.video.check import read_times

    videos, notices = [], []
    jobs = [Job(pair.entry.video, pair.entry.video) for pair in pairs]
    with open_videos() as access:
        for (job, show), pair, (targets, labels) in zip(console.each(jobs, "reading"), pairs, both, strict=True):
            seconds: list[float] = []
            with access.open(job.video) as reader:
                report = read_times(reader, seconds, show)
            notices += [Notice(notice.code, f"{job.video}: {notice.message}") for notice in report.notices]
            times, duration = np.array(seconds), report.duration_seconds
            videos.append(AnnotatedTwice(job.video.name, times, duration, targets, labels, pair.entry.group))
            console.detail(f"{job.video}: {len(seconds)} frames")
    return videos, notices


def _names(targets: Path, labels: Path) -> tuple[str, str]:
    """What to call the two: the last part of their paths, or all of it where that is the same."""
    if targets.name and labels.name and targets.name != labels.name:
        return targets.name, labels.name
    return str(targets), str(labels)


def _match_notices(matched: Matched, names: tuple[str, str]) -> list[Notice]:
    """What only one has, and where both have the very same file."""
    from videoseq.errors import Notice

    notices = []
    for left, name in zip((matched.only_targets, matched.only_labels), names, strict=True):
        if left:
            notices.append(Notice("annotated_once", f"only {name} has {_listed(left)}; left out"))
    same = [pair.labels for pair in matched.pairs if pair.entry.annotation.resolve() == pair.labels.resolve()]
    if same:
        text = f"both annotators have the very same file {_listed(same)}; they agree there with themselves"
        notices.append(Notice("same_annotation", text))
    return notices


def _listed(paths: Sequence[Path]) -> str:
    """The first of many by name; ``metrics.json`` names all that were left out."""
    more = f" and {len(paths) - _MAX_LISTED} more" if len(paths) > _MAX_LISTED else ""
    return ", ".join(map(str, paths[:_MAX_LISTED])) + more


def _metrics(
    agreement: Agreement,
    matched: Matched,
    sources: tuple[Path, Path],
    measured_on: str,
    notices: Sequence[Notice],
) -> dict[str, Any]:
    from dataclasses import asdict

    annotators = (agreement.targets, agreement.labels)
    only = (matched.only_targets, matched.only_labels)
    described = agreement.as_dict()
    return {
        "schema_version": described.pop("schema_version"),
        "measured_on": measured_on,
        "annotators": {
            role: {"source": str(source), **asdict(annotator), "only": [str(path) for path in left]}
            for role, source, annotator, left in zip(("targets", "labels"), sources, annotators, only, strict=True)
        },
        **described,
        "notices": [notice.as_dict() for notice in notices],
    }

"""What a user names → the videos to be worked on, each once, and where their labels go."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from videoseq.errors import ConfigError, VideoError
from videoseq.video import VIDEO_SUFFIXES


@dataclass(frozen=True)
class Job:
    """A video and the path its labels are named after.

    Attributes:
        video: The video as it was named.
        target: What its output files are named after.
        root: The folder it was found in, out of which no link may lead; None if it was named itself.
    """

    video: Path
    target: Path
    root: Path | None = None

    def check_link(self) -> None:
        """Holds a video that was found to lying in the folder that was searched.

        Raises:
            VideoError: It is a link that leads out of it.
        """
        if self.root is not None and not self.video.resolve().is_relative_to(self.root.resolve()):
            raise VideoError(
                "refused_link", f"{self.video}: is a link out of {self.root}; name the file itself if it is meant"
            )


def label_paths(target: Path) -> tuple[Path, Path]:
    """Where the labels of a video go: ``target`` plus ``.frames.csv`` and ``.segments.csv``."""
    return target.with_name(f"{target.name}.frames.csv"), target.with_name(f"{target.name}.segments.csv")


def plan_jobs(inputs: Iterable[str], out: Path) -> list[Job]:
    """The videos that the inputs name, each once, in a stable order, with the places of their labels.

    A folder is searched for video files at any depth and mirrored; a pattern with ``*``, ``?`` or ``[`` that is no
    file is expanded; anything else is taken for a video file, so that a missing one is reported as such.

    Raises:
        ConfigError: Two videos would write the same files.
    """
    jobs: dict[Path, Job] = {}
    targets: dict[Path, Path] = {}
    for text in inputs:
        for video, relative, root in _expand(text):
            job = Job(video, out / relative, root)
            if jobs.setdefault(_absolute(video), job) is not job:
                continue
            other = targets.setdefault(job.target, video)
            if other is not video:
                raise ConfigError(f"{other} and {video} would both write {job.target}; label them into two folders")
    return list(jobs.values())


_Found = tuple[Path, PurePath, "Path | None"]  # a video, where it lies below the folder searched, and that folder


def _expand(text: str) -> Iterator[_Found]:
    path = Path(text)
    if os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises where a name is too long)
        yield from _walk(path)
    elif glob.has_magic(text) and not os.path.lexists(path):
        matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
        for match in matches:
            yield from _expand(match)
        if not matches and not set(text) & set("*?"):  # brackets alone are as likely part of a name
            yield path, PurePath(path.name), None
    else:
        yield path, PurePath(path.name), None


def _walk(root: Path) -> Iterator[_Found]:
    """The video files below a folder; a folder that cannot be listed is named as if it were one, and so reported."""
    unlisted: list[Path] = []
    for folder, subfolders, names in os.walk(root, onerror=lambda error: unlisted.append(Path(error.filename))):
        subfolders.sort()
        for name in sorted(names):
            if Path(name).suffix.lower() in VIDEO_SUFFIXES:
                video = Path(folder, name)
                yield video, video.relative_to(root), root
    for unlistable in unlisted:
        yield unlistable, PurePath(root.name) if unlistable == root else unlistable.relative_to(root), root


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 (not resolved: two links to one video are two inputs)

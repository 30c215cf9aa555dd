"""What a user names → the videos to work on, each once, and where their outputs go.

Videos are found one by one and kept in a temporary file: during planning a video costs two digests of memory, and
after that hardly any.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import sys
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from videoseq.errors import ConfigError, OutputError, VideoError
from videoseq.jobs.shards import Shard
from videoseq.video.reader import VIDEO_SUFFIXES

_PLAN_BYTES = 1 << 20  # a plan that is larger goes to disk
_BLOCK_BYTES = 1 << 16  # longer than any path


@dataclass(frozen=True)
class Job:
    """A video and the path its labels are named after.

    Attributes:
        video: The video as it was named.
        output_stem: What its output files are named after.
        root: The folder it was found in, out of which no link may lead; None if it was named itself.
    """

    video: Path
    output_stem: Path
    root: Path | None = None

    def check_link(self) -> None:
        """Checks that a video that was found in a folder is not a link out of it.

        Raises:
            VideoError: It is such a link.
        """
        if self.root is not None and not self.video.resolve().is_relative_to(self.root.resolve()):
            raise VideoError(
                "refused_link", f"{self.video}: is a link out of {self.root}; name the file itself if it is meant"
            )


class Jobs:
    """Videos in a stable order, which can be iterated over many times; made by :func:`plan_jobs`.

    Attributes:
        empty: The folders among the inputs in which there is no video.
        num_found: Videos in all shards together.
    """

    def __init__(self, out: Path, shard: Shard | None = None) -> None:
        self._out = out
        self._shard = shard
        self._num_jobs = 0
        self._file = tempfile.SpooledTemporaryFile(max_size=_PLAN_BYTES)  # noqa: SIM115 (closed by the next line)
        weakref.finalize(self, self._file.close)
        self.empty: list[str] = []
        self.num_found = 0

    def __len__(self) -> int:
        return self._num_jobs

    def __iter__(self) -> Iterator[Job]:
        for video, relative, root in self._found():
            if self._shard is None or self._shard.has(relative):
                yield Job(video, self._out / relative, root)

    def _found(self) -> Iterator[_Found]:
        position = 0
        while True:
            self._file.seek(position)  # other iterations may use the file at the same time
            lines = self._file.readlines(_BLOCK_BYTES)
            position = self._file.tell()
            for line in lines:
                video, relative, root = json.loads(line)
                yield Path(video), PurePath(relative), None if root is None else Path(root)
            if not lines:
                return

    def add_all(self, found: Iterable[_Found]) -> None:
        """Adds what was found, each video once.

        Raises:
            ConfigError: Two videos would write the same files.
            OutputError: There is no room for temporary files.
        """
        videos: set[bytes] = set()
        places: set[bytes] = set()
        for video, relative, root in found:
            # Not resolved: two links to one video are two inputs.
            digest, place = _digest(os.path.abspath(video)), _digest(relative)  # noqa: PTH100
            if digest in videos:
                continue
            if place in places:
                other = next(video for video, taken, _ in self._found() if taken == relative)
                target = self._out / relative
                raise ConfigError(f"{other} and {video} would both write {target}; label them into two folders")
            videos.add(digest)
            places.add(place)
            self.num_found += 1
            self._num_jobs += self._shard is None or self._shard.has(relative)
            try:
                line = json.dumps([str(video), str(relative), None if root is None else str(root)])
                self._file.write(line.encode() + b"\n")
            except OSError as error:
                raise OutputError(f"{tempfile.gettempdir()}: no room for temporary files; {error.strerror}") from None


def plan_jobs(inputs: Iterable[str], out: Path, shard: Shard | None = None, names: Iterable[str] = ()) -> Jobs:
    """The videos that the inputs name, each once, in a stable order, with the places of their labels.

    A folder is searched for video files at any depth and mirrored; a pattern with ``*``, ``?`` or ``[`` that is no
    file is expanded; anything else, a pattern that matches nothing included, is taken for a video file, so that a
    missing one is reported as such.

    Args:
        inputs: Files, folders and patterns.
        out: The folder below which their labels go.
        shard: The share of them that is to be worked on; the others are found too, but not kept.
        names: More files and folders, taken literally.

    Raises:
        ConfigError: Two videos would write the same files.
        OutputError: There is no room for temporary files.
    """
    jobs = Jobs(out, shard)
    paths = (path for text in inputs for path in _expand(text))
    jobs.add_all(found for texts in (paths, names) for text in texts for found in _videos(text, jobs.empty))
    return jobs


def read_names(path: Path) -> Iterator[str]:
    """The names in a list: one a line, or each ended by a NUL byte if there is one; ``-`` is standard input.

    Raises:
        ConfigError: There is no such list.
    """
    try:
        with _opened_list(path) as file:
            yield from (os.fsdecode(name) for name in _split(file) if name)
    except OSError as error:
        raise ConfigError(f"{path}: expected a list of videos, one a line; {error.strerror}") from None


_Found = tuple[Path, PurePath, "Path | None"]  # a video, where it lies below the folder searched, and that folder


def _expand(text: str) -> Iterator[str]:
    if not glob.has_magic(text) or os.path.lexists(text):
        yield text
        return
    yield from sorted(glob.glob(text, recursive=True)) or [text]  # noqa: PTH207 (Path.glob takes no absolute pattern)


def _videos(text: str, empty: list[str]) -> Iterator[_Found]:
    """The videos in a folder, or the one video that a name is taken for; a folder without any is noted in ``empty``."""
    path = Path(text)
    if not os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises where a name is too long)
        yield path, PurePath(path.name), None
        return
    number = 0
    for number, found in enumerate(_walk(path), start=1):  # noqa: B007 (needed after the loop)
        yield found
    if not number:
        empty.append(text)


def _walk(root: Path) -> Iterator[_Found]:
    """The video files below a folder; a folder that cannot be listed is named as if it were one, and so reported."""
    unlisted: list[Path] = []
    for folder, subfolders, names in os.walk(root, onerror=lambda error: unlisted.append(Path(error.filename))):
        subfolders.sort()
        for name in sorted(names):
            if os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES:  # noqa: PTH122 (a tenth of Path's time)
                video = Path(folder, name)
                yield video, video.relative_to(root), root
    for unlistable in unlisted:
        yield unlistable, PurePath(root.name) if unlistable == root else unlistable.relative_to(root), root


@contextmanager
def _opened_list(path: Path) -> Iterator[BinaryIO]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    with path.open("rb") as file:
        yield file


def _split(file: BinaryIO, block_bytes: int = _BLOCK_BYTES) -> Iterator[bytes]:
    """The names in a list, in bounded memory; of lines the mark and the ends that Windows gives them are no part."""
    block = file.read(block_bytes)
    is_by_nul = b"\0" in block
    separator = b"\0" if is_by_nul else b"\n"
    rest = block if is_by_nul else block.removeprefix(b"\xef\xbb\xbf")
    while block:
        *names, rest = rest.split(separator)
        yield from names if is_by_nul else (name.removesuffix(b"\r") for name in names)
        block = file.read(block_bytes)
        rest += block
    yield rest if is_by_nul else rest.removesuffix(b"\r")


def _digest(path: str | PurePath) -> bytes:
    """Tells paths apart: of 2^64 of them, two would be taken for the same."""
    return hashlib.blake2b(os.fsencode(path), digest_size=16).digest()

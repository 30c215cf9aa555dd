"""Many videos: which ones, where their labels go, and a journal in which each ends in exactly one state.

The output folder mirrors the input tree. ``run.json`` says what ran, ``results.jsonl`` gets one line per input as it
ends, ``failures.jsonl`` repeats those that failed. A video whose recorded outputs are still there, for the same bytes
and the same model, is not labelled again.
"""

from __future__ import annotations

import errno
import glob
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath
from typing import Any, Literal, get_args

from videoseq.bundle import library_versions
from videoseq.errors import ConfigError, ModelError, OutputError, VideoError, one_line
from videoseq.features import Progress
from videoseq.files import file_sha256, remove_leftovers, write_text
from videoseq.frames import FrameReader
from videoseq.labeling import Model, label_video
from videoseq.labels import label_paths
from videoseq.safe_file import FileWatch
from videoseq.video import VIDEO_SUFFIXES, VideoReader, content_sha256

State = Literal["complete", "degraded", "failed"]
STATES = get_args(State)


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


@dataclass(frozen=True)
class Result:
    """How one input ended: a line of ``results.jsonl``.

    Attributes:
        path: The video as it was named.
        state: ``complete``; ``degraded``, labelled although frames are missing; or ``failed``.
        code: A stable word for programs: of the first notice or of the error; empty if there is nothing to say.
        message: The same for people.
        num_frames: Rows written.
        duration_seconds: Where the last frame ends.
        time_source: Where frame times come from: ``container``, ``container_repaired`` or ``frame_rate``.
        start_offset_seconds: The container's own time of frame 0, where it is known.
        rotation_degrees: How far the pictures were turned to stand upright.
        coverage: The share of the video's time that was there to be read and is not in a span.
        spans: Where frames are missing or not to be trusted.
        notices: All that reading the video brought to light.
        video_sha256: Of the video's bytes.
        model_sha256: Of the model's description.
        outputs: The SHA-256 of every file written, by its path below the output folder.
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
    video_sha256: str = ""
    model_sha256: str = ""
    outputs: dict[str, str] = field(default_factory=dict)


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


class Journal:
    """The record of an output folder: read at the start, appended to as inputs end."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._path = out / "results.jsonl"
        self.results: dict[str, Result] = {}
        try:
            out.mkdir(parents=True, exist_ok=True)
            lines = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
            if lines and not lines[-1].endswith(b"\n"):  # a run was killed while writing its last line
                os.truncate(self._path, sum(map(len, lines[:-1])))
                lines = lines[:-1]
        except OSError as error:
            raise OutputError(f"{self._path}: could not be read; {error.strerror}") from None
        for number, line in enumerate(lines, start=1):
            result = _parse_line(line)
            if result is None:
                raise OutputError(f"{self._path}: line {number} is no result; move the file away")
            self.results[result.path] = result

    def describe_run(self, model_path: Path, model: Model, inputs: Sequence[str], decoding: Mapping[str, Any]) -> None:
        """Writes ``run.json``; ``decoding`` says how videos are read."""
        run = {
            "schema_version": 1,
            "model": str(model_path),
            "model_sha256": model.bundle.sha256,
            "classes": list(model.classes),
            "runtime": model.runtime.description,
            "inputs": list(inputs),
            "decoding": dict(decoding),
            "versions": library_versions(),
        }
        write_text(self._out / "run.json", json.dumps(run, indent=1) + "\n")

    def append(self, result: Result) -> None:
        """Adds a line, durable before this returns; a result that is known already needs none.

        Raises:
            OutputError: It cannot be written.
        """
        if self.results.get(result.path) == result:
            return
        try:
            with self._path.open("ab") as file:
                file.write(_json_line(result))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{self._path}: could not be written; {error.strerror}") from None
        self.results[result.path] = result

    def write_failures(self, results: Iterable[Result]) -> None:
        """Writes ``failures.jsonl``: those of the results that failed."""
        failed = (_json_line(result).decode() for result in results if result.state == "failed")
        write_text(self._out / "failures.jsonl", "".join(failed))

    def is_done(self, job: Job, model: Model, *, accepts_damage: bool = True) -> bool:
        """Whether the job's recorded outputs are there, unchanged, for the same video and model."""
        result = self.results.get(str(job.video))
        states = ("complete", "degraded") if accepts_damage else ("complete",)
        if result is None or result.state not in states or result.model_sha256 != model.bundle.sha256:
            return False
        try:
            return result.video_sha256 == content_sha256(job.video) and result.outputs == _digests(job, self._out)
        except (VideoError, OSError):  # one of the files is gone
            return False

    def label(
        self,
        job: Job,
        model: Model,
        on_progress: Progress | None = None,
        *,
        open_video: Callable[[Path], FrameReader] = VideoReader,
        accepts_damage: bool = True,
    ) -> Result:
        """Labels one video; whatever is wrong with it becomes its result. The arguments are :func:`label_video`'s.

        Raises:
            OutputError: The labels cannot be written; that is no fault of the video.
        """
        remove_leftovers(job.target.parent)
        watch = FileWatch(job.video)
        try:
            job.check_link()
            facts = label_video(
                job.video, model, job.target, on_progress, open_video=open_video, accepts_damage=accepts_damage
            )
            video_sha256 = content_sha256(job.video)
            watch.check()
        except VideoError as error:
            return Result(str(job.video), "failed", error.code, one_line(error))
        except ModelError as error:
            return Result(str(job.video), "failed", "model_error", one_line(f"{job.video}: {error}"))
        except OutputError as error:
            if getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG:
                raise
            return Result(str(job.video), "failed", "name_too_long", one_line(error))
        first = facts.notices[0] if facts.notices else None
        return Result(
            path=str(job.video),
            state=facts.state,
            code=first.code if first else "",
            message=one_line(first.message) if first else "",
            num_frames=facts.num_frames,
            duration_seconds=facts.duration_seconds,
            time_source=facts.time_source,
            start_offset_seconds=facts.start_offset_seconds,
            rotation_degrees=facts.rotation_degrees,
            coverage=facts.coverage,
            spans=[span.as_dict() for span in facts.spans],
            notices=[notice.as_dict() for notice in facts.notices],
            video_sha256=video_sha256,
            model_sha256=model.bundle.sha256,
            outputs=_digests(job, self._out),
        )


def _digests(job: Job, out: Path) -> dict[str, str]:
    return {path.relative_to(out).as_posix(): file_sha256(path) for path in label_paths(job.target)}


def _json_line(result: Result) -> bytes:
    return json.dumps(asdict(result)).encode() + b"\n"  # a name that is not UTF-8 is escaped, without loss


def _parse_line(line: bytes) -> Result | None:
    try:
        result = Result(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None
    is_sound = isinstance(result.path, str) and isinstance(result.outputs, dict) and result.state in STATES
    return result if is_sound else None

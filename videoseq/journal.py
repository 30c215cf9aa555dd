"""The record of an output folder, in which every input ends in exactly one state.

``run.json`` says what ran, ``results.jsonl`` gets one line per input as it ends, ``failures.jsonl`` repeats those that
failed. A video whose recorded outputs are still there, for the same bytes, model and settings, is not labelled again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from videoseq.errors import ModelError, OutputError, VideoError
from videoseq.files import file_sha256, write_text
from videoseq.inputs import Job, label_paths
from videoseq.machine import library_versions
from videoseq.video import content_sha256

State = Literal["complete", "degraded", "failed"]
STATES = get_args(State)


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
        model_sha256: Of the model's description; of features, of what made them.
        runtime: What ran the CNN.
        precision: What it computed in.
        reuse_threshold: How still a scene had to be for the CNN not to look again.
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
    runtime: str = ""
    precision: str = ""
    reuse_threshold: float = 0.0
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelSettings:
    """What decides about labels beside the video and the model.

    Attributes:
        accepts_damage: Whether a video from which frames are missing is labelled all the same.
        precision: What the CNN is to compute in; ``auto`` takes what the machine computes fastest, and takes labels
            made on another machine for as good.
        reuse_threshold: As in :func:`videoseq.features.stream_features`.
    """

    accepts_damage: bool = True
    precision: str = "auto"
    reuse_threshold: float = 0.0

    def would_give(self, result: Result) -> bool:
        """Whether a result is what these settings would come to."""
        states = ("complete", "degraded") if self.accepts_damage else ("complete",)
        is_precision = self.precision in ("auto", result.precision)
        return result.state in states and is_precision and result.reuse_threshold == self.reuse_threshold


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

    def describe_run(
        self,
        model_path: Path,
        model_sha256: str,
        model: Mapping[str, Any],
        inputs: Sequence[str],
        settings: LabelSettings,
        decoding: Mapping[str, Any],
        num_workers: int = 1,
    ) -> None:
        """Writes ``run.json``; ``model`` is a model's summary, ``decoding`` says how videos are read."""
        run = {
            "schema_version": 1,
            "model": str(model_path),
            "model_sha256": model_sha256,
            **model,
            "workers": num_workers,
            "inputs": list(inputs),
            "settings": asdict(settings),
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

    def is_done(self, job: Job, model_sha256: str, settings: LabelSettings) -> bool:
        """Whether the job's recorded outputs are there, unchanged, for the same video, model and settings."""
        result = self.results.get(str(job.video))
        if result is None or result.model_sha256 != model_sha256 or not settings.would_give(result):
            return False
        try:
            return result.video_sha256 == content_sha256(job.video) and result.outputs == digests(job, self._out)
        except (VideoError, OSError):  # one of the files is gone
            return False


def model_digest(folder: Path) -> str:
    """The SHA-256 that tells a model from others; whether the rest of the folder is sound shows when it is loaded.

    Raises:
        ModelError: It is no model folder.
    """
    try:
        return file_sha256(folder / "model.json")
    except OSError as error:
        raise ModelError(f"{folder}: expected a model folder with model.json in it; {error.strerror}") from None


def digests(job: Job, out: Path) -> dict[str, str]:
    """The SHA-256 of a job's labels, by their paths below the output folder.

    Raises:
        OSError: One of them is not there.
    """
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

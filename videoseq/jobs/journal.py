"""The record of an output folder, in which every input ends in exactly one state.

``run.json`` says what ran, ``results.jsonl`` gets one line per input as it ends, ``failures.jsonl`` repeats those that
failed. A video whose recorded outputs are still there, for the same bytes, model and settings, is not labelled again;
one that failed is not tried again as long as all that it can have failed for is the same.

Each shard of a run has files of its own, such as ``results.shard-2-of-8.jsonl``, so that shards can write into one
folder at the same time. All of them are read to know what is done.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from videoseq.errors import ModelError, OutputError, VideoError
from videoseq.inference.paths import label_paths
from videoseq.jobs.plan import Job
from videoseq.jobs.shards import Shard, shard_file_name
from videoseq.storage.files import file_sha256, restore_folder, staged_file, write_text
from videoseq.storage.jsonl import LineLog
from videoseq.system.hardware import library_versions
from videoseq.video.pyav_capture import is_available
from videoseq.video.reader import content_sha256

State = Literal["complete", "degraded", "failed"]
STATES = get_args(State)
PASSING_CODES = frozenset({"io_error", "timeout", "changed_while_reading", "decoder_crashed", "worker_died"})
"""Failures that may be the machine's doing, and gone the next time."""

_RESULTS = re.compile(r"results(\.shard-[0-9]+-of-[0-9]+)?\.jsonl")


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
        video_sha256: Of the video's bytes; of one that failed, empty where another try may end differently: where they
            could not be read, and after one of the :data:`PASSING_CODES`.
        model_sha256: Of the model's description; of features, of what made them.
        runtime: What ran the CNN.
        precision: What it computed in.
        reuse_threshold: How still a scene had to be for the CNN not to look again.
        outputs: The SHA-256 of every file written, by its path below the output folder.
        conditions_sha256: Of one that failed, what :func:`conditions_digest` says.
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
    conditions_sha256: str = ""


@dataclass(frozen=True)
class LabelSettings:
    """What decides about labels beside the video and the model.

    Attributes:
        accepts_damage: Whether a video from which frames are missing is labelled all the same.
        precision: What the CNN is to compute in; ``auto`` takes what the machine computes fastest, and takes labels
            made on another machine for as good.
        reuse_threshold: As in :func:`videoseq.features.extraction.stream_features`.
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
    """The record of an output folder: read at the start, appended to as inputs end.

    Args:
        out: The folder.
        shard: The share of the work that is being recorded.
        is_read_only: Whether the folder is left as it is, even if it is not there.

    Raises:
        OutputError: On construction, when it cannot be read, or is no folder.
    """

    def __init__(self, out: Path, shard: Shard | None = None, *, is_read_only: bool = False) -> None:
        self._out = out
        self._shard = shard
        try:
            if not is_read_only:
                out.mkdir(parents=True, exist_ok=True)
            paths = sorted(out.glob("results*.jsonl"))
        except OSError as error:
            raise OutputError(f"{out}: could not be read; {error.strerror}") from None
        own = self._path("results.jsonl")
        self._own = LineLog(own, _parse_line, _name_of, is_mended=not is_read_only)
        others = [path for path in paths if _RESULTS.fullmatch(path.name) and path != own]
        self._logs = [self._own, *(LineLog(path, _parse_line, _name_of, is_mended=False) for path in others)]

    def __iter__(self) -> Iterator[Result]:
        """The last result of every input, as far as this run's own file has them."""
        return iter(self._own)

    def get(self, video: Path) -> Result | None:
        """The last result of an input in this run's own file."""
        return self._own.get(str(video))

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
            "shard": None if self._shard is None else str(self._shard),
            "inputs": list(inputs),
            "settings": asdict(settings),
            "decoding": dict(decoding),
            "versions": library_versions(),
        }
        write_text(self._path("run.json"), json.dumps(run, indent=1) + "\n")

    def append(self, result: Result, *, is_durable: bool = True) -> None:
        """Adds a line, durable before this returns; a result that is there already needs none.

        Raises:
            OutputError: It cannot be written, and is not there in part either.
        """
        if self._own.get(result.path) != result:
            self._own.append(result, _json_line(result), is_durable=is_durable)

    def write_failures(self, results: Iterable[Result]) -> None:
        """Writes ``failures.jsonl``: those of the results that failed."""
        with staged_file(self._path("failures.jsonl")) as file:
            file.writelines(_json_line(result).decode() for result in results if result.state == "failed")

    def recorded(self, job: Job) -> list[Result]:
        """The last results of a video, of this run's own file and of those of other shards.

        Raises:
            OutputError: The record cannot be read any more.
        """
        return [result for log in self._logs if (result := log.get(str(job.video))) is not None]

    def find(
        self, job: Job, model_sha256: str, settings: LabelSettings, conditions_sha256: str | None = None
    ) -> Result | None:
        """The recorded result to which labelling a video would come again; None if it is to be labelled.

        That is one whose outputs are there, unchanged, for the same video, model and settings; or else one that failed,
        for the same video and model and under the same conditions. Without conditions none that failed is found.

        Raises:
            OutputError: The record cannot be read any more.
        """
        recorded = self.recorded(job)
        recorded = [result for result in recorded if result.video_sha256 and result.model_sha256 == model_sha256]
        labelled = [
            result for result in recorded if settings.would_give(result) and _has_outputs(result, job, self._out)
        ]
        failed = [result for result in recorded if result.state == "failed"]
        failed = [result for result in failed if result.conditions_sha256 == conditions_sha256]
        if not labelled and not failed:
            return None
        try:
            video_sha256 = content_sha256(job.video)
        except VideoError:
            return None
        return next((result for result in labelled + failed if result.video_sha256 == video_sha256), None)

    def _path(self, name: str) -> Path:
        return self._out / shard_file_name(name, self._shard)


def conditions_digest(settings: LabelSettings, decoding: Mapping[str, Any]) -> str:
    """The SHA-256 of all that a failure may depend on beside the video and the model.

    That is the settings, how videos are read, with which limits, and by which versions of the libraries.
    """
    libraries = {**library_versions(), "reads_interlaced": is_available()}
    conditions = {"settings": asdict(settings), "decoding": dict(decoding), "libraries": libraries}
    return hashlib.sha256(json.dumps(conditions, sort_keys=True).encode()).hexdigest()


def model_digest(folder: Path) -> str:
    """The SHA-256 that tells a model from others; whether the rest of the folder is sound shows when it is loaded.

    Raises:
        ModelError: It is no model folder.
    """
    restore_folder(folder)
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


def _has_outputs(result: Result, job: Job, out: Path) -> bool:
    try:
        return result.outputs == digests(job, out)
    except OSError:  # one of them is gone
        return False


def _name_of(result: Result) -> str:
    return result.path


def _json_line(result: Result) -> bytes:
    return json.dumps(asdict(result)).encode() + b"\n"  # a name that is not UTF-8 is escaped, without loss


def _parse_line(line: bytes) -> Result | None:
    try:
        result = Result(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None
    is_sound = isinstance(result.path, str) and isinstance(result.outputs, dict) and result.state in STATES
    return result if is_sound else None

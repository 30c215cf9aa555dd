"""The record of an output folder, in which every input ends in exactly one state.

``results.jsonl`` gets one line per input as it ends; ``failures.jsonl`` repeats those that failed. A video is not
worked on again while its recorded outputs exist, unchanged, for the same bytes, model and settings. One that failed is
not tried again while everything that it can have failed for is the same.

Each shard of a run has its own files, such as ``results.shard-2-of-8.jsonl``, so that shards can write into one folder
at the same time. The files of all shards are read to know what is done.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from videoseq.errors import ModelError, OutputError, VideoError
from videoseq.jobs.plan import Job
from videoseq.jobs.request import FeatureSettings, LabelSettings
from videoseq.jobs.result import STATES, Result, output_digests
from videoseq.jobs.shards import Shard, shard_file_name
from videoseq.storage.files import file_sha256, restore_folder, staged_file
from videoseq.storage.jsonl import LineLog
from videoseq.system.hardware import library_versions
from videoseq.video.pyav_capture import is_available
from videoseq.video.reader import content_sha256

_RESULTS = re.compile(r"results(\.shard-[0-9]+-of-[0-9]+)?\.jsonl")


class Journal:
    """The record of an output folder: read at the start, appended to as inputs end.

    Args:
        out: The folder.
        shard: The share of the work that is being recorded.
        is_read_only: Whether the folder is left unchanged, even if it does not exist.

    Raises:
        OutputError: On construction, if the folder cannot be read or is not a folder.
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

    def get(self, video: Path) -> Result | None:
        """The last result of an input in this run's own file."""
        return self._own.get(str(video))

    def append(self, result: Result, *, is_durable: bool = True) -> None:
        """Adds a line, on the disk before this returns; a result that is recorded already gets none.

        Raises:
            OutputError: The line cannot be written; nothing of it is left in the file.
        """
        if self._own.get(result.path) != result:
            self._own.append(result, _json_line(result), is_durable=is_durable)

    def write_failures(self, results: Iterable[Result]) -> None:
        """Writes ``failures.jsonl``: the results that failed."""
        with staged_file(self._path("failures.jsonl")) as file:
            file.writelines(_json_line(result).decode() for result in results if result.state == "failed")

    def find(
        self,
        job: Job,
        model_sha256: str,
        settings: LabelSettings | FeatureSettings,
        conditions_sha256: str | None = None,
    ) -> Result | None:
        """The recorded result that work on a video would only repeat; None if there is work to do.

        That is a result whose outputs exist, unchanged, for the same video, model and settings; or a failure for the
        same video and model and under the same conditions. Without conditions no failure is found.

        Raises:
            OutputError: The record can no longer be read.
        """
        last = [result for log in self._logs if (result := log.get(str(job.video))) is not None]
        recorded = [one for one in last if one.video_sha256 and one.model_sha256 == model_sha256]
        done = [one for one in recorded if settings.would_give(one) and self._has_outputs(one, job, settings)]
        failed = [one for one in recorded if one.state == "failed" and one.conditions_sha256 == conditions_sha256]
        if not done and not failed:
            return None
        try:
            video_sha256 = content_sha256(job.video)
        except VideoError:
            return None
        return next((one for one in done + failed if one.video_sha256 == video_sha256), None)

    def _has_outputs(self, result: Result, job: Job, settings: LabelSettings | FeatureSettings) -> bool:
        try:
            return result.outputs == output_digests(settings.output_paths(job.output_stem), self._out)
        except OSError:  # one of them was deleted
            return False

    def _path(self, name: str) -> Path:
        return self._out / shard_file_name(name, self._shard)


def conditions_digest(settings: LabelSettings, decoder_options: Mapping[str, Any]) -> str:
    """The SHA-256 of everything that a failure may depend on besides the video and the model.

    These are the settings, how videos are read and with which limits, and the versions of the libraries.
    """
    libraries = {**library_versions(), "reads_interlaced": is_available()}
    conditions = {"settings": asdict(settings), "decoding": dict(decoder_options), "libraries": libraries}
    return hashlib.sha256(json.dumps(conditions, sort_keys=True).encode()).hexdigest()


def model_digest(folder: Path) -> str:
    """The SHA-256 that identifies a model; the rest of the folder is checked when it is loaded.

    Raises:
        ModelError: It is not a model folder.
    """
    restore_folder(folder)
    try:
        return file_sha256(folder / "model.json")
    except OSError as error:
        raise ModelError(f"{folder}: expected a model folder with model.json in it; {error.strerror}") from None


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

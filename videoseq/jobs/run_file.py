"""``run.json``: what a run did, on which inputs, with which model; read to keep two models out of one folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from videoseq.errors import ConfigError, OutputError
from videoseq.jobs.request import LabelSettings
from videoseq.jobs.shards import Shard, shard_file_name
from videoseq.storage.files import write_text
from videoseq.system.hardware import library_versions

_NAME = re.compile(r"run(\.shard-[0-9]+-of-[0-9]+)?\.json")


def write_run_file(
    out: Path,
    shard: Shard | None,
    work: Mapping[str, Any],
    *,
    inputs: Sequence[str],
    num_workers: int,
    decoder_options: Mapping[str, Any],
    settings: LabelSettings | None = None,
) -> None:
    """Writes ``run.json``.

    Args:
        out: The output folder.
        shard: The share of the work that the run does.
        work: What is done, and by which model; plain values.
        inputs: How the user named the videos.
        num_workers: How many videos are worked on at the same time.
        decoder_options: How videos are read.
        settings: Of labels, what they depend on.

    Raises:
        OutputError: The file cannot be written.
    """
    run = {
        "schema_version": 1,
        **work,
        "workers": num_workers,
        "shard": None if shard is None else str(shard),
        "inputs": list(inputs),
        **({} if settings is None else {"settings": asdict(settings)}),
        "decoding": dict(decoder_options),
        "versions": library_versions(),
    }
    write_text(out / shard_file_name("run.json", shard), json.dumps(run, indent=1) + "\n")


def check_same_model(out: Path, model_sha256: str) -> None:
    """Refuses a folder with labels of another model, so that all labels in it are of one model.

    Raises:
        OutputError: The ``run.json`` of a run or a shard that labeled something names another model, or cannot be read.
    """
    for path in sorted(out.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        try:
            run = json.loads(path.read_bytes())
            model, known = run["model"], run["model_sha256"]
        except OSError as error:
            raise OutputError(f"{path}: could not be read; {error.strerror}") from None
        except (ValueError, TypeError, KeyError, RecursionError):
            raise OutputError(f"{path}: expected the record of a run, got something else; move the file away") from None
        results = out / f"results{match[1] or ''}.jsonl"
        if known != model_sha256 and results.exists() and results.stat().st_size > 0:
            raise OutputError(
                f"{out}: was labeled by another model ({model}, {str(known)[:12]}; this one is {model_sha256[:12]}); "
                "choose another --out, or use --overwrite to label all of the inputs again"
            )


def check_no_labels(out: Path) -> None:
    """Refuses a folder of labels for features, which would be recorded in the same file.

    Raises:
        ConfigError: A ``run.json`` there names a model that labeled.
    """
    for path in sorted(out.glob("run*.json")):
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not a record of ours
            continue
        if isinstance(run, dict) and "model_sha256" in run:
            raise ConfigError(f"{out}: expected no labels there, got those of {run.get('model')}; choose another --out")

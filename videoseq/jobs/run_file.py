"""``run.json``: what a run did, on which inputs, with which model; read to keep two models out of one folder."""

from __future__ import annotations

import json
import re
from pathlib import Path

from videoseq.errors import OutputError

_NAME = re.compile(r"run(\.shard-[0-9]+-of-[0-9]+)?\.json")


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
            raise OutputError(f"{path}: is no record of a run; move the file away") from None
        results = out / f"results{match[1] or ''}.jsonl"
        if known != model_sha256 and results.exists() and results.stat().st_size > 0:
            raise OutputError(
                f"{out}: was labelled by another model ({model}, {str(known)[:12]}; this one is {model_sha256[:12]}); "
                "choose another --out, or say --overwrite to label all of the inputs again"
            )

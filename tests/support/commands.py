"""What a command of videoseq did: its status, what it printed, and what it wrote."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

Cli = Callable[..., subprocess.CompletedProcess[str]]


class Ended(NamedTuple):
    status: int
    out: str
    err: str


Call = Callable[..., Ended]


def check_one_line(ended: Ended, status: int, *words: str) -> None:
    """An error is one line on stderr, with all that is asked of it, and nothing on stdout."""
    lines = ended.err.splitlines()
    assert len(lines) == 1, ended.err
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]
    assert (ended.status, ended.out) == (status, "")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def json_lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

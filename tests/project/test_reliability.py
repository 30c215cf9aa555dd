"""docs/reliability.md is true: every promise names tests, and they exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
PROMISES = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if re.match(r"\| (?!promise)", line)]


@pytest.mark.parametrize(("promise", "held_by"), PROMISES, ids=lambda text: text[:40])
def test_every_promise_names_tests_that_exist(promise, held_by):
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", held_by)
    assert named
    assert re.sub(r"`[\w./:]+`", "", held_by).strip(" ,") == ""  # and nothing else
    for file, name in named:
        tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"


def test_nothing_hangs_on_the_clock():
    """Seconds are counted by clocks that only go forwards; a change is noticed by a file's times, and no more."""
    asking = {}
    for folder in ("videoseq", "pipelines"):
        for path in (ROOT / folder).rglob("*.py"):
            code = path.read_text(encoding="utf-8")
            found = re.findall(r"\btime\.time|\bfrom time import|\bdatetime\b|getmtime|st_[acm]time\w*", code)
            asking |= {path.relative_to(ROOT).as_posix(): found} if found else {}
    assert asking == {"videoseq/video/safe_file.py": ["st_mtime_ns"]}

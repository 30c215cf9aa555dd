"""Every command: help, version, wrong calls."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from pipelines.__main__ import app

COMMANDS = ["check", "demo", "train", "evaluate", "label", "quantize", "features", "doctor"]


@pytest.mark.parametrize("args", [[], *([name] for name in COMMANDS)], ids=lambda args: args[0] if args else "root")
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_works_everywhere(args, option):
    ended = CliRunner().invoke(app, [*args, option], prog_name="videoseq")
    assert ended.exit_code == 0
    assert ended.stdout.split()[: 2 + len(args)] == ["Usage:", "videoseq", *args]
    assert ended.stderr == ""


def test_the_commands_are_those_that_the_tests_know():
    assert sorted(command.name or command.callback.__name__ for command in app.registered_commands) == sorted(COMMANDS)
    help_text = CliRunner().invoke(app, ["--help"]).stdout
    assert all(f"  {name} " in help_text for name in COMMANDS)


_HELP_OF_ALL = """
import contextlib, sys
from videoseq.pipelines.__main__ import app
for command in ([], *([name] for name in sys.argv[1:])):
    with contextlib.suppress(SystemExit):
        app([*command, "--help"])
heavy = {"torch", "cv2", "pytorch_lightning", "matplotlib", "safetensors"} & set(sys.modules)
print("heavy:", *sorted(heavy))
"""


def test_help_imports_nothing_heavy():
    run = subprocess.run(
        [sys.executable, "-c", _HELP_OF_ALL, *COMMANDS], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.count("Usage:") == 1 + len(COMMANDS)
    assert run.stdout.splitlines()[-1] == "heavy:"


def test_the_version_is_printed(call):
    ended = call("--version")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("videoseq 0.")


@pytest.mark.parametrize(
    "args",
    [["lable"], ["label"], ["label", "x.mp4", "--out", "o"], ["train"], ["label", "--frobnicate"], ["doctor", "x"]],
    ids=" ".join,
)
def test_a_wrong_call_is_a_usage_error(args, call):
    ended = call(*args)
    assert ended.status == 2
    assert ended.out == ""
    assert ended.err.startswith("Usage: ")
    assert "Error: " in ended.err.splitlines()[-1]

"""The README is true: its tree is the real one, its commands exist, its Python runs, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.__main__ import app
from tests.support.index_videos import write_video
from tests.support.light_clips import light_frames
from tests.support.packages import PACKAGES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def code(language: str) -> list[str]:
    """The fenced blocks of a language; "" is those without one."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [text for name, text in blocks if name == language]


def test_the_tree_is_the_real_one():
    """The README shows packages and folders, in the order of the data."""
    tree = next(block for block in code("") if block.startswith("videoseq/"))
    shown = [line.split()[0] for line in tree.splitlines()]
    inside = [name for line, name in zip(tree.splitlines(), shown, strict=True) if line.startswith("  ")]
    real = {path.name + "/" * path.is_dir() for path in (ROOT / "videoseq").iterdir()} - {"__init__.py", "__pycache__/"}
    assert set(inside) == real - {"py.typed"}
    assert [name.strip("/") for name in inside if name.endswith("/")] == [*PACKAGES]
    for name in set(shown) - set(inside):
        assert (ROOT / name).is_dir(), name


def commands() -> list[str]:
    texts = [*code("bash"), *(page.read_text(encoding="utf-8") for page in PAGES)]
    lines = [line.strip().partition("#")[0] for text in texts for line in text.splitlines()]
    return sorted({line.strip() for line in lines if line.startswith("videoseq ")})


@pytest.mark.parametrize("command", commands())
def test_commands_and_options_exist(command):
    _, name, *arguments = shlex.split(command)
    shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, command
    for option in (argument for argument in arguments if argument.startswith("--")):
        assert option in shown.output, command


def test_every_command_is_documented():
    listed = {command.name or command.callback.__name__ for command in app.registered_commands}
    documented = {shlex.split(command)[1] for command in commands()} | set(re.findall(r"`videoseq (\w+)", README))
    assert listed <= documented | {"demo"}
    assert "make demo" in README


def test_the_python_runs(model_folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "model").symlink_to(model_folder)
    write_video(tmp_path / "clip.mp4", light_frames(12, 6, seed=1), fps=12)
    monkeypatch.chdir(tmp_path)
    exec(compile(code("python")[0], "README.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 12


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_tests_named_in_the_docs_exist():
    for name in set(
        re.findall(r"`(?:tests/)?([\w/]*test_\w+\.py)", "".join(page.read_text(encoding="utf-8") for page in PAGES))
    ):
        assert (ROOT / "tests" / name).exists(), name


def test_make_lists_what_the_readme_and_contributing_name():
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", "".join(page.read_text(encoding="utf-8") for page in PAGES)))
    assert named <= targets
    assert {"demo", "test", "lint", "types", "bench"} <= targets


def test_every_code_of_a_video_has_its_paragraph_and_every_paragraph_its_code():
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "videoseq").rglob("*.py"))
    said = re.findall(r'VideoError\(\s*"(\w+)"|, "failed", "(\w+)"|_failure\(job, "(\w+)"', source)
    codes = {code for found in said for code in found if code}
    notices = set(
        re.findall(r'Notice\(\s*"(\w+)"', (ROOT / "videoseq" / "video" / "info.py").read_text(encoding="utf-8"))
    )
    page = (ROOT / "docs" / "videos.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == codes | notices | {"resolution_changed"}

"""What is installed is what is here: the wheel and the sdist hold the tree, and the wheel labels a clip on its own."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.index_videos import write_video
from tests.support.light_clips import light_frames

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", out, ROOT], check=True, capture_output=True)
    return out


def tracked(*patterns: str) -> set[str]:
    done = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, check=True, capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.mark.slow
def test_the_wheel_has_one_top_level_name_and_every_module(built):
    names = set(zipfile.ZipFile(next(built.glob("*.whl"))).namelist())
    code = {name for name in names if ".dist-info/" not in name}
    expected = tracked("videoseq") | {f"videoseq/{name}" for name in tracked("pipelines")}
    assert code == expected
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_the_sdist_has_the_whole_tree(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    missing = tracked() - names - {".gitignore", ".ci/run"}
    assert not missing


@pytest.mark.slow
def test_the_installed_wheel_labels_a_clip(built, model_folder, tmp_path):
    environment = tmp_path / "env"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    wheel = next(built.glob("*.whl"))
    install = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run(install, check=True, cwd=tmp_path)
    write_video(tmp_path / "clip.mp4", light_frames(30, 15, seed=3), fps=15)
    command = [environment / "bin" / "videoseq", "label", "clip.mp4", "--model", model_folder, "--out", "labels"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "labels" / "clip.mp4.frames.csv").read_text(encoding="utf-8").splitlines()) == 31
    code = "import importlib.util as u; print([n for n in ('pipelines', 'tests', 'configs') if u.find_spec(n)])"
    found = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

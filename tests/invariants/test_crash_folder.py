"""A folder that is not a run's own to write into: another run's, another model's, one on a full disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import check_one_line, contents, json_lines
from tests.support.index_videos import write_video
from tests.support.light_clips import light_frames
from videoseq.storage.lock import locked_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no such locks elsewhere")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", light_frames(5, 3, seed=8), fps=20)


def test_a_second_run_into_a_folder_is_refused(call, model_folder, clip, tmp_path):
    out = tmp_path / "out"
    for workers in (1, 2):
        with locked_folder(out, on_notice=pytest.fail):
            ended = call("label", clip, "--model", model_folder, "--out", out, "--workers", workers)
            check_one_line(ended, 74, str(out), f"process {os.getpid()} on ", " is using this folder; wait until")
            assert os.listdir(out) == [".videoseq.lock"]
    assert not out.exists()


def test_another_models_labels_are_not_mixed_with_ones_own(call, model_folder, clip, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    shutil.copytree(model_folder, other)
    (other / "model.json").write_bytes((model_folder / "model.json").read_bytes() + b"\n")
    args = ("label", clip, "--out", out, "--no-isolate", "--runtime", "torch")
    assert call(*args, "--model", model_folder).status == 0
    before = contents(out)
    for more in ([], ["--workers", "2"]):
        ended = call(*args, "--model", other, *more)
        check_one_line(
            ended, 74, f"{out}: was labeled by another model ({model_folder}, ", "another --out", "--overwrite"
        )
    assert contents(out) == before
    assert call(*args, "--model", other, "--overwrite").status == 0
    assert (
        len({str(result["model_sha256"]) for result in json_lines(out / "results.jsonl")}) == 2
    )  # one after the other
    check_one_line(call(*args, "--model", model_folder), 74, f"was labeled by another model ({other}, ")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "\udcff"])
def test_a_record_of_a_run_that_is_none_is_named(text, call, model_folder, clip, tmp_path):
    (tmp_path / "run.json").write_text(text, errors="surrogateescape")
    ended = call("label", clip, "--model", model_folder, "--out", tmp_path)
    check_one_line(
        ended, 74, f"{tmp_path / 'run.json'}: expected the record of a run, got something else; move the file away"
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_a_model_that_cannot_be_loaded_leaves_no_folder(workers, call, model_folder, clip, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(model_folder, model)
    (model / "model.safetensors").write_bytes(b"damaged")
    args = ("label", clip, "--model", model, "--workers", workers, "--runtime", "torch")
    check_one_line(call(*args, "--out", tmp_path / "new" / "out"), 2, str(model), "model.safetensors")
    assert not (tmp_path / "new").exists()


_ON_A_DISK = 'mount -t tmpfs -o size=64k videoseq "$1"'
_ON_A_FULL_DISK = """
at=$1 full=$2; shift 2
head -c 32768 /dev/zero > "$at/ballast"
"$@" --out "$at"; status=$?
rm "$at/ballast"
cp -a "$at" "$full"
"$@" --out "$at" || exit
cp -a "$at" "$full.again"
exit $status
"""
_WITHOUT_ROOM = """
at=$1 full=$2; shift 2
(ulimit -f 16; "$@" --out "$at"); status=$?
cp -a "$at" "$full"
"$@" --out "$at" || exit
cp -a "$at" "$full.again"
exit $status
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux does")
def test_a_disk_that_is_full_in_the_middle_of_a_run_costs_nothing_but_time(cli, model_folder, tmp_path):
    """A disk of 64 KiB, of which half is taken; where none may be mounted, files that may not exceed 8 KiB."""
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in" / "a.mp4", light_frames(5, 3, seed=1), fps=20)
    write_video(tmp_path / "in" / "b.mp4", light_frames(600, 300, seed=2), fps=240)
    args = ["label", str(tmp_path / "in"), "--model", str(model_folder), "--no-isolate", "--runtime", "torch"]
    (at := tmp_path / "at").mkdir()
    assert cli(*args, "--out", tmp_path / "undisturbed").returncode == 0
    alone = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    can_mount = subprocess.run([*alone, _ON_A_DISK, "sh", at], capture_output=True, check=False).returncode == 0
    start = [*alone, f"{_ON_A_DISK} && {_ON_A_FULL_DISK}"] if can_mount else ["sh", "-c", _WITHOUT_ROOM]
    command = [*start, "sh", at, tmp_path / "full", Path(sys.executable).with_name("videoseq"), *args]
    run = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=300, check=False)
    what = "No space left on device" if can_mount else "File too large"
    errors = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert run.returncode == 74, run.stderr
    assert errors == [f"error: {at / 'b.mp4.frames.csv'}: could not be written; {what}"]
    undisturbed = contents(tmp_path / "undisturbed")
    full = contents(tmp_path / "full")
    assert sorted(full) == ["a.mp4.frames.csv", "a.mp4.segments.csv", "results.jsonl", "run.json"]
    assert [result["path"] for result in json_lines(tmp_path / "full" / "results.jsonl")] == [f"{tmp_path}/in/a.mp4"]
    assert all(undisturbed[name] == full[name] for name in full if name != "results.jsonl")
    assert contents(tmp_path / "full.again") == undisturbed

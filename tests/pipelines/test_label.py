"""videoseq label: exit status, what goes to stdout and stderr, which files appear; never a traceback."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Call, Cli, Ended, check_one_line, contents, json_lines
from tests.support.index_videos import write_spelled
from tests.support.stderr import said_but_progress
from videoseq.config.runtime import RuntimeChoice
from videoseq.inference import model as labeling
from videoseq.inference.model import Model, open_model
from videoseq.jobs import worker

Label = Callable[..., Ended]


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Model:
    return open_model(model_folder, RuntimeChoice("cpu", "torch", "float32"))


@pytest.fixture
def label(call: Call, model: Model, model_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Label:
    """``videoseq label`` into ``out``, with a model that is loaded once for all tests."""
    monkeypatch.setattr(labeling, "open_model", lambda folder, choice: model)
    monkeypatch.setattr(worker, "open_model", lambda folder, choice: model)  # it has the name of its own
    return lambda *args: call("label", *args, "--model", model_folder, "--out", tmp_path / "out")


@pytest.fixture(scope="module")
def mixed(cli: Cli, model_folder: Path, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """A run with one good input, one bad and one missing; the folder of ``in`` and ``out``."""
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "in").mkdir()
    shutil.copy(clip, folder / "in" / "good.mp4")
    (folder / "in" / "text.mp4").write_text("I am no video. " * 99)
    run = cli("label", *MIXED, "--model", model_folder, "--out", "out", cwd=folder)
    return folder, Ended(run.returncode, run.stdout, run.stderr)


MIXED = ("in", "missing.mp4")


def test_some_failed_is_said_in_the_status_and_a_line_each(mixed):
    folder, ended = mixed
    assert (ended.status, ended.out) == (3, "")
    with (folder / "out" / "good.mp4.frames.csv").open(newline="", encoding="utf-8") as file:
        share = [row["label"] for row in csv.DictReader(file)].count("bright") / 20
    assert 0.5 < share < 1.0
    assert said_but_progress(ended.err) == [
        "complete: in/good.mp4: 20 frames, 1.00 s",
        "failed: not_video: in/text.mp4: expected a video, got a file that no decoder recognizes",
        "failed: not_found: missing.mp4: expected a video file, found nothing there",
        "3 videos: 1 complete, 0 degraded, 2 failed",
        "labels are in out: NAME.frames.csv and NAME.segments.csv for each video",
        f"share of the frames: bright {100 * share:.1f} %, dark {100 * (1 - share):.1f} %",
        "segments: dark 1, bright 1",
    ]


def test_results_and_failures_have_a_line_each(mixed, model_folder):
    folder, _ = mixed
    results = json_lines(folder / "out" / "results.jsonl")
    assert [(r["path"], r["state"], r["code"]) for r in results] == [
        ("in/good.mp4", "complete", ""),
        ("in/text.mp4", "failed", "not_video"),
        ("missing.mp4", "failed", "not_found"),
    ]
    assert json_lines(folder / "out" / "failures.jsonl") == results[1:]
    assert sorted(contents(folder / "out")) == [
        "failures.jsonl",
        "good.mp4.frames.csv",
        "good.mp4.segments.csv",
        "results.jsonl",
        "run.json",
    ]
    run = json.loads((folder / "out" / "run.json").read_text())
    assert (run["inputs"], run["model"]) == (list(MIXED), str(model_folder))


def test_a_second_run_labels_nothing_again(mixed, cli, model_folder):
    """In its own process, and with ``--json``, which puts the results on stdout."""
    folder, _ = mixed
    labels = [folder / "out" / f"good.mp4.{kind}.csv" for kind in ("frames", "segments")]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in labels]
    run = cli("label", *MIXED, "--model", model_folder, "--out", "out", "--json", cwd=folder)
    assert run.returncode == 3
    assert [line.split(": ")[:2] for line in said_but_progress(run.stderr)] == [
        ["failed before", "not_video"],
        ["failed", "not_found"],
        ["3 videos", "1 complete, 0 degraded, 2 failed, 1 of them before; retry_failed (--retry-failed) tries again"],
    ]
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in labels] == before
    results = json.loads(run.stdout)
    assert [(r["path"], r["state"]) for r in results] == [
        ("in/good.mp4", "complete"),
        ("in/text.mp4", "failed"),
        ("missing.mp4", "failed"),
    ]


def test_a_second_run_leaves_every_byte_as_it_was(label, clip, tmp_path):
    args = (clip, "--quiet")
    assert label(*args) == Ended(0, "", "")
    before = contents(tmp_path / "out")
    assert label(*args) == Ended(0, "", "")
    assert contents(tmp_path / "out") == before


def test_a_second_run_with_a_failure_leaves_every_byte_as_it_was(label, tmp_path):
    (tmp_path / "empty.mp4").touch()
    video = tmp_path / "empty.mp4"
    assert label(video).status == 4
    before = contents(tmp_path / "out")
    assert label(video).status == 4
    assert contents(tmp_path / "out") == before  # results.jsonl has one line per input, however often it is tried


def test_a_failed_video_that_was_mended_is_labeled(label, clip, tmp_path):
    video = tmp_path / "clip.mp4"
    assert label(video).status == 4
    shutil.copy(clip, tmp_path)
    assert label(video).status == 0
    assert (tmp_path / "out" / "clip.mp4.frames.csv").exists()
    assert (tmp_path / "out" / "failures.jsonl").read_text() == ""


def test_overwrite_labels_again(label, clip):
    assert "complete" in label(clip).err
    assert label(clip).err == ""
    assert "complete" in label(clip, "--overwrite").err


def test_all_failed_has_a_status_of_its_own(label, tmp_path):
    (tmp_path / "empty.mp4").touch()
    ended = label(tmp_path / "empty.mp4", "gone.mp4")
    assert (ended.status, ended.out) == (4, "")
    *failed, summary = ended.err.splitlines()
    assert [line.split(": ")[:2] for line in failed] == [["failed", "empty"], ["failed", "not_found"]]
    assert summary == "2 videos: 0 complete, 0 degraded, 2 failed"
    assert len(json_lines(tmp_path / "out" / "failures.jsonl")) == 2


def test_a_degraded_video_is_not_all_well(label, tmp_path):
    video = write_spelled(tmp_path / "cut.avi", 40, fourcc="MJPG")
    os.truncate(video, video.stat().st_size // 2)
    ended = label(video)
    assert ended.status == 3
    line = ended.err.splitlines()[0]
    assert line.startswith(f"degraded: {video}: ")
    assert "; truncated: " in line


def test_nothing_to_label_is_said(label, tmp_path):
    ended = label(tmp_path)
    assert (ended.status, ended.out) == (5, "")
    assert ended.err == f"nothing to do: no video files in {tmp_path}\n"
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_no_model_is_one_line(call, clip, tmp_path):
    ended = call("label", clip, "--model", tmp_path, "--out", tmp_path / "out")
    check_one_line(ended, 2, str(tmp_path), "expected a model folder with model.json in it")
    assert os.listdir(tmp_path) == []


def test_two_videos_of_one_name_are_refused_before_any_work(label, clip, tmp_path):
    shutil.copy(clip, tmp_path)
    ended = label(clip, tmp_path / "clip.mp4")
    check_one_line(ended, 2, str(clip), str(tmp_path / "clip.mp4"), "would both write")
    assert os.listdir(tmp_path) == ["clip.mp4"]


def test_a_device_that_is_not_there_is_one_line(call, model_folder, clip, tmp_path):
    args = ("label", clip, "--model", model_folder, "--out", tmp_path / "out", "--device")
    check_one_line(call(*args, "tpu"), 2, "device: expected auto, cpu, cuda or cuda:N, got 'tpu'")
    check_one_line(call(*args, "cuda:99"), 2, "cuda:99 asked for, but torch sees")


def test_an_out_that_is_a_file_is_an_error_of_the_output(label, clip, tmp_path):
    (tmp_path / "out").write_text("precious")
    check_one_line(label(clip), 74, str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "precious"


def test_a_full_disk_ends_the_run_with_its_own_status(label, clip, tmp_path, monkeypatch):
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    ended = label(clip)
    check_one_line(ended, 74, str(tmp_path / "out"), "could not be written; No space left on device")
    assert contents(tmp_path) == {}


def test_a_name_too_long_for_the_system_stops_nothing(label, clip, tmp_path):
    ended = label("n" * 300 + ".mp4", clip)
    assert "Traceback" not in ended.err
    assert ended.status == 3
    assert [r["state"] for r in json_lines(tmp_path / "out" / "results.jsonl")] == ["failed", "complete"]

"""The real command: exit status, what goes to stdout and stderr, which files appear; never a traceback."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

from pipelines.__main__ import app, main
from pipelines.console import Console
from tests.conftest import Cli, light_frames
from tests.support.index_videos import write_spelled, write_video
from tests.support.stderr import said_but_progress
from videoseq.config.yaml_file import load_settings
from videoseq.storage.lock import locked_folder

COMMANDS = ["check", "demo", "train", "evaluate", "label", "quantize", "features", "doctor"]


class Ended(NamedTuple):
    status: int
    out: str
    err: str


Call = Callable[..., Ended]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """The program in this process, for the many cases that need no process of their own."""

    def run(*args: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["videoseq", *map(str, args)])
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # typer puts its own there
        before = signal.getsignal(signal.SIGTERM)
        capfd.readouterr()
        try:
            with pytest.raises(SystemExit) as caught:
                main()
        finally:
            signal.signal(signal.SIGTERM, before)
        return Ended(int(caught.value.code or 0), *capfd.readouterr())

    return run


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


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", light_frames(20, 10, seed=8), fps=20)


@pytest.fixture(scope="module")
def cache(model_folder: Path) -> Path:
    """Where the features of the training clips are already."""
    return model_folder.parent / "features"


# help and usage


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


# label


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
    _, ended = mixed
    assert (ended.status, ended.out) == (3, "")
    assert said_but_progress(ended.err) == [
        "complete: in/good.mp4: 20 frames, 1.00 s",
        "failed: not_video: in/text.mp4: expected a video, got a file that no decoder recognises",
        "failed: not_found: missing.mp4: expected a video file, found nothing there",
        "3 videos: 1 complete, 0 degraded, 2 failed",
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
        ["3 videos", "1 complete, 0 degraded, 2 failed, 1 of them before; --retry-failed tries again"],
    ]
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in labels] == before
    results = json.loads(run.stdout)
    assert [(r["path"], r["state"]) for r in results] == [
        ("in/good.mp4", "complete"),
        ("in/text.mp4", "failed"),
        ("missing.mp4", "failed"),
    ]


def test_a_second_run_leaves_every_byte_as_it_was(call, model_folder, clip, tmp_path):
    args = ("label", clip, "--model", model_folder, "--out", tmp_path / "out", "--quiet")
    assert call(*args) == Ended(0, "", "")
    before = contents(tmp_path / "out")
    assert call(*args) == Ended(0, "", "")
    assert contents(tmp_path / "out") == before


def test_a_second_run_with_a_failure_leaves_every_byte_as_it_was(call, model_folder, tmp_path):
    (tmp_path / "empty.mp4").touch()
    args = ("label", tmp_path / "empty.mp4", "--model", model_folder, "--out", tmp_path / "out")
    assert call(*args).status == 4
    before = contents(tmp_path / "out")
    assert call(*args).status == 4
    assert contents(tmp_path / "out") == before  # results.jsonl has one line per input, however often it is tried


def test_a_failed_video_that_was_mended_is_labelled(call, model_folder, clip, tmp_path):
    args = ("label", tmp_path / "clip.mp4", "--model", model_folder, "--out", tmp_path / "out")
    assert call(*args).status == 4
    shutil.copy(clip, tmp_path)
    assert call(*args).status == 0
    assert (tmp_path / "out" / "clip.mp4.frames.csv").exists()
    assert (tmp_path / "out" / "failures.jsonl").read_text() == ""


def test_overwrite_labels_again(call, model_folder, clip, tmp_path):
    args = ("label", clip, "--model", model_folder, "--out", tmp_path / "out")
    assert "complete" in call(*args).err
    assert call(*args).err == ""
    assert "complete" in call(*args, "--overwrite").err


def test_all_failed_has_a_status_of_its_own(call, model_folder, tmp_path):
    (tmp_path / "empty.mp4").touch()
    ended = call("label", tmp_path / "empty.mp4", "gone.mp4", "--model", model_folder, "--out", tmp_path / "out")
    assert (ended.status, ended.out) == (4, "")
    *failed, summary = ended.err.splitlines()
    assert [line.split(": ")[:2] for line in failed] == [["failed", "empty"], ["failed", "not_found"]]
    assert summary == "2 videos: 0 complete, 0 degraded, 2 failed"
    assert len(json_lines(tmp_path / "out" / "failures.jsonl")) == 2


def test_a_degraded_video_is_not_all_well(call, model_folder, tmp_path):
    video = write_spelled(tmp_path / "cut.avi", 40, fourcc="MJPG")
    os.truncate(video, video.stat().st_size // 2)
    ended = call("label", video, "--model", model_folder, "--out", tmp_path / "out")
    assert ended.status == 3
    line = ended.err.splitlines()[-1]
    assert line.startswith(f"degraded: {video}: ")
    assert "; truncated: " in line


def test_nothing_to_label_is_said(call, model_folder, tmp_path):
    ended = call("label", tmp_path, "--model", model_folder, "--out", tmp_path / "out")
    assert (ended.status, ended.out) == (5, "")
    assert ended.err == f"nothing to do: no video files in {tmp_path}\n"
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_no_model_is_one_line(call, clip, tmp_path):
    ended = call("label", clip, "--model", tmp_path, "--out", tmp_path / "out")
    check_one_line(ended, 2, str(tmp_path), "expected a model folder with model.json in it")
    assert os.listdir(tmp_path) == []


def test_two_videos_of_one_name_are_refused_before_any_work(call, model_folder, clip, tmp_path):
    shutil.copy(clip, tmp_path)
    ended = call("label", clip, tmp_path / "clip.mp4", "--model", model_folder, "--out", tmp_path / "out")
    check_one_line(ended, 2, str(clip), str(tmp_path / "clip.mp4"), "would both write")
    assert os.listdir(tmp_path) == ["clip.mp4"]


def test_a_device_that_is_not_there_is_one_line(call, model_folder, clip, tmp_path):
    args = ("label", clip, "--model", model_folder, "--out", tmp_path / "out", "--device")
    check_one_line(call(*args, "tpu"), 2, "device: expected auto, cpu, cuda or cuda:N, got 'tpu'")
    check_one_line(call(*args, "cuda:99"), 2, "cuda:99 asked for, but torch sees")


def test_an_out_that_is_a_file_is_an_error_of_the_output(call, model_folder, clip, tmp_path):
    (tmp_path / "out").write_text("precious")
    check_one_line(call("label", clip, "--model", model_folder, "--out", tmp_path / "out"), 74, str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "precious"


def test_a_full_disk_ends_the_run_with_its_own_status(call, model_folder, clip, tmp_path, monkeypatch):
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    ended = call("label", clip, "--model", model_folder, "--out", tmp_path / "out")
    check_one_line(ended, 74, str(tmp_path / "out"), "could not be written; No space left on device")
    assert contents(tmp_path) == {}


def test_a_name_too_long_for_the_system_stops_nothing(call, model_folder, clip, tmp_path):
    ended = call("label", "n" * 300 + ".mp4", clip, "--model", model_folder, "--out", tmp_path / "out")
    assert "Traceback" not in ended.err
    assert ended.status == 3
    assert [r["state"] for r in json_lines(tmp_path / "out" / "results.jsonl")] == ["failed", "complete"]


# train


def test_the_printed_config_loads_back(cli, call, tmp_path):
    run = cli("train", "--print-config", "--set", "head.cell=lstm", "--set", "sample_hz=null")
    assert (run.returncode, run.stderr) == (0, "")
    (tmp_path / "config.yaml").write_text(run.stdout)
    settings = load_settings(tmp_path / "config.yaml")
    assert settings == load_settings(overrides=["head.cell=lstm", "sample_hz=null"])
    assert call("train", "--config", tmp_path / "config.yaml", "--print-config").out == run.stdout


def test_a_typo_in_the_config_names_the_nearest_setting(cli, tmp_path):
    (tmp_path / "config.yaml").write_text("training:\n  learning_rte: 0.1\n")
    run = cli("train", "clips", "--out", "model", "--config", "config.yaml", cwd=tmp_path)
    ended = Ended(run.returncode, run.stdout, run.stderr)
    check_one_line(ended, 2, "config.yaml: training.learning_rte", "did you mean 'learning_rate'?")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("head.sell=gru", ["head.sell: unknown setting", "'cell'"]),
        ("head.hidden_size=0", ["head.hidden_size", "greater than or equal to 1"]),
        ("head.cell=perceptron", ["head.cell", "'gru'", "'perceptron'"]),
        ("head", ["--set: expected key.path=value, got 'head'"]),
        ("sample_hz=.nan", ["sample_hz", "finite number"]),
        ("head.cell=[", ["--set head.cell: not valid YAML"]),
        ("seed.x.y=1", ["seed: unknown setting"]),
    ],
)
def test_a_wrong_setting_is_one_line(setting, words, call):
    check_one_line(call("train", "clips", "--out", "model", "--set", setting), 2, *words)


def test_a_config_that_is_missing_or_no_yaml_is_one_line(call, tmp_path):
    (tmp_path / "bad.yaml").write_text("head: [\n")
    for name in ("bad.yaml", "gone.yaml"):
        ended = call("train", "clips", "--out", "model", "--config", tmp_path / name)
        check_one_line(ended, 2, str(tmp_path / name))


def test_a_missing_dataset_is_one_line(call, tmp_path):
    ended = call("train", tmp_path / "gone", "--out", tmp_path / "model")
    check_one_line(ended, 2, f"{tmp_path / 'gone'}: expected a folder of clips or a manifest CSV, found nothing there")
    assert os.listdir(tmp_path) == []


def test_a_dataset_without_annotations_is_one_line(call, clip, tmp_path):
    shutil.copy(clip, tmp_path)
    ended = call("train", tmp_path, "--out", tmp_path / "model")
    check_one_line(ended, 2, str(tmp_path), "expected annotated clips", "got none")


def test_a_wrong_column_names_the_file(call, clip, tmp_path):
    shutil.copy(clip, tmp_path)
    (tmp_path / "clip.csv").write_text("start_s,stop,label\n0,1,dark\n")
    ended = call("train", tmp_path, "--out", tmp_path / "model", "--cache", tmp_path / "cache")
    check_one_line(ended, 2, str(tmp_path / "clip.csv"), "expected the columns", "start_s,stop_s,label", "'stop_s'")
    assert sorted(os.listdir(tmp_path)) == ["clip.csv", "clip.mp4"]


def test_one_class_alone_is_not_trained_on(call, clip, tmp_path):
    shutil.copy(clip, tmp_path)
    (tmp_path / "clip.csv").write_text("start_s,stop_s,label\n0,1,dark\n")
    ended = call("train", tmp_path, "--out", tmp_path / "model", "--cache", tmp_path / "cache", "--quiet")
    check_one_line(ended, 2, "expected labelled frames of two classes or more")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]], ids=["plain", "overwrite"])
def test_an_out_that_is_no_model_is_refused_before_any_work(overwrite, call, light_dataset, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.tex").write_text("precious")
    ended = call("train", light_dataset, "--out", tmp_path / "model", "--cache", tmp_path / "cache", *overwrite)
    check_one_line(ended, 74, str(tmp_path / "model"), "expected a new folder or a model to replace")
    assert list(contents(tmp_path)) == ["model/thesis.tex"]


def test_a_second_training_of_one_model_is_refused(call, light_dataset, tmp_path):
    with locked_folder(tmp_path / "model.training", on_notice=pytest.fail):
        ended = call("train", light_dataset, "--out", tmp_path / "model")
        holder = f"{tmp_path / 'model.training'}: process {os.getpid()} on "
        check_one_line(ended, 74, holder, "is at work there; wait until it has ended, or choose another --out")
    assert not list(tmp_path.iterdir())


def test_a_model_is_not_replaced_unasked(call, model_folder, light_dataset):
    before = contents(model_folder)
    ended = call("train", light_dataset, "--out", model_folder)
    check_one_line(ended, 74, str(model_folder), "a model stands there already", "--overwrite")
    assert contents(model_folder) == before


def test_a_second_training_decodes_nothing(model_folder, cache, light_dataset, tmp_path, monkeypatch):
    """The videos' bytes are read, to know them by; no decoder is asked for a frame."""
    from pipelines import train
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.video.isolation import DecoderProcess
    from videoseq.video.reader import VideoReader

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError(f"a video was opened: {args}")

    monkeypatch.setattr(DecoderProcess, "open", refuse)
    monkeypatch.setattr(VideoReader, "__init__", refuse)
    settings = load_settings(overrides=["training.max_epochs=1", "head.hidden_size=16"])
    out, given = tmp_path / "model", {"choice": RuntimeChoice(device="cpu"), "overwrite": True}
    train.run(light_dataset, settings, out, Console(quiet=True), cache=cache, **given)
    assert (out / "model.safetensors").exists()
    with pytest.raises(AssertionError, match="a video was opened"):  # nothing gets past the refusal
        train.run(light_dataset, settings, out, Console(quiet=True), cache=tmp_path / "new", **given)


@pytest.mark.slow
def test_a_swept_cross_validated_ensemble_labels_like_any_model(call, cache, light_dataset, clip, tmp_path):
    out = tmp_path / "model"
    ended = call(
        "train", light_dataset, "--out", out, "--cache", cache, "--cv", 2, "--ensemble", 2, "--sweep", 2, "--verbose",
        "--set", "training.max_epochs=2", "--set", "decoding.method=hysteresis", "--precision", "float32", "--json",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    metrics = json.loads(ended.out)
    assert {"swept", "cross_validated"} <= {notice["code"] for notice in metrics["notices"]}
    assert (metrics["measured_on"], len(metrics["folds"]), len(metrics["videos"])) == ("cross-validation", 2, 6)
    for line in ("sweep: trial 1: macro F1", "head, fold 2 of 2, network 2: epoch 1", "macro F1 over the 2 folds: "):
        assert line in ended.err
    described = json.loads((out / "model.json").read_text())
    assert (described["num_members"], described["settings"]["decoding"]["margin"]) == (2, "tuned")
    ended = call("label", clip, "--model", out, "--out", tmp_path / "labels", "--quiet")
    assert ended.status == 0, ended.err


@pytest.mark.slow
def test_a_model_that_looks_ahead_says_so_wherever_it_goes(call, cache, light_dataset, clip, tmp_path):
    model = tmp_path / "model"
    ended = call(
        "train", light_dataset, "--out", model, "--cache", cache, "--quiet", "--precision", "float32",
        "--set", "training.max_epochs=1", "--set", "head.hidden_size=16",
        "--set", "decoding={method: lag, evidence_weight: 0.2, delay_seconds: 0.5}",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    said = "lag, evidence weight 0.2, looks 0.5 s ahead"
    assert said in (model / "README.md").read_text()
    assert said in (model / "report.html").read_text()
    ended = call("label", clip, "--model", model, "--out", tmp_path / "labels", "--precision", "float32", "--quiet")
    assert ended.status == 0, ended.err
    run = json.loads((tmp_path / "labels" / "run.json").read_text())
    assert run["label_decoding"] == {"method": "lag", "evidence_weight": 0.2, "delay_seconds": 0.5}
    with (tmp_path / "labels" / "clip.mp4.frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == list(range(20))
    for row in rows:
        probabilities = {name: float(row[f"p_{name}"]) for name in ("bright", "dark")}
        assert row["raw_label"] == max(probabilities, key=probabilities.__getitem__)
        assert float(row["confidence"]) == probabilities[row["label"]]
    options = ("--out", tmp_path / "out", "--cache", cache, "--quiet")
    assert call("evaluate", model, light_dataset, *options).status == 0
    assert said in (tmp_path / "out" / "report.html").read_text()


def test_shorthands_of_settings_are_held_to_the_same_rules(call, light_dataset, tmp_path):
    for option, value, words in (("--cv", "rooms", "data.cross_validation"), ("--ensemble", 0, "training.ensemble")):
        ended = call("train", light_dataset, "--out", tmp_path / "model", option, value)
        check_one_line(ended, 2, words)


# evaluate


def test_evaluate_writes_metrics_and_a_report(call, model_folder, light_dataset, cache, tmp_path):
    ended = call("evaluate", model_folder, light_dataset, "--out", tmp_path / "out", "--cache", cache, "--json")
    assert ended.status == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["metrics.json", "report.html"]
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert json.loads(ended.out) == metrics
    keys = [
        "background",
        "folds",
        "labellers",
        "measured_on",
        "model_minus_no_context",
        "notices",
        "schema_version",
        "task",
        "videos",
    ]
    assert sorted(metrics) == keys
    assert sorted(metrics["labellers"]) == ["majority class", "model", "no context"]
    assert (metrics["measured_on"], metrics["schema_version"]) == ("all", 2)
    assert [video["video"] for video in metrics["videos"]] == [f"clip{number}.mp4" for number in range(6)]
    of_model = metrics["labellers"]["model"]
    accuracy, majority = (of["headline"]["accuracy"] for of in (of_model, metrics["labellers"]["majority class"]))
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert accuracy["value"] > majority["value"]
    in_videos = sum(video["labellers"]["model"]["num_frames"] for video in metrics["videos"])
    assert of_model["num_frames"] == in_videos == 2 * (20 + 25 + 30) * 2
    assert "95 % intervals over 6 videos" in ended.err
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert "<svg" in page
    assert "accuracy" in ended.err


def test_a_class_that_the_model_lacks_is_named(call, model_folder, light_dataset, cache, tmp_path):
    shutil.copy(light_dataset / "clip0.mp4", tmp_path)
    (tmp_path / "clip0.csv").write_text("start_s,stop_s,label\n0,1,dark\n1,2,brigth\n")
    ended = call("evaluate", model_folder, tmp_path, "--out", tmp_path / "out", "--cache", cache)
    check_one_line(ended, 2, str(tmp_path / "clip0.csv"), "row 3", "unknown class 'brigth'", "did you mean 'bright'?")
    assert not (tmp_path / "out").exists()


def test_a_split_that_is_none_or_empty_is_one_line(call, model_folder, light_dataset, cache, tmp_path):
    args = ("evaluate", model_folder, light_dataset, "--out", tmp_path / "out", "--cache", cache, "--split")
    check_one_line(call(*args, "tests"), 2, "--split: expected train, val, test, got 'tests'", "did you mean 'test'?")
    check_one_line(call(*args, "test"), 2, f"{light_dataset}: expected clips of the split test, got none")
    assert os.listdir(tmp_path) == []


# features


def test_features_writes_vectors_and_their_frames(call, clip, tmp_path):
    ended = call(
        "features", clip, "gone.mp4", "--out", tmp_path / "out", "--cache", tmp_path / "cache", "--sample-hz", "5"
    )
    assert (ended.status, ended.out) == (3, "")
    assert ended.err.splitlines() == [
        f"complete: {clip}: 6 rows of 3840",
        "failed: not_found: gone.mp4: expected a video file, found nothing there",
        "2 videos: 1 complete, 0 degraded, 1 failed",
    ]
    assert sorted(os.listdir(tmp_path / "out")) == [
        "clip.mp4.features.csv", "clip.mp4.features.npy", "failures.jsonl", "results.jsonl", "run.json"
    ]  # fmt: skip
    vectors = np.load(tmp_path / "out" / "clip.mp4.features.npy", allow_pickle=False)
    with (tmp_path / "out" / "clip.mp4.features.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert vectors.shape == (len(rows), 3840) == (6, 3840)
    assert [float(row["time_s"]) for row in rows] == [int(row["frame"]) / 20 for row in rows]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--sample-hz", "-1"], ["sample_hz", "greater than 0"]),
        (["--sample-hz", "nan"], ["sample_hz"]),
        (
            ["--backbone", "eficientnet_lite0"],
            ["backbone.name: unknown backbone", "did you mean 'efficientnet_lite0'?"],
        ),
    ],
)
def test_features_with_a_wrong_option_is_one_line(args, words, call, clip, tmp_path):
    check_one_line(call("features", clip, "--out", tmp_path / "out", "--cache", tmp_path, *args), 2, *words)
    assert os.listdir(tmp_path) == []


# doctor


@pytest.mark.slow
def test_doctor_lists_what_this_machine_will_use(cli):
    run = cli("doctor", "--json")
    assert (run.returncode, run.stderr) == (0, "")
    facts = json.loads(run.stdout)
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    for name in ("videoseq", "torch", "opencv-python", "pytorch-lightning", "numpy", "safetensors"):
        assert facts[name][0].isdigit(), name
    assert re.match(r"avcodec \d+\.\d+\.\d+, avformat \d+", facts["FFmpeg in OpenCV"])
    assert facts["interlaced video"] in ("read by OpenCV", "read by PyAV")
    assert facts["efficientnet_lite0"].startswith("ready, openvino ")
    speeds = {name: fact for name, fact in facts.items() if "frames/s measured" in str(fact)}
    assert {"openvino float32", "torch float32"} <= set(speeds)
    assert [name for name, fact in speeds.items() if fact.endswith("*")] == ["openvino float32"]
    assert all(int(fact.split()[0]) > 1 for fact in speeds.values())
    assert facts["cpu cores"] >= 1


# signals


class Stopped(NamedTuple):
    status: int
    err: str
    out: Path
    args: Sequence[str]


_SIGNALS = {"SIGINT": 3000, "SIGTERM": 3000, "SIGKILL": 600}
"""What is sent, and the frames of the second video, at which it is sent; the killed run is repeated to its end."""


@pytest.fixture(scope="module")
def stopped(model_folder: Path, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Stopped]]:
    """Runs that labelled a first video and got a signal in the middle of a second; all at the same time."""
    folder = tmp_path_factory.mktemp("stopped")
    program = str(Path(sys.executable).with_name("videoseq"))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # if ignored here, it would be ignored there
    running = {}
    try:
        for name, num_frames in _SIGNALS.items():
            videos, out = folder / name / "in", folder / name / "out"
            videos.mkdir(parents=True)
            shutil.copy(clip, videos / "a.mp4")
            write_spelled(videos / "b.mp4", num_frames, fps=10)
            args = ["label", str(videos), "--model", str(model_folder), "--out", str(out), "--device", "cpu"]
            with (folder / f"{name}.err").open("w") as err:
                running[name] = subprocess.Popen([program, *args], stdout=subprocess.PIPE, stderr=err), out, args
        for name, (process, out, _) in running.items():
            _wait_until(lambda out=out: _is_at_the_second_video(out), process)
            process.send_signal(signal.Signals[name])
        ended = {}
        for name, (process, out, args) in running.items():
            stdout, _ = process.communicate(timeout=60)
            assert stdout == b""
            ended[name] = Stopped(process.returncode, (folder / f"{name}.err").read_text(), out, args)
        yield ended
    finally:
        signal.signal(signal.SIGINT, before)
        for process, _, _ in running.values():
            process.kill()
            process.communicate()


def _is_at_the_second_video(out: Path) -> bool:
    return (out / "results.jsonl").exists() and len(list(out.glob(".*.part"))) == 2


def _wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < deadline, "the run did not get there"
        time.sleep(0.02)


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_stopped_run_leaves_nothing_half_written(name, status, stopped):
    ended = stopped[name]
    assert ended.status == status
    assert "Traceback" not in ended.err
    assert said_but_progress(ended.err)[0].startswith("complete: ")
    assert sorted(contents(ended.out)) == ["a.mp4.frames.csv", "a.mp4.segments.csv", "results.jsonl", "run.json"]
    assert [Path(str(r["path"])).name for r in json_lines(ended.out / "results.jsonl")] == ["a.mp4"]


def test_an_interrupted_run_says_so_in_one_line(stopped):
    assert said_but_progress(stopped["SIGINT"].err)[1:] == ["error: interrupted"]


def test_a_killed_run_repeated_leaves_what_an_undisturbed_one_leaves(stopped, call, tmp_path):
    ended = stopped["SIGKILL"]
    assert ended.status == -signal.SIGKILL
    again = call(*ended.args)
    assert again.status == 0
    assert "a.mp4" not in again.err
    undisturbed = [text if text != str(ended.out) else str(tmp_path / "out") for text in ended.args]
    assert call(*undisturbed).status == 0
    assert contents(ended.out) == contents(tmp_path / "out")


_INTERRUPT_WHILE_OPENING = """
import io, os, signal, sys
from videoseq.video import safe_file
from videoseq.video.reader import VideoReader

class Interrupting(io.BufferedReader):
    def read(self, size=-1):
        if sys._getframe(1).f_code is safe_file.SafeFile.read.__code__:  # from the decoder
            os.kill(os.getpid(), signal.SIGINT)
        return super().read(size)

safe_file.open_regular_file = lambda path: Interrupting(path.open("rb", buffering=0))
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    VideoReader(sys.argv[1])
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_while_a_video_is_being_opened_does_not_crash(clip):
    """Here the decoder calls back into Python, where an exception would end the process."""
    run = subprocess.run(
        [sys.executable, "-c", _INTERRUPT_WHILE_OPENING, clip], capture_output=True, text=True, check=False, timeout=60
    )
    assert (run.returncode, run.stdout) == (0, "interrupted\n")

"""videoseq train: settings, refusals, and models that label like any other."""

from __future__ import annotations

import csv
import json
import os
import shutil

import pytest

from pipelines.console import Console
from tests.support.commands import Ended, check_one_line, contents
from videoseq.config.yaml_file import load_settings
from videoseq.storage.lock import locked_folder


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
    check_one_line(ended, 2, "expected labeled frames of two classes or more")
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
        check_one_line(ended, 74, holder, "is using this folder; wait until it has ended, or choose another")
    assert not list(tmp_path.iterdir())


def test_a_model_is_not_replaced_unasked(call, model_folder, light_dataset):
    before = contents(model_folder)
    ended = call("train", light_dataset, "--out", model_folder)
    check_one_line(ended, 74, str(model_folder), "there is a model already", "--overwrite")
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
    networks = "cross-validation: 2 folds and then all clips, 12 networks to fit"
    epoch, spread = "head, fold 2 of 2, network 2: epoch 1", "macro F1 of each of 6 groups by itself: from "
    for line in ("sweep: trial 2 of 2: macro F1", networks, epoch, spread):
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
        "--set", "training.max_epochs=1", "--set", "head.hidden_size=16", "--set", "data.cross_validation=null",
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

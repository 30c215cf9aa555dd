"""``videoseq evaluate`` with another labeler in its call: a second annotator, or a previous model."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from pipelines import train
from pipelines.console import Console
from tests.support.commands import check_one_line
from tests.support.model_edits import edit
from videoseq.config.runtime import RuntimeChoice
from videoseq.config.yaml_file import load_settings

SWITCH, NUM_FRAMES, FPS = 10, 40, 20  # of clip0 in light_dataset


def write(path: Path, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def ben(tmp_path: Path) -> Path:
    """Annotations of two clips and of one that does not exist; the light goes on four frames later in the first."""
    rows = ("start_frame,stop_frame,label", "0,14,dark", "14,40,bright")
    write(tmp_path / "ben" / "clip0.csv", *rows)
    write(tmp_path / "ben" / "clip5.csv", "start_s,stop_s,label", "0,0.8333,dark", "0.8333,2,bright")
    write(tmp_path / "ben" / "elsewhere.csv", *rows)
    return tmp_path / "ben"


# a second annotator


def test_kappa_of_a_second_annotator_by_hand(call, light_dataset, ben, tmp_path):
    """In frames against seconds: a video's own times decide."""
    ann = write(tmp_path / "ann.csv", "video,annotation", f"{light_dataset}/clip0.mp4,{light_dataset}/clip0.csv")
    ended = call("evaluate", ben / "clip0.csv", ann, "--json")
    assert ended.status == 0
    metrics = json.loads(ended.out)
    found = metrics["labelers"]["other annotator"]
    dark, dark_to_ben = SWITCH / NUM_FRAMES, 14 / NUM_FRAMES
    by_chance = dark * dark_to_ben + (1 - dark) * (1 - dark_to_ben)
    assert found["headline"]["kappa"]["value"] == pytest.approx((0.9 - by_chance) / (1 - by_chance))
    assert found["confusion"] == [[26, 4], [0, 10]]  # bright, dark
    assert found["bouts"]["bright"]["onset_bias_seconds"] == pytest.approx(4 / FPS)
    assert found["headline"]["mean_average_precision"]["value"] is None
    assert metrics["annotators"] == {
        "targets": {
            "source": str(ann),
            "num_frames": {"bright": 30, "dark": 10},
            "num_bouts": {"bright": 1, "dark": 1},
            "num_only_frames": 0,
            "only": [],
        },
        "labels": {
            "source": str(ben / "clip0.csv"),
            "num_frames": {"bright": 26, "dark": 14},
            "num_bouts": {"bright": 1, "dark": 1},
            "num_only_frames": 0,
            "only": [],
        },
    }
    assert "A: " in ended.err
    assert "4 frames (10.0 %) are 'dark' to A and 'bright' to B" in ended.err


def test_what_only_one_annotated_is_written_and_said(call, light_dataset, ben, tmp_path):
    ended = call("evaluate", ben, light_dataset, "--out", tmp_path / "out", "--json")
    assert ended.status == 0
    assert os.listdir(tmp_path / "out") == ["metrics.json"]
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics == json.loads(ended.out)
    keys = ["annotators", "background", "labelers", "measured_on", "notices", "schema_version", "videos"]
    assert sorted(metrics) == keys
    assert (metrics["schema_version"], metrics["measured_on"]) == (3, "all")
    assert [video["video"] for video in metrics["videos"]] == ["clip0.mp4", "clip5.mp4"]
    accuracies = [video["labelers"]["other annotator"]["accuracy"] for video in metrics["videos"]]
    assert accuracies == [0.9, 1.0]
    videos = [str(light_dataset / f"clip{number}.mp4") for number in (1, 2, 3, 4)]
    assert metrics["annotators"]["targets"]["only"] == videos
    assert metrics["annotators"]["labels"]["only"] == [str(ben / "elsewhere.csv")]
    assert [notice["code"] for notice in metrics["notices"]] == ["annotated_once", "annotated_once"]
    for notice in metrics["notices"]:
        assert f"warning: {notice['code']}: {notice['message']}" in ended.err


def test_many_that_only_one_has_are_all_in_the_json(call, light_dataset, ben):
    for number in range(20):
        write(ben / f"other{number:02}.csv", "frame,label", "0,dark")
    ended = call("evaluate", ben, light_dataset, "--json")
    assert f"{ben / 'other08.csv'} and 11 more; left out" in ended.err
    assert len(json.loads(ended.out)["annotators"]["labels"]["only"]) == 21


def test_the_table_is_on_stdout_and_quiet_is_quiet(call, light_dataset, ben):
    ended = call("evaluate", ben, light_dataset)
    assert ended.status == 0
    for words in (f"A: {ben}", f"B: {light_dataset}", "Cohen's kappa", "bouts A", "100 frames that both labeled"):
        assert words in ended.out
    assert all(line.startswith("warning: ") for line in ended.err.splitlines())
    assert call("evaluate", ben, light_dataset, "--quiet") == (0, "", "")


def test_the_table_of_two_annotators_fits_80_columns(call, light_dataset, tmp_path):
    """With a class whose name alone would fill a line."""
    name = "the animal sits in the corner and grooms its left hind leg"
    for annotator in ("ann", "ben"):
        rows = ("start_frame,stop_frame,label", f"0,20,{name}", "20,40,dark")
        write(tmp_path / annotator / "clip0.csv", *rows)
    manifest = write(tmp_path / "ann.csv", "video,annotation", f"{light_dataset}/clip0.mp4,{tmp_path}/ann/clip0.csv")
    ended = call("evaluate", tmp_path / "ben" / "clip0.csv", manifest)
    assert ended.status == 0, ended.err
    table = [line for line in ended.out.splitlines() if not line.startswith(("A: ", "B: "))]
    assert max(map(len, table)) <= 80
    assert any(line.startswith("the animal sits i…") for line in table)


def test_frames_that_only_one_labeled_are_counted_until_they_have_a_name(call, light_dataset, ben):
    write(ben / "clip0.csv", "start_frame,stop_frame,label", "14,40,bright")
    assert "not compared: 0 frames that only A labeled, 14 that only B did" in call("evaluate", ben, light_dataset).out
    ended = call("evaluate", ben, light_dataset, "--background", "dark", "--json")
    metrics = json.loads(ended.out)
    assert metrics["background"] == "dark"
    assert metrics["labelers"]["other annotator"]["confusion"][0][1] == 4
    assert "not compared" not in ended.err


def test_a_class_misspelled_by_one_annotator_is_named(call, light_dataset, ben):
    write(ben / "clip0.csv", "start_s,stop_s,label", "0,1,dark", "1,2,brigth")
    ended = call("evaluate", ben, light_dataset)
    assert "class_of_one_annotator: only ben has the class 'brigth' (did you mean 'bright'?)" in ended.err
    write(ben / "clip0.csv", "start_s,stop_s,label", "0,1,dark", "1,2,Bright")
    ended = call("evaluate", ben, light_dataset)
    check_one_line(ended, 2, "'Bright'", str(ben / "clip0.csv"), "'bright'", "clip0.csv row 3", "write them alike")


def test_nothing_in_common_is_one_line(call, light_dataset, ben, tmp_path):
    for name in ("clip0", "clip5"):
        os.unlink(ben / f"{name}.csv")
    ended = call("evaluate", ben, light_dataset, "--out", tmp_path / "out")
    check_one_line(ended, 2, "expected the same videos in both, got none in common", "elsewhere.csv", "clip0.mp4")
    assert not (tmp_path / "out").exists()


def test_no_frame_in_common_is_one_line(call, clip_of_two, tmp_path):
    ann, ben = clip_of_two("0,10,dark", "20,40,bright")
    ended = call("evaluate", ben, ann, "--out", tmp_path / "out")
    check_one_line(ended, 2, "expected frames that both annotators labeled, got none, but 10 by ann and 20 by ben")
    assert not (tmp_path / "out").exists()


def test_the_same_file_on_both_sides_is_said(call, light_dataset, tmp_path):
    rows = (f"{light_dataset}/clip{number}.mp4,{light_dataset}/clip{number}.csv" for number in (0, 1))
    ended = call("evaluate", write(tmp_path / "ben.csv", "video,annotation", *rows), light_dataset)
    same = ", ".join(str(light_dataset / f"clip{number}.csv") for number in (0, 1))
    assert f"same_annotation: both annotators have the same file {same}, which" in ended.err


@pytest.fixture
def clip_of_two(light_dataset, tmp_path):
    """Makes two folders with copies of one clip, each annotated by a row."""

    def make(*rows: str) -> list[Path]:
        for folder, row in zip((tmp_path / "ann", tmp_path / "ben"), rows, strict=True):
            write(folder / "clip.csv", "start_frame,stop_frame,label", row)
            shutil.copy(light_dataset / "clip0.mp4", folder / "clip.mp4")
        return [tmp_path / "ann", tmp_path / "ben"]

    return make


def test_copies_of_a_video_are_one_video(call, clip_of_two):
    ann, ben = clip_of_two("0,10,dark", "0,20,dark")
    assert "10 frames that both labeled, in 1 video;" in call("evaluate", ben, ann).out


def test_a_video_that_cannot_be_read_is_one_line(call, clip_of_two):
    ann, ben = clip_of_two("0,10,dark", "0,20,dark")
    for folder in (ann, ben):
        (folder / "clip.mp4").write_text("I am no video. " * 99)
    check_one_line(call("evaluate", ben, ann), 4, str(ann / "clip.mp4"), "expected a video")


def test_a_call_that_makes_no_sense_is_one_line(call, model_folder, light_dataset, ben, tmp_path):
    check_one_line(call("evaluate", light_dataset, model_folder), 2, str(model_folder), "annotated clips, got a model")
    gone = tmp_path / "gone"
    check_one_line(call("evaluate", gone, light_dataset), 2, f"{gone}: expected a model folder or another annotator's")
    compared = call("evaluate", ben, light_dataset, "--baseline", model_folder)
    check_one_line(compared, 2, "--baseline: expected a model to compare it with", str(ben))
    (tmp_path / "empty").mkdir()
    check_one_line(call("evaluate", tmp_path / "empty", light_dataset), 2, str(tmp_path / "empty"), "model.json")


# a previous model


@pytest.fixture(scope="module")
def old_model(light_dataset: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of another backbone and 5 steps a second, with the classes in the other order."""
    folder = tmp_path_factory.mktemp("old") / "old"
    small = ["head.hidden_size=16", "training.max_epochs=4", "data.cross_validation=null"]
    another = ["backbone.name=efficientnet_lite1", "sample_hz=5", "data.classes=[dark, bright]"]
    settings = load_settings(overrides=[*small, *another])
    choice = RuntimeChoice(device="cpu")
    train.run(light_dataset, settings, folder, Console(quiet=True), choice=choice, cache=cache, overwrite=False)
    return folder


@pytest.mark.slow
def test_a_previous_model_stands_beside_as_it_stands_alone(
    call, model_folder, old_model, light_dataset, cache, tmp_path
):
    args = (light_dataset, "--out", tmp_path / "out", "--cache", cache, "--json")
    alone = json.loads(call("evaluate", old_model, *args, "--quiet").out)["labelers"]["model"]
    ended = call("evaluate", model_folder, *args, "--baseline", old_model)
    assert ended.status == 0
    metrics = json.loads(ended.out)
    assert list(metrics["labelers"]) == ["model", "previous model", "no context", "majority class"]
    compared, new = metrics["labelers"]["previous model"], metrics["labelers"]["model"]
    assert list(compared["per_class"]) == ["bright", "dark"] == list(alone["per_class"])[::-1]
    assert compared["per_class"] == alone["per_class"]
    assert compared["confusion"] == [row[::-1] for row in alone["confusion"][::-1]]
    for name, number in alone["headline"].items():
        assert compared["headline"][name]["value"] == pytest.approx(number["value"]), name
    assert compared["headline"]["accuracy"] != new["headline"]["accuracy"]
    for name, difference in metrics["model_minus_previous"].items():
        expected = new["headline"][name]["value"] - compared["headline"][name]["value"]
        assert difference["value"] == pytest.approx(expected), name
    assert set(metrics["videos"][0]["labelers"]) == set(metrics["labelers"])
    assert metrics["previous_model"]["path"] == str(old_model)
    assert "model minus previous model" in ended.err
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<bdi>previous model</bdi></th>" in page
    assert ">model − previous model</th>" in page


def test_a_model_beside_itself_makes_no_difference(call, model_folder, light_dataset, cache):
    args = ("evaluate", model_folder, light_dataset, "--cache", cache, "--json", "--baseline", model_folder)
    metrics = json.loads(call(*args).out)
    assert metrics["labelers"]["model"] == metrics["labelers"]["previous model"]
    assert {difference["value"] for difference in metrics["model_minus_previous"].values()} == {0.0}
    assert metrics["model_minus_previous"]["accuracy"]["p_value"] == 1.0


def test_a_previous_model_of_other_classes_is_one_line(call, model_folder, light_dataset, cache, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(model_folder, other)
    edit(other, lambda values: values.update(classes=["bright", "dim"], majority_class="bright"))
    ended = call("evaluate", model_folder, light_dataset, "--cache", cache, "--baseline", other)
    check_one_line(ended, 2, f"{other}: ", "expected the classes bright, dark", "lacks 'dark'", "also has 'dim'")


def test_without_out_a_model_is_measured_and_nothing_is_written(
    call, model_folder, light_dataset, cache, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    ended = call("evaluate", model_folder, light_dataset, "--cache", cache)
    assert ended.status == 0
    assert "accuracy %" in ended.err
    assert "report.html" not in ended.err
    assert os.listdir(tmp_path) == []


def test_evaluate_writes_metrics_and_a_report(call, model_folder, light_dataset, cache, tmp_path):
    ended = call("evaluate", model_folder, light_dataset, "--out", tmp_path / "out", "--cache", cache, "--json")
    assert ended.status == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["metrics.json", "report.html"]
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert json.loads(ended.out) == metrics
    keys = [
        "background",
        "folds",
        "groups",
        "labelers",
        "measured_on",
        "model_minus_no_context",
        "notices",
        "schema_version",
        "task",
        "videos",
    ]
    assert sorted(metrics) == keys
    assert sorted(metrics["labelers"]) == ["majority class", "model", "no context"]
    assert (metrics["measured_on"], metrics["schema_version"]) == ("all", 3)
    assert [video["video"] for video in metrics["videos"]] == [f"clip{number}.mp4" for number in range(6)]
    of_model = metrics["labelers"]["model"]
    accuracy, majority = (of["headline"]["accuracy"] for of in (of_model, metrics["labelers"]["majority class"]))
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert accuracy["value"] > majority["value"]
    in_videos = sum(video["labelers"]["model"]["num_frames"] for video in metrics["videos"])
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
    check_one_line(call(*args, "tests"), 2, "split: expected train, val, test, got 'tests'", "did you mean 'test'?")
    check_one_line(call(*args, "test"), 2, f"{light_dataset}: expected clips of the split test, got none")
    assert os.listdir(tmp_path) == []

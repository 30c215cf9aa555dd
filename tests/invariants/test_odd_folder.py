"""A folder of everything that can be wrong with a video: each ends in its state, each good frame has its label."""

from __future__ import annotations

import csv
import inspect
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from pipelines import check
from pipelines import label as label_command
from tests.support.odd_videos import CASES
from tests.support.outcomes import outcomes
from videoseq.video.isolation import Limits

LINKS = {"gone.mp4": ("failed", "not_found"), "outside.mp4": ("failed", "refused_link")}


@pytest.fixture(scope="module")
def odd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    for name, make in CASES.items():
        (folder / name).mkdir()
        odd = make(folder / name)
        for other in (folder / name).iterdir():
            if other != odd.path:
                other.unlink()  # what it was made from
    (folder / "gone.mp4").symlink_to("nowhere.mp4")
    (folder.parent / "other.mp4").write_bytes(b"x")
    (folder / "outside.mp4").symlink_to(folder.parent / "other.mp4")
    return folder


def label(run, folder: Path, model: Path, out: Path, *options: str):
    done = run("label", folder, "--model", model, "--out", out, *options)
    lines = (out / "results.jsonl").read_text(encoding="utf-8").splitlines()
    results = {Path(result["path"]): result for result in map(json.loads, lines)}
    return done, {path.parent.name if path.parent != folder else path.name: result for path, result in results.items()}


def rows(out: Path, result: dict, kind: str) -> list[dict[str, str]]:
    (name,) = (name for name in result["outputs"] if name.endswith(f".{kind}.csv"))
    with (out / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_file_has_the_right_state_and_every_good_frame_its_label(cli, odd_folder, model_folder, tmp_path):
    done, results = label(cli, odd_folder, model_folder, tmp_path / "out")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    expected = {name: outcome for name, outcome in outcomes().items() if not name.startswith("sound_only_")}
    expected |= {
        name: outcomes()[name] for name in results if name.startswith("sound_only_")
    }  # .mp3 is not searched for
    expected |= LINKS
    found = {name: (result["state"], result["code"]) for name, result in results.items()}
    assert found == {name: (state, codes.split(",")[0]) for name, (state, codes) in expected.items()}
    for name, result in results.items():
        if result["state"] == "failed":
            assert not result["outputs"], name
            assert result["message"].startswith(result["path"]), name
            continue
        frames = rows(tmp_path / "out", result, "frames")
        assert [int(row["frame"]) for row in frames] == list(range(result["num_frames"])), name
        assert all(row["label"] in ("dark", "bright") for row in frames), name
        flagged = [int(row["frame"]) for row in frames if "suspect" in row["flags"]]
        spans = [frame for span in result["spans"] for frame in range(span["start_frame"], span["stop_frame"])]
        assert flagged == spans, name
        assert any("time_estimated" in row["flags"] for row in frames) == (
            result["time_source"] == "container_repaired" or "repaired" in str(result["notices"]) or name == "raw_h264"
        ), name
        assert (result["coverage"] == 1.0) == (result["state"] == "complete"), name
        segments = rows(tmp_path / "out", result, "segments")
        assert int(segments[-1]["stop_frame"]) == result["num_frames"], name
    assert results["rotated_90"]["rotation_degrees"] in (90, 270)
    assert results["late_start_mkv"]["start_offset_seconds"] == 10.0
    failures = (tmp_path / "out" / "failures.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(failures) == sum(state == "failed" for state, _ in found.values())


@pytest.fixture
def few(odd_folder: Path, tmp_path: Path) -> Path:
    """A good file, a damaged one, and another good one, in this order."""
    folder = tmp_path / "few"
    folder.mkdir()
    for number, name in enumerate(("mp4", "damaged_mp4", "ts")):
        (source,) = (odd_folder / name).iterdir()
        (folder / f"{number}{source.suffix}").write_bytes(source.read_bytes())
    return folder


@pytest.mark.slow
def test_damaged_files_can_be_skipped(call, few, model_folder, tmp_path):
    out = tmp_path / "out"
    done, results = label(call, few, model_folder, out, "--on-corrupt", "skip")
    assert done.status == 3
    assert {name: (r["state"], r["code"]) for name, r in results.items()} == {
        "0.mp4": ("complete", ""),
        "1.mp4": ("failed", "corrupt_span"),
        "2.ts": ("complete", ""),
    }
    assert not (out / "1.mp4.frames.csv").exists()
    done, results = label(call, few, model_folder, out)  # salvage labels what was skipped
    assert results["1.mp4"]["state"] == "degraded"
    assert (out / "1.mp4.frames.csv").exists()
    assert "done before" not in done.err
    done, results = label(call, few, model_folder, out, "--on-corrupt", "skip")
    assert results["1.mp4"]["state"] == "failed"


def test_the_run_can_stop_at_a_damaged_file(call, few, model_folder, tmp_path):
    out = tmp_path / "out"
    done, results = label(call, few, model_folder, out, "--on-corrupt", "fail")
    assert done.status == 3
    assert list(results) == ["0.mp4", "1.mp4"]
    assert "1 video was not reached" in done.err


@pytest.mark.slow
def test_without_isolation_good_files_get_the_same_labels(call, few, model_folder, tmp_path):
    written = []
    for option in ("--isolate", "--no-isolate"):
        out = tmp_path / option
        label(call, few, model_folder, out, option)
        written.append([(out / f"{name}.frames.csv").read_bytes() for name in ("0.mp4", "2.ts")])
    assert written[0] == written[1]


def test_limits_are_options(call, few, model_folder, tmp_path):
    done, results = label(call, few, model_folder, tmp_path / "out", "--max-pixels", "100")
    assert done.status == 4
    assert {result["code"] for result in results.values()} == {"too_large"}


def test_run_json_says_how_videos_were_read(call, few, model_folder, tmp_path):
    label(call, few, model_folder, tmp_path / "out", "--frame-timeout", "30", "--on-corrupt", "skip")
    run = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert run["decoding"] == {"isolated": True, **asdict(Limits(frame_seconds=30.0)), "on_corrupt": "skip"}


@pytest.mark.parametrize("command", [check.check, label_command.label])
def test_the_limits_are_those_of_the_library(command):
    defaults = {name: parameter.default for name, parameter in inspect.signature(command).parameters.items()}
    assert defaults["max_pixels"] == Limits().max_pixels
    assert defaults["frame_timeout"] == Limits().frame_seconds
    assert defaults["timeout_per_video"] == Limits().video_seconds
    assert defaults["decoder_memory"] * 2**30 == Limits().memory_bytes

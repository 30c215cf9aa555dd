"""One video of many with the real model: labeled, remembered, done again when something has changed."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.filenames import NOT_UTF8, ODD_NAMES
from tests.support.index_videos import write_spelled, write_video
from tests.support.light_clips import light_frames
from videoseq.config.runtime import RuntimeChoice
from videoseq.errors import OutputError
from videoseq.inference.model import Model, open_model
from videoseq.inference.paths import label_paths
from videoseq.jobs.journal import Journal
from videoseq.jobs.plan import Job, plan_jobs
from videoseq.jobs.request import LabelSettings
from videoseq.jobs.result import Result
from videoseq.jobs.run_file import write_run_file
from videoseq.jobs.run_job import run_label_job


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Model:
    return open_model(model_folder, RuntimeChoice(device="cpu"))


@pytest.fixture(scope="module")
def labeled(model, clip, tmp_path_factory) -> tuple[Path, Path, Result]:
    """A folder with a video, the folder of its labels, and the result."""
    folder = tmp_path_factory.mktemp("labeled")
    shutil.copy(clip, folder / "clip.mp4")
    (job,) = plan_jobs([str(folder / "clip.mp4")], folder / "out")
    journal = Journal(folder / "out")
    journal.append(run_label_job(job, folder / "out", model, LabelSettings()))
    result = Journal(folder / "out").get(job.video)
    assert result is not None
    return folder, folder / "out", result


def test_a_good_video_is_complete(labeled, model):
    folder, out, result = labeled
    assert (result.state, result.code, result.message, result.notices) == ("complete", "", "", [])
    assert result.path == str(folder / "clip.mp4")
    assert result.num_frames == 20
    assert result.duration_seconds == pytest.approx(1.0)
    assert result.model_sha256 == model.contents.sha256
    assert sorted(result.outputs) == ["clip.mp4.frames.csv", "clip.mp4.segments.csv"]
    with (out / "clip.mp4.frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == list(range(20))
    assert (rows[0]["label"], rows[-1]["label"]) == ("dark", "bright")


def test_run_json_says_what_ran(model, model_folder, tmp_path):
    write_run_file(
        tmp_path,
        None,
        {"model": str(model_folder), "model_sha256": model.contents.sha256, **model.summary},
        inputs=["a.mp4", NOT_UTF8],
        num_workers=3,
        decoder_options={"isolated": True},
        settings=LabelSettings(),
    )
    run = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert run["model"] == str(model_folder)
    assert run["model_sha256"] == model.contents.sha256
    assert run["classes"] == ["bright", "dark"]
    assert run["inputs"] == ["a.mp4", NOT_UTF8]
    assert (run["runtime"], run["workers"]) == (model.runtime.description, 3)
    assert "torch" in run["versions"]
    assert run["decoding"] == {"isolated": True}
    assert run["label_decoding"] == {"method": "none"}
    assert run["settings"] == {"accepts_damage": True, "precision": "auto", "reuse_threshold": 0.0}


@pytest.fixture
def done(labeled, model, tmp_path) -> tuple[Path, Job]:
    """A copy of the labeled folder to change, and its job, which is done."""
    shutil.copytree(labeled[0], tmp_path, dirs_exist_ok=True)
    (job,) = plan_jobs([str(tmp_path / "clip.mp4")], tmp_path / "out")
    journal = Journal(tmp_path / "elsewhere")
    journal.append(replace(labeled[2], path=str(job.video)))
    shutil.copy(tmp_path / "elsewhere" / "results.jsonl", tmp_path / "out")
    assert Journal(tmp_path / "out").find(job, model.contents.sha256, LabelSettings())
    return tmp_path / "out", job


def test_another_video_in_its_place_is_not_done(done, model):
    out, job = done
    write_spelled(job.video, 5)
    assert not Journal(out).find(job, model.contents.sha256, LabelSettings())
    job.video.unlink()
    assert not Journal(out).find(job, model.contents.sha256, LabelSettings())


def test_another_model_is_not_done(done, model):
    out, job = done
    other = Model(replace(model.contents, sha256="0" * 64), model.runtime)
    assert not Journal(out).find(job, other.contents.sha256, LabelSettings())


@pytest.mark.parametrize("kind", [0, 1], ids=["frames", "segments"])
def test_outputs_that_were_edited_or_deleted_are_not_done(kind, done, model):
    out, job = done
    path = label_paths(job.output_stem)[kind]
    path.write_bytes(path.read_bytes() + b"#")
    assert not Journal(out).find(job, model.contents.sha256, LabelSettings())
    path.unlink()
    assert not Journal(out).find(job, model.contents.sha256, LabelSettings())


def test_another_place_for_the_labels_is_not_done(done, model):
    out, job = done
    assert not Journal(out).find(Job(job.video, out / "other" / "clip.mp4"), model.contents.sha256, LabelSettings())


def test_what_was_never_tried_or_failed_is_not_done(done, model):
    out, job = done
    journal = Journal(out)
    assert not journal.find(Job(out / "new.mp4", out / "new.mp4"), model.contents.sha256, LabelSettings())
    journal.append(replace(journal.get(job.video), state="failed"))
    assert not Journal(out).find(job, model.contents.sha256, LabelSettings())


def test_a_reuse_threshold_reaches_the_cnn_and_the_record(model, clip, tmp_path):
    """With a threshold that every picture meets the CNN sees the first one only: the light never goes on."""
    job = Job(clip, tmp_path / "out" / "clip.mp4")
    journal = Journal(tmp_path / "out")
    settings = LabelSettings(reuse_threshold=255.0)
    result = run_label_job(job, tmp_path / "out", model, settings)
    with (tmp_path / "out" / "clip.mp4.frames.csv").open(newline="") as file:
        assert {row["label"] for row in csv.DictReader(file)} == {"dark"}
    assert (result.reuse_threshold, result.precision) == (255.0, model.runtime.precision)
    assert result.runtime == model.runtime.description
    journal.append(result)
    assert journal.find(job, model.contents.sha256, settings)
    assert not journal.find(job, model.contents.sha256, LabelSettings())


def test_a_truncated_video_is_labeled_and_called_degraded(model, tmp_path):
    video = write_spelled(tmp_path / "cut.avi", 40, fourcc="MJPG")
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    journal = Journal(tmp_path / "out")
    job = Job(video, tmp_path / "out" / "cut.avi")
    result = run_label_job(job, tmp_path / "out", model, LabelSettings())
    assert (result.state, result.code) == ("degraded", "truncated")
    assert result.message == result.notices[0]["message"]
    assert 0 < result.num_frames < 40
    assert len((tmp_path / "out" / "cut.avi.frames.csv").read_text().splitlines()) == result.num_frames + 1
    journal.append(result)
    assert Journal(tmp_path / "out").find(job, model.contents.sha256, LabelSettings())


@pytest.mark.parametrize(
    ("name", "make", "code", "message"),
    [
        ("text.mp4", lambda path: path.write_text("no video " * 99), "not_video", "a file that no decoder recognizes"),
        ("empty.mp4", Path.touch, "empty", "expected a video, got a file of 0 bytes"),
        ("missing.mp4", lambda path: None, "not_found", "expected a video file, found nothing there"),
        ("folder.mp4", Path.mkdir, "not_a_regular_file", "expected a video file, got a folder, pipe or device"),
        ("pipe.mp4", os.mkfifo, "not_a_regular_file", "expected a video file, got a folder, pipe or device"),
        ("loop.mp4", lambda path: path.symlink_to(path), "io_error", "symbolic links"),
        ("n" * 300, lambda path: None, "io_error", "File name too long"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else None,
)
def test_what_is_wrong_with_a_video_becomes_its_result(name, make, code, message, model, tmp_path):
    make(tmp_path / name)
    (tmp_path / "out").mkdir()
    result = run_label_job(Job(tmp_path / name, tmp_path / "out" / name), tmp_path / "out", model, LabelSettings())
    assert (result.state, result.code) == ("failed", code)
    assert message in result.message
    assert str(tmp_path / name) in result.message
    assert (result.path, result.outputs, result.num_frames) == (str(tmp_path / name), {}, 0)
    assert os.listdir(tmp_path / "out") == []


def test_a_name_that_leaves_no_room_for_the_labels_fails_alone(model, clip, tmp_path):
    video = Path(shutil.copy(clip, tmp_path / ("n" * 246 + ".mp4")))
    result = run_label_job(Job(video, tmp_path / "out" / video.name), tmp_path / "out", model, LabelSettings())
    assert result.state == "failed"
    assert "File name too long" in result.message


def test_a_message_stays_on_one_line_whatever_the_name(model, tmp_path):
    video = tmp_path / "line\nbreak\x1b[31m.mp4"
    result = run_label_job(Job(video, tmp_path / "out" / video.name), tmp_path / "out", model, LabelSettings())
    assert result.path == str(video)
    assert "line\\nbreak\\x1b[31m.mp4" in result.message


def test_a_place_that_cannot_be_written_is_no_fault_of_the_video(model, clip, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match=r"file/clip\.mp4\.\w+\.csv: could not be written"):
        run_label_job(Job(clip, tmp_path / "file" / "clip.mp4"), tmp_path / "out", model, LabelSettings())


@pytest.mark.parametrize("name", [*ODD_NAMES, NOT_UTF8], ids=ascii)
def test_odd_names_are_labeled_and_remembered(name, model, clip, tmp_path):
    (tmp_path / "in").mkdir()
    video = Path(shutil.copy(clip, tmp_path / "in" / name))
    (job,) = plan_jobs([str(video)], tmp_path / "out")
    journal = Journal(tmp_path / "out")
    journal.append(run_label_job(job, tmp_path / "out", model, LabelSettings()))
    values = json.loads((tmp_path / "out" / "results.jsonl").read_text(encoding="utf-8"))
    assert (values["path"], values["state"], values["num_frames"]) == (str(video), "complete", 20)
    assert sorted(os.listdir(tmp_path / "out")) == sorted(
        [f"{name}.frames.csv", f"{name}.segments.csv", "results.jsonl"]
    )
    assert Journal(tmp_path / "out").find(job, model.contents.sha256, LabelSettings())


def test_a_video_that_changes_while_it_is_labeled_fails(model, tmp_path):
    """Nothing is written for it, whether it changes before its last frame or while it is hashed."""
    video = write_video(tmp_path / "clip.mp4", light_frames(30, 15, seed=1), fps=20)

    def grow(num_frames: int, fraction: float) -> None:
        with video.open("ab") as file:
            file.write(b"more")

    result = run_label_job(Job(video, tmp_path / "out" / "clip.mp4"), tmp_path / "out", model, LabelSettings(), grow)
    assert (result.state, result.code, result.outputs) == ("failed", "changed_while_reading", {})
    assert not any(path.exists() for path in label_paths(tmp_path / "out" / "clip.mp4"))


def test_a_link_out_of_the_folder_that_was_searched_is_refused(model, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    write_video(tmp_path / "outside.mp4", light_frames(10, 5, seed=1), fps=20)
    write_video(tmp_path / "in" / "inside.mp4", light_frames(10, 5, seed=1), fps=20)
    (tmp_path / "in" / "deep" / "out.mp4").symlink_to(tmp_path / "outside.mp4")
    (tmp_path / "in" / "deep" / "same.mp4").symlink_to(tmp_path / "in" / "inside.mp4")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "in")
    for named in ("in", "elsewhere"):  # the folder itself may be named by a link
        jobs = plan_jobs([str(tmp_path / named)], tmp_path / "out")
        codes = {job.video.name: run_label_job(job, tmp_path / "out", model, LabelSettings()).code for job in jobs}
        assert codes == {"inside.mp4": "", "out.mp4": "refused_link", "same.mp4": ""}
    (job,) = plan_jobs([str(tmp_path / "in" / "deep" / "out.mp4")], tmp_path / "out")
    assert run_label_job(job, tmp_path / "out", model, LabelSettings()).state == "complete"  # named itself, it is meant

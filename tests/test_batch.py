"""Many videos: which ones, where their labels go, and a journal in which each ends in exactly one state."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import light_frames
from tests.spelling import write_spelled, write_video
from videoseq.batch import Job, Journal, Result, plan_jobs
from videoseq.errors import ConfigError, OutputError, VideoseqError
from videoseq.labeling import Model, load_model
from videoseq.labels import label_paths

ODD_NAMES = ["with blanks.mp4", "-v.mp4", "%03d.mp4", "a:b.mp4", "[1].mp4", "🎬 ünï.mp4", "line\nbreak.mp4"]
NOT_UTF8 = os.fsdecode(b"caf\xe9.mp4")


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def planned(*inputs: object) -> list[tuple[str, str]]:
    return [(str(job.video), str(job.target)) for job in plan_jobs([str(text) for text in inputs], Path("out"))]


# plan_jobs


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with videos (by their names) in folders."""
    touch(
        *(tmp_path / name for name in ("b.mp4", "a.MKV", "notes.txt", "deep/er/c.avi", "deep/b.mp4", "deep/b.csv")),
    )
    (tmp_path / "deep" / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_is_taken_whatever_it_is_called(here):
    assert planned("notes.txt", "deep/er/c.avi") == [("notes.txt", "out/notes.txt"), ("deep/er/c.avi", "out/c.avi")]


def test_a_folder_is_searched_for_videos_and_mirrored(here):
    assert planned("deep") == [("deep/b.mp4", "out/b.mp4"), ("deep/er/c.avi", "out/er/c.avi")]
    assert [target for _, target in planned(here)] == ["out/a.MKV", "out/b.mp4", "out/deep/b.mp4", "out/deep/er/c.avi"]


def test_folders_in_a_folder_come_in_the_order_of_their_names(here):
    touch(*(here / "deep" / name / "x.mp4" for name in "dbaec"))
    assert [target for _, target in planned("deep")][1:-1] == [f"out/{name}/x.mp4" for name in "abcde"]


def test_a_pattern_is_expanded_in_order(here):
    assert planned("*.mp4") == [("b.mp4", "out/b.mp4")]
    assert planned("*.[mM]*") == [("a.MKV", "out/a.MKV"), ("b.mp4", "out/b.mp4")]
    assert planned(f"{here}/**/c.avi") == [(f"{here}/deep/er/c.avi", "out/c.avi")]
    assert planned("de*") == planned("deep")  # a folder that matches is searched


def test_a_video_named_in_several_ways_is_one_job(here):
    jobs = planned("b.mp4", "./b.mp4", here / "b.mp4", "deep/../b.mp4", "*.mp4")
    assert jobs == [("b.mp4", "out/b.mp4")]
    assert len(planned("deep/b.mp4", "deep")) == 2


def test_two_videos_that_would_write_the_same_files_are_refused(here):
    with pytest.raises(ConfigError, match=r"^b\.mp4 and deep/b\.mp4 would both write out/b\.mp4; label them into two"):
        planned("b.mp4", "deep/b.mp4")
    with pytest.raises(ConfigError, match=r"would both write out/b\.mp4"):
        planned("**/b.mp4")
    assert len(planned(".")) == 4  # mirrored, the same two do not clash


def test_a_missing_file_is_kept_to_be_reported(here):
    assert planned("gone.mp4", "b.mp4") == [("gone.mp4", "out/gone.mp4"), ("b.mp4", "out/b.mp4")]


def test_a_missing_file_whose_name_looks_like_a_pattern_is_kept_too(here):
    assert ("gone [1].mp4", "out/gone [1].mp4") in planned("gone [1].mp4", "b.mp4")


def test_a_name_too_long_for_the_system_is_kept_to_be_reported(here):
    name = "n" * 300 + ".mp4"
    assert planned(name, "b.mp4") == [(name, f"out/{name}"), ("b.mp4", "out/b.mp4")]


def test_a_folder_without_videos_gives_no_jobs(here):
    assert planned("deep/empty") == []
    assert planned("*.webm") == []
    assert planned() == []


@pytest.mark.parametrize("name", [*ODD_NAMES, NOT_UTF8], ids=ascii)
def test_odd_names_are_found_by_themselves_and_in_their_folder(name, here):
    touch(here / "odd" / name)
    (here / "odd").joinpath(name).write_text("x")
    expected = [(f"odd/{name}", f"out/{name}")]
    assert planned(f"odd/{name}") == expected
    assert planned("odd") == expected
    os.chdir("odd")
    assert planned(name) == [(name, f"out/{name}")]


def test_a_link_to_a_folder_above_does_not_go_round_and_round(here):
    (here / "deep" / "loop").symlink_to(here / "deep", target_is_directory=True)
    assert planned("deep") == [("deep/b.mp4", "out/b.mp4"), ("deep/er/c.avi", "out/er/c.avi")]


def test_a_link_to_nothing_is_kept_to_be_reported(here):
    (here / "deep" / "link.mp4").symlink_to("nowhere.mp4")
    assert ("deep/link.mp4", "out/link.mp4") in planned("deep")


def test_a_folder_that_may_not_be_read_is_not_passed_over_in_silence(here, monkeypatch):
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    try:
        said = str(planned(here))
    except VideoseqError as error:
        said = str(error)
    assert str(here / "deep") in said


# the journal's file


COMPLETE = Result(path="a.mp4", state="complete", num_frames=3, duration_seconds=0.1, outputs={"a.mp4.frames.csv": "1"})
FAILED = Result(path="b\n.mp4", state="failed", code="empty", message="b: expected a video, got a file of 0 bytes")
DEGRADED = Result(path="ü.mp4", state="degraded", code="truncated", notices=[{"code": "truncated", "message": "cut"}])


def test_what_is_appended_is_read_back_one_line_each(tmp_path):
    journal = Journal(tmp_path / "out")
    for result in (COMPLETE, FAILED, DEGRADED):
        journal.append(result)
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["a.mp4", "b\n.mp4", "ü.mp4"]
    again = Journal(tmp_path / "out")
    assert again.results == journal.results == {r.path: r for r in (COMPLETE, FAILED, DEGRADED)}


def test_a_result_of_a_name_that_is_not_utf8_is_read_back(tmp_path):
    result = replace(COMPLETE, path=NOT_UTF8)
    Journal(tmp_path).append(result)
    assert json.loads((tmp_path / "results.jsonl").read_text(encoding="utf-8"))["path"] == NOT_UTF8
    assert Journal(tmp_path).results == {NOT_UTF8: result}


def test_the_last_result_of_a_path_counts(tmp_path):
    journal = Journal(tmp_path)
    journal.append(FAILED)
    journal.append(replace(FAILED, state="complete"))
    assert Journal(tmp_path).results[FAILED.path].state == "complete"


@pytest.mark.parametrize("torn", [b"{", b'{"path": "c.mp4", "state": "comp', b'{"path": "c.mp4", "state": "complete"}'])
def test_a_torn_last_line_is_taken_away(torn, tmp_path):
    Journal(tmp_path).append(COMPLETE)
    file = tmp_path / "results.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + torn)
    journal = Journal(tmp_path)
    assert journal.results == {"a.mp4": COMPLETE}
    assert file.read_bytes() == whole
    journal.append(FAILED)
    assert Journal(tmp_path).results.keys() == {COMPLETE.path, FAILED.path}


def test_a_torn_only_line_leaves_an_empty_journal(tmp_path):
    (tmp_path / "results.jsonl").write_bytes(b'{"path"')
    assert Journal(tmp_path).results == {}
    assert (tmp_path / "results.jsonl").read_bytes() == b""


@pytest.mark.parametrize("line", [b"garbage", b"", b"[]", b'{"path": "x"}', b'{"path": "x", "state": "odd"}', b"\xff"])
def test_a_line_that_is_no_result_is_refused_with_its_number(line, tmp_path):
    journal = Journal(tmp_path)
    journal.append(COMPLETE)
    journal.append(FAILED)
    lines = (tmp_path / "results.jsonl").read_bytes().splitlines(keepends=True)
    content = lines[0] + line + b"\n" + lines[1]
    (tmp_path / "results.jsonl").write_bytes(content)
    with pytest.raises(OutputError, match=r"results\.jsonl: line 2 is no result; move the file away$"):
        Journal(tmp_path)
    assert (tmp_path / "results.jsonl").read_bytes() == content


def test_a_place_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match=r"file"):
        Journal(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "no folder"


def test_failures_are_those_that_failed(tmp_path):
    Journal(tmp_path).write_failures([COMPLETE, FAILED, DEGRADED])
    (line,) = (tmp_path / "failures.jsonl").read_text().splitlines()
    assert Result(**json.loads(line)) == FAILED
    Journal(tmp_path).write_failures([COMPLETE])
    assert (tmp_path / "failures.jsonl").read_text() == ""


# labelling with the real model


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Model:
    return load_model(model_folder, device="cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clips") / "clip.mp4", light_frames(20, 10, seed=8), fps=20)


@pytest.fixture(scope="module")
def labelled(model, clip, tmp_path_factory) -> tuple[Path, Path, Result]:
    """A folder with a video, the folder of its labels, and the result."""
    folder = tmp_path_factory.mktemp("labelled")
    shutil.copy(clip, folder / "clip.mp4")
    (job,) = plan_jobs([str(folder / "clip.mp4")], folder / "out")
    journal = Journal(folder / "out")
    journal.append(journal.label(job, model))
    return folder, folder / "out", journal.results[str(job.video)]


def test_a_good_video_is_complete(labelled, model):
    folder, out, result = labelled
    assert (result.state, result.code, result.message, result.notices) == ("complete", "", "", [])
    assert result.path == str(folder / "clip.mp4")
    assert result.num_frames == 20
    assert result.duration_seconds == pytest.approx(1.0)
    assert result.model_sha256 == model.bundle.sha256
    assert sorted(result.outputs) == ["clip.mp4.frames.csv", "clip.mp4.segments.csv"]
    with (out / "clip.mp4.frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == list(range(20))
    assert (rows[0]["label"], rows[-1]["label"]) == ("dark", "bright")


def test_run_json_says_what_ran(model, model_folder, tmp_path):
    Journal(tmp_path).describe_run(model_folder, model, ["a.mp4", NOT_UTF8], {"isolated": True})
    run = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert run["model"] == str(model_folder)
    assert run["model_sha256"] == model.bundle.sha256
    assert run["classes"] == ["bright", "dark"]
    assert run["inputs"] == ["a.mp4", NOT_UTF8]
    assert "cpu" in run["runtime"]
    assert "torch" in run["versions"]
    assert run["decoding"] == {"isolated": True}


@pytest.fixture
def done(labelled, model, tmp_path) -> tuple[Path, Job]:
    """A copy of the labelled folder to change, and its job, which is done."""
    shutil.copytree(labelled[0], tmp_path, dirs_exist_ok=True)
    (job,) = plan_jobs([str(tmp_path / "clip.mp4")], tmp_path / "out")
    journal = Journal(tmp_path / "elsewhere")
    journal.append(replace(labelled[2], path=str(job.video)))
    shutil.copy(tmp_path / "elsewhere" / "results.jsonl", tmp_path / "out")
    assert Journal(tmp_path / "out").is_done(job, model)
    return tmp_path / "out", job


def test_another_video_in_its_place_is_not_done(done, model):
    out, job = done
    write_spelled(job.video, 5)
    assert not Journal(out).is_done(job, model)
    job.video.unlink()
    assert not Journal(out).is_done(job, model)


def test_another_model_is_not_done(done, model):
    out, job = done
    other = Model(replace(model.bundle, sha256="0" * 64), model.runtime)
    assert not Journal(out).is_done(job, other)


@pytest.mark.parametrize("kind", [0, 1], ids=["frames", "segments"])
def test_outputs_that_were_edited_or_deleted_are_not_done(kind, done, model):
    out, job = done
    path = label_paths(job.target)[kind]
    path.write_bytes(path.read_bytes() + b"#")
    assert not Journal(out).is_done(job, model)
    path.unlink()
    assert not Journal(out).is_done(job, model)


def test_another_place_for_the_labels_is_not_done(done, model):
    out, job = done
    assert not Journal(out).is_done(Job(job.video, out / "other" / "clip.mp4"), model)


def test_what_was_never_tried_or_failed_is_not_done(done, model):
    out, job = done
    journal = Journal(out)
    assert not journal.is_done(Job(out / "new.mp4", out / "new.mp4"), model)
    journal.append(replace(journal.results[str(job.video)], state="failed"))
    assert not Journal(out).is_done(job, model)


def test_a_truncated_video_is_labelled_and_called_degraded(model, tmp_path):
    video = write_spelled(tmp_path / "cut.avi", 40, fourcc="MJPG")
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    journal = Journal(tmp_path / "out")
    job = Job(video, tmp_path / "out" / "cut.avi")
    result = journal.label(job, model)
    assert (result.state, result.code) == ("degraded", "truncated")
    assert result.message == result.notices[0]["message"]
    assert 0 < result.num_frames < 40
    assert len((tmp_path / "out" / "cut.avi.frames.csv").read_text().splitlines()) == result.num_frames + 1
    journal.append(result)
    assert Journal(tmp_path / "out").is_done(job, model)


@pytest.mark.parametrize(
    ("name", "make", "code", "message"),
    [
        ("text.mp4", lambda path: path.write_text("no video " * 99), "not_video", "a file that no decoder recognises"),
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
    result = Journal(tmp_path / "out").label(Job(tmp_path / name, tmp_path / "out" / name), model)
    assert (result.state, result.code) == ("failed", code)
    assert message in result.message
    assert str(tmp_path / name) in result.message
    assert (result.path, result.outputs, result.num_frames) == (str(tmp_path / name), {}, 0)
    assert os.listdir(tmp_path / "out") == []


def test_a_name_that_leaves_no_room_for_the_labels_fails_alone(model, clip, tmp_path):
    video = Path(shutil.copy(clip, tmp_path / ("n" * 246 + ".mp4")))
    result = Journal(tmp_path / "out").label(Job(video, tmp_path / "out" / video.name), model)
    assert result.state == "failed"
    assert "File name too long" in result.message


def test_a_message_stays_on_one_line_whatever_the_name(model, tmp_path):
    video = tmp_path / "line\nbreak\x1b[31m.mp4"
    result = Journal(tmp_path / "out").label(Job(video, tmp_path / "out" / video.name), model)
    assert result.path == str(video)
    assert "line\\nbreak\\x1b[31m.mp4" in result.message


def test_a_place_that_cannot_be_written_is_no_fault_of_the_video(model, clip, tmp_path):
    journal = Journal(tmp_path)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match=r"file/clip\.mp4\.\w+\.csv: could not be written"):
        journal.label(Job(clip, tmp_path / "file" / "clip.mp4"), model)


@pytest.mark.parametrize("name", [*ODD_NAMES, NOT_UTF8], ids=ascii)
def test_odd_names_are_labelled_and_remembered(name, model, clip, tmp_path):
    (tmp_path / "in").mkdir()
    video = Path(shutil.copy(clip, tmp_path / "in" / name))
    (job,) = plan_jobs([str(video)], tmp_path / "out")
    journal = Journal(tmp_path / "out")
    journal.append(journal.label(job, model))
    values = json.loads((tmp_path / "out" / "results.jsonl").read_text(encoding="utf-8"))
    assert (values["path"], values["state"], values["num_frames"]) == (str(video), "complete", 20)
    assert sorted(os.listdir(tmp_path / "out")) == sorted(
        [f"{name}.frames.csv", f"{name}.segments.csv", "results.jsonl"]
    )
    assert Journal(tmp_path / "out").is_done(job, model)


def test_a_video_that_changes_while_it_is_labelled_fails(model, tmp_path):
    """Nothing is written for it, whether it changes before its last frame or while it is hashed."""
    video = write_video(tmp_path / "clip.mp4", light_frames(30, 15, seed=1), fps=20)

    def grow(num_frames: int, fraction: float) -> None:
        with video.open("ab") as file:
            file.write(b"more")

    journal = Journal(tmp_path / "out")
    result = journal.label(Job(video, tmp_path / "out" / "clip.mp4"), model, grow)
    assert (result.state, result.code, result.outputs) == ("failed", "changed_while_reading", {})
    assert not any(path.exists() for path in label_paths(tmp_path / "out" / "clip.mp4"))


def test_a_link_out_of_the_folder_that_was_searched_is_refused(model, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    write_video(tmp_path / "outside.mp4", light_frames(10, 5, seed=1), fps=20)
    write_video(tmp_path / "in" / "inside.mp4", light_frames(10, 5, seed=1), fps=20)
    (tmp_path / "in" / "deep" / "out.mp4").symlink_to(tmp_path / "outside.mp4")
    (tmp_path / "in" / "deep" / "same.mp4").symlink_to(tmp_path / "in" / "inside.mp4")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "in")
    journal = Journal(tmp_path / "out")
    for named in ("in", "elsewhere"):  # the folder itself may be named by a link
        jobs = plan_jobs([str(tmp_path / named)], tmp_path / "out")
        codes = {job.video.name: journal.label(job, model).code for job in jobs}
        assert codes == {"inside.mp4": "", "out.mp4": "refused_link", "same.mp4": ""}
    (job,) = plan_jobs([str(tmp_path / "in" / "deep" / "out.mp4")], tmp_path / "out")
    assert journal.label(job, model).state == "complete"  # named itself, it is meant

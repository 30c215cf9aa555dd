"""Labeling many files: lists, shards, what failed before, forecasts, when to stop, and the messages meanwhile."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.console import Console, print_json_list
from tests.support.commands import Call, Cli, Ended, check_one_line, contents, json_lines
from tests.support.index_videos import write_video
from tests.support.light_clips import light_frames
from videoseq.config.runtime import RuntimeChoice
from videoseq.errors import VideoError
from videoseq.inference.model import Model, open_model
from videoseq.jobs import worker
from videoseq.jobs.speed import last_speed, remember_speed
from videoseq.video.deadline import Deadline

Label = Callable[..., Ended]


@pytest.fixture(autouse=True)
def text_for_people() -> Iterator[None]:
    """The log format is of the process: later tests expect text again."""
    yield
    Console()


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Model:
    return open_model(model_folder, RuntimeChoice("cpu", "torch", "float32"))


@pytest.fixture
def label(call: Call, model: Model, model_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Label:
    """``videoseq label`` from the test's folder, with a model that is loaded once, and nothing to start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(worker, "open_model", lambda folder, choice: model)
    monkeypatch.setenv("VIDEOSEQ_CACHE", str(tmp_path / "cache"))
    return lambda *args: call("label", "--model", model_folder, "--out", "out", "--no-isolate", *args)


@pytest.fixture
def bad(tmp_path: Path) -> list[str]:
    """Files that are no videos, in a folder; their names."""
    (tmp_path / "in").mkdir()
    names = [f"in/{letter}.mp4" for letter in "abcdef"]
    for name in names:
        (tmp_path / name).write_text(f"I am no video, and I am {name}. " * 99)
    return names


def paths(file: str) -> list[str]:
    return [str(result["path"]) for result in json_lines(Path("out", file))]


def kinds(ended: Ended) -> list[str]:
    return [line.split(": ")[0] for line in ended.err.splitlines()]


# inputs


def test_a_list_is_labeled_from_standard_input(label, bad, monkeypatch, tmp_path):
    (tmp_path / "list").write_bytes(b"in/b.mp4\0in/a.mp4\0")
    with (tmp_path / "list").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert label("in/c.mp4", "--from-file", "-").status == 4
    assert paths("results.jsonl") == ["in/c.mp4", "in/b.mp4", "in/a.mp4"]
    assert json.loads(Path("out/run.json").read_text())["inputs"] == ["in/c.mp4", "--from-file -"]


def test_a_call_without_inputs_is_a_usage_error(label):
    ended = label()
    assert ended.status == 2
    assert "expected videos, folders or patterns, or a list of them with --from-file" in ended.err
    check_one_line(label("--from-file", "gone"), 2, "gone: expected a list of videos, one a line; No such file")
    Path("list").write_text("\n")
    assert label("--from-file", "list").err == "nothing to do: no video files in --from-file list\n"


def test_a_pattern_or_a_folder_without_videos_is_not_passed_over_in_silence(label, bad):
    os.mkdir("none")
    ended = label("none", "in/a.mp4", "in/*.avi")
    assert ended.status == 4
    assert ended.err.splitlines()[0] == "warning: no video files in none"
    assert "failed: not_found: in/*.avi: expected a video file, found nothing there" in ended.err.splitlines()


# shards


def test_shards_share_a_folder_and_a_run_without_gathers_what_they_did(label, bad, clip):
    shutil.copy(clip, "in/good.mp4")
    assert {label("in", "--shard", f"{number}/2").status for number in (1, 2)} <= {3, 4}
    done = [paths(f"results.shard-{number}-of-2.jsonl") for number in (1, 2)]
    assert all(done)
    assert sorted(itertools.chain(*done)) == [*bad, "in/good.mp4"]
    assert [json.loads(Path(f"out/run.shard-{number}-of-2.json").read_text())["shard"] for number in (1, 2)] == [
        "1/2",
        "2/2",
    ]
    before = Path("out/good.mp4.frames.csv").stat().st_mtime_ns
    ended = label("in", "--json")
    assert ended.status == 3
    assert kinds(ended) == ["failed before"] * 6 + ["7 videos"]
    assert [result["path"] for result in json.loads(ended.out)] == [*bad, "in/good.mp4"]
    assert (paths("results.jsonl"), paths("failures.jsonl")) == ([*bad, "in/good.mp4"], bad)
    assert Path("out/good.mp4.frames.csv").stat().st_mtime_ns == before


def test_a_shard_in_which_there_is_nothing_is_done(label, bad):
    empty = [label("in/a.mp4", "--shard", f"{number}/2").status for number in (1, 2)]
    assert sorted(empty) == [0, 4]
    check_one_line(label("in", "--shard", "0/2"), 2, "shard: expected I/N with I from 1 to N, such as 1/8, got 0/2")


# what has failed before


def test_what_has_failed_is_tried_again_on_request_or_when_something_changes(label, bad):
    assert kinds(label("in/a.mp4")) == ["failed"]
    before = contents(Path("out"))
    again = label("in/a.mp4")
    assert (again.status, kinds(again)) == (4, ["failed before"])
    assert contents(Path("out")) == before
    for options in (["--retry-failed"], ["--overwrite"], ["--max-pixels", "999"], ["--on-corrupt", "skip"]):
        assert kinds(label("in/a.mp4", *options)) == ["failed"], options
    Path("in/a.mp4").write_text("I am something else.")
    assert kinds(label("in/a.mp4", "--on-corrupt", "skip")) == ["failed"]


def test_what_could_not_be_read_is_always_tried_again(label, bad):
    Path("in/loop.mp4").symlink_to("loop.mp4")
    for _ in range(2):
        assert kinds(label("gone.mp4", "in/loop.mp4")) == ["failed", "failed", "2 videos"]


# what was found


def test_a_run_ends_with_where_the_labels_are_and_how_much_of_each_class(label, bad, clip, monkeypatch):
    shutil.copy(clip, "in/good.mp4")
    shutil.copy(clip, "in/same.mp4")
    expected = [
        "labels are in out: NAME.frames.csv and NAME.segments.csv for each video",
        "share of the frames: bright 80.0 %, dark 20.0 %",
        "segments: dark 2, bright 2",
    ]
    assert label("in").err.splitlines()[-3:] == expected
    again = label("in").err.splitlines()
    assert "8 videos: 2 complete" in again[-1]  # nothing was labeled, so there is nothing new to say
    programs = label("in/good.mp4", "--overwrite", "--log-format", "json").err.splitlines()
    assert [json.loads(line) for line in programs[-3:]] == [
        {"event": "labels", "out": "out"},
        {"event": "shares", "share_of_frames": {"bright": 0.8, "dark": 0.2}},
        {"event": "segments", "num_segments": {"dark": 1, "bright": 1}},
    ]
    monkeypatch.setattr("pipelines.label._MAX_CLASSES", 1)
    assert "segments: dark 1 and 1 more classes" in label("in/good.mp4", "--overwrite").err.splitlines()
    assert label("in/good.mp4", "--overwrite", "--quiet").err == ""
    assert "share of the frames" not in label("in/good.mp4", "--overwrite", "--json").err


def test_labels_go_into_a_folder_of_that_name_by_default(call, model_folder, clip, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert call("label", clip, "--model", model_folder, "--quiet").status == 0
    assert sorted(path.name for path in Path("labels").glob("clip*")) == [
        "clip.mp4.frames.csv",
        "clip.mp4.segments.csv",
    ]


# forecasts


def test_a_dry_run_writes_nothing_and_says_what_would_be_done(label, bad, clip, model):
    shutil.copy(clip, "in/good.mp4")
    assert label("in/a.mp4", "in/b.mp4").status == 4
    before = contents(Path())
    ended = label("in", "--dry-run")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "to be labeled: 5; 0.00 hours of video according to their headers, and 4 whose headers do not say",
        "labeled already: 0",
        "failed before: 2; retry_failed (--retry-failed) would try them again",
        "estimated time: not known yet: label something for 30 s first",
    ]
    assert contents(Path()) == before
    remember_speed(model.contents.sha256, 250.0, 10.0)  # too short a run to say anything
    assert json.loads(label("in", "--dry-run", "--json").out)["estimated_seconds"] is None
    remember_speed(model.contents.sha256, 250.0, 100.0)
    found = json.loads(label("in", "--dry-run", "--json", "--retry-failed").out)
    assert found == {
        "to_be_labeled": 7,
        "labeled_already": 0,
        "failed_before": 0,
        "hours_from_headers": pytest.approx(1 / 3600),
        "without_duration_in_header": 6,
        "estimated_seconds": pytest.approx(1 / 2.5),
    }
    assert label("in", "--dry-run").out.splitlines()[-1] == (
        "estimated time: 0:00:00, 2.5 times as fast as it plays, as in the last run with this model on this machine"
    )


def test_a_dry_run_makes_no_folder(label, bad):
    assert label("in", "--dry-run").status == 0
    assert not Path("out").exists()


# when to stop


def test_fail_fast_stops_at_the_first_failure_and_the_next_run_goes_on_behind_it(label, bad):
    ended = label("in", "--fail-fast", "--json")
    assert ended.status == 3
    assert "stopped there, as asked; 5 videos were not reached" in ended.err.splitlines()
    assert [result["path"] for result in json.loads(ended.out)] == bad[:1]
    assert kinds(label("in", "--fail-fast"))[:2] == ["failed before", "failed"]
    assert paths("results.jsonl") == paths("failures.jsonl") == bad[:2]


def test_a_run_stops_after_more_failures_than_are_accepted(label, bad, clip):
    shutil.copy(clip, "in/a.mp4")
    ended = label("in", "--max-errors", "2")
    assert kinds(ended)[:4] == ["complete", "failed", "failed", "failed"]
    assert paths("results.jsonl") == bad[:4]
    assert "2 videos were not reached" in ended.err
    assert label("in", "--max-errors", "2").status == 3  # nothing more can fail than the two that are left
    assert paths("results.jsonl") == bad


def test_a_video_that_takes_too_long_fails_and_others_go_on(label, bad, tmp_path):
    write_video(tmp_path / "in" / "0.mp4", light_frames(300, 150, seed=3), fps=10)
    assert label("in/0.mp4", "in/a.mp4", "--timeout-per-video", "0.1").status == 4
    results = json_lines(Path("out/results.jsonl"))
    assert [result["code"] for result in results] == ["timeout", "not_video"]
    assert str(results[0]["message"]).endswith("in/0.mp4: took longer than the 0.1 s that a video may take")
    assert sorted(os.listdir("out")) == ["failures.jsonl", "results.jsonl", "run.json"]


@pytest.mark.slow
def test_a_video_that_takes_too_long_costs_no_other_with_workers(cli: Cli, model_folder, clip, tmp_path):
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in" / "long.mp4", light_frames(4000, 300, seed=3), fps=10)
    for name in ("a.mp4", "z.mp4"):
        shutil.copy(clip, tmp_path / "in" / name)
    args = ("--out", "out", "--workers", 2, "--runtime", "torch", "--timeout-per-video", 15, "--threads", 1)
    assert cli("label", "in", "--model", model_folder, *args, cwd=tmp_path).returncode == 3
    results = json_lines(tmp_path / "out" / "results.jsonl")
    assert {Path(str(r["path"])).name: (r["state"], r["code"]) for r in results} == {
        "a.mp4": ("complete", ""),
        "long.mp4": ("failed", "timeout"),
        "z.mp4": ("complete", ""),
    }


def test_a_deadline_is_over_when_it_is(monkeypatch):
    now = 100.0
    monkeypatch.setattr("videoseq.video.deadline.time.monotonic", lambda: now)
    deadline, shown = Deadline(Path("a.mp4"), 60.0), []
    show = deadline.watching(lambda num_frames, fraction: shown.append(num_frames))
    now = 160.0
    show(1, 0.1)
    now = 160.1
    with pytest.raises(VideoError, match=r"^a\.mp4: took longer than the 60 s that a video may take$") as caught:
        show(2, 0.2)
    assert (caught.value.code, shown) == ("timeout", [1])


# what is said


def test_every_line_of_a_log_for_programs_is_an_object(label, bad, clip):
    shutil.copy(clip, "in/good.mp4")
    os.mkdir("none")
    ended = label("none", "in/a.mp4", "in/good.mp4", "--fail-fast", "--log-format", "json")
    events = [json.loads(line) for line in ended.err.splitlines()]
    assert [event["event"] for event in events] == ["warning", "file", "stopped", "summary"]
    assert events[1] == {
        "event": "file", "path": "in/a.mp4", "state": "failed", "code": "not_video", "frames": 0,
        "message": "in/a.mp4: expected a video, got a file that no decoder recognizes", "duration_seconds": 0.0,
        "is_new": True,
    }  # fmt: skip
    assert events[3] == {
        "event": "summary", "complete": 0, "degraded": 0, "failed": 1, "failed_before": 0, "not_reached": 1,
    }  # fmt: skip
    done = [json.loads(line) for line in label("in/good.mp4", "--log-format", "json").err.splitlines()]
    assert (done[0]["state"], done[0]["frames"], done[0]["is_new"]) == ("complete", 20, True)


def test_errors_are_objects_too(label, bad, monkeypatch):
    (error,) = map(json.loads, label("in", "--precision", "float31", "--log-format", "json").err.splitlines())
    assert error["event"] == "error"
    assert "float31" in error["message"]

    def fail(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(worker, "open_model", fail)
    ended = label("in", "--log-format", "json")
    (error,) = map(json.loads, ended.err.splitlines())
    assert ended.status == 1
    assert "ZeroDivisionError" in error["traceback"]


@pytest.mark.parametrize("values", [[], [{"a": [1, "line\nbreak"]}], [{}, 2, {"b": {"c": None}}]])
def test_a_list_is_printed_as_if_it_were_in_memory(values, capsys):
    print_json_list(iter(values))
    assert capsys.readouterr().out == json.dumps(values, indent=1) + "\n"


def test_a_speed_that_cannot_be_kept_or_read_stops_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("VIDEOSEQ_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").write_text("no folder")
    remember_speed("0", 60.0, 60.0)
    assert last_speed("0") is None

"""The record of an output folder: read back as written, mended where it was torn, refused where it is none."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.names import NOT_UTF8
from videoseq.errors import OutputError
from videoseq.journal import Journal, LabelSettings, Result, check_same_model

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


def test_a_line_that_could_only_be_written_in_part_is_taken_away_again(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    journal.append(COMPLETE)
    before = (tmp_path / "results.jsonl").read_bytes()

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", refuse)
        with pytest.raises(OutputError, match=r"results\.jsonl: could not be written; No space left on device$"):
            journal.append(FAILED)
    assert (tmp_path / "results.jsonl").read_bytes() == before
    journal.append(FAILED)  # whoever goes on all the same finds no torn line in the middle
    assert Journal(tmp_path).results == {COMPLETE.path: COMPLETE, FAILED.path: FAILED}


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


def test_a_folder_is_another_models_once_something_has_been_labelled(tmp_path):
    check_same_model(tmp_path / "none", "b")
    journal = Journal(tmp_path)
    journal.describe_run(Path("model"), "a", {}, [], LabelSettings(), {})
    check_same_model(tmp_path, "b")  # a run that was stopped before it got anywhere
    journal.append(COMPLETE)
    check_same_model(tmp_path, "a")
    with pytest.raises(OutputError, match=r"was labelled by another model \(model, a; this one is b\); .*--overwrite"):
        check_same_model(tmp_path, "b")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (LabelSettings(), True),
        (LabelSettings(precision="bfloat16"), True),
        (LabelSettings(precision="float32"), False),
        (LabelSettings(reuse_threshold=1.0), False),
    ],
)
def test_other_settings_would_give_other_labels(settings, expected):
    result = replace(COMPLETE, precision="bfloat16")
    assert settings.would_give(result) == expected
    assert not settings.would_give(replace(result, state="failed"))


def test_a_damaged_video_is_labelled_again_for_who_does_not_accept_damage():
    assert LabelSettings(accepts_damage=True).would_give(DEGRADED)
    assert not LabelSettings(accepts_damage=False).would_give(DEGRADED)

"""The record of an output folder: read back as written, mended where it was torn, refused where it is none."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.filenames import NOT_UTF8
from videoseq.errors import OutputError
from videoseq.jobs.journal import Journal, conditions_digest
from videoseq.jobs.plan import Job
from videoseq.jobs.request import LabelSettings
from videoseq.jobs.result import Result
from videoseq.jobs.run_file import check_same_model, write_run_file
from videoseq.jobs.shards import Shard
from videoseq.video.reader import content_sha256

COMPLETE = Result(path="a.mp4", state="complete", num_frames=3, duration_seconds=0.1, outputs={"a.mp4.frames.csv": "1"})
FAILED = Result(path="b\n.mp4", state="failed", code="empty", message="b: expected a video, got a file of 0 bytes")
DEGRADED = Result(path="ü.mp4", state="degraded", code="truncated", notices=[{"code": "truncated", "message": "cut"}])


def kept_in(journal: Journal) -> list[Result]:
    """The last results of the three files above that a journal has."""
    return [found for one in (COMPLETE, FAILED, DEGRADED) if (found := journal.get(Path(one.path))) is not None]


def test_what_is_appended_is_read_back_one_line_each(tmp_path):
    journal = Journal(tmp_path / "out")
    for result in (COMPLETE, FAILED, DEGRADED):
        journal.append(result)
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["a.mp4", "b\n.mp4", "ü.mp4"]
    assert kept_in(Journal(tmp_path / "out")) == kept_in(journal) == [COMPLETE, FAILED, DEGRADED]
    assert journal.get(Path(FAILED.path)) == FAILED
    assert journal.get(Path("other.mp4")) is None


def test_a_result_of_a_name_that_is_not_utf8_is_read_back(tmp_path):
    result = replace(COMPLETE, path=NOT_UTF8)
    Journal(tmp_path).append(result)
    assert json.loads((tmp_path / "results.jsonl").read_text(encoding="utf-8"))["path"] == NOT_UTF8
    assert Journal(tmp_path).get(Path(NOT_UTF8)) == result


def test_the_last_result_of_a_path_counts(tmp_path):
    journal = Journal(tmp_path)
    journal.append(FAILED)
    journal.append(replace(FAILED, state="complete"))
    assert [result.state for result in kept_in(Journal(tmp_path))] == ["complete"]


@pytest.mark.parametrize("torn", [b"{", b'{"path": "c.mp4", "state": "comp', b'{"path": "c.mp4", "state": "complete"}'])
def test_a_torn_last_line_is_taken_away(torn, tmp_path):
    Journal(tmp_path).append(COMPLETE)
    file = tmp_path / "results.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + torn)
    journal = Journal(tmp_path)
    assert kept_in(journal) == [COMPLETE]
    assert file.read_bytes() == whole
    journal.append(FAILED)
    assert kept_in(Journal(tmp_path)) == [COMPLETE, FAILED]


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
    assert kept_in(Journal(tmp_path)) == [COMPLETE, FAILED]


def test_a_torn_only_line_leaves_an_empty_journal(tmp_path):
    (tmp_path / "results.jsonl").write_bytes(b'{"path"')
    assert kept_in(Journal(tmp_path)) == []
    assert (tmp_path / "results.jsonl").read_bytes() == b""


@pytest.mark.parametrize("line", [b"garbage", b"", b"[]", b'{"path": "x"}', b'{"path": "x", "state": "odd"}', b"\xff"])
def test_a_line_that_is_no_result_is_refused_with_its_number(line, tmp_path):
    journal = Journal(tmp_path)
    journal.append(COMPLETE)
    journal.append(FAILED)
    lines = (tmp_path / "results.jsonl").read_bytes().splitlines(keepends=True)
    content = lines[0] + line + b"\n" + lines[1]
    (tmp_path / "results.jsonl").write_bytes(content)
    with pytest.raises(OutputError, match=r"results\.jsonl: line 2 cannot be read; move the file away$"):
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


def test_a_folder_is_another_models_once_something_has_been_labeled(tmp_path):
    journal = Journal(tmp_path)
    work = {"model": "model", "model_sha256": "a"}
    write_run_file(tmp_path, None, work, inputs=[], num_workers=1, decoder_options={}, settings=LabelSettings())
    check_same_model(tmp_path, "b")  # a run that was stopped before it got anywhere
    journal.append(COMPLETE)
    check_same_model(tmp_path, "a")
    with pytest.raises(OutputError, match=r"was labeled by another model \(model, a; this one is b\); .*--overwrite"):
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


def test_a_damaged_video_is_labeled_again_for_who_does_not_accept_damage():
    assert LabelSettings(accepts_damage=True).would_give(DEGRADED)
    assert not LabelSettings(accepts_damage=False).would_give(DEGRADED)


# what has failed before, and what shards have done


@pytest.fixture
def tried(tmp_path):
    """A job that has failed, what it failed under, and how."""
    (tmp_path / "a.mp4").write_text("no video")
    job = Job(tmp_path / "a.mp4", tmp_path / "out" / "a.mp4")
    result = replace(FAILED, path=str(job.video), video_sha256=content_sha256(job.video), model_sha256="m")
    return job, replace(result, conditions_sha256=conditions_digest(LabelSettings(), {"frame_seconds": 60.0}))


def test_what_has_failed_is_found_as_long_as_nothing_has_changed(tried, tmp_path):
    job, result = tried
    Journal(tmp_path / "out").append(result)
    journal, conditions = Journal(tmp_path / "out"), result.conditions_sha256
    assert journal.find(job, "m", LabelSettings(), conditions) == result
    assert journal.find(job, "m", LabelSettings()) is None
    assert journal.find(job, "another", LabelSettings(), conditions) is None
    for settings, decoding in (
        (LabelSettings(precision="float32"), {"frame_seconds": 60.0}),
        (LabelSettings(), {"frame_seconds": 61.0}),
    ):
        assert journal.find(job, "m", LabelSettings(), conditions_digest(settings, decoding)) is None
    job.video.write_text("another")
    assert journal.find(job, "m", LabelSettings(), conditions) is None


def test_other_libraries_may_be_able_to_read_what_has_failed(monkeypatch):
    before = conditions_digest(LabelSettings(), {})
    monkeypatch.setattr("videoseq.jobs.journal.is_available", lambda: None)
    assert conditions_digest(LabelSettings(), {}) != before


def test_what_may_have_passed_is_tried_again(tried, tmp_path):
    job, result = tried
    journal = Journal(tmp_path / "out")
    journal.append(replace(result, video_sha256=""))
    assert journal.find(job, "m", LabelSettings(), result.conditions_sha256) is None


def test_shards_write_apart_and_are_read_together(tried, tmp_path):
    job, result = tried
    first, second = (Journal(tmp_path / "out", Shard(number, 2)) for number in (1, 2))
    first.append(COMPLETE)
    second.append(result)
    assert sorted(os.listdir(tmp_path / "out")) == ["results.shard-1-of-2.jsonl", "results.shard-2-of-2.jsonl"]
    assert (kept_in(first), second.get(job.video)) == ([COMPLETE], result)
    for shard in (None, Shard(1, 2), Shard(3, 3)):
        journal = Journal(tmp_path / "out", shard)
        assert journal.find(job, "m", LabelSettings(), result.conditions_sha256) == result
        assert journal.get(job.video) is None  # it is not this run's


def test_a_line_that_another_shard_is_writing_is_left_to_it(tmp_path):
    Journal(tmp_path, Shard(1, 2)).append(COMPLETE)
    other = tmp_path / "results.shard-1-of-2.jsonl"
    torn = other.read_bytes() + b'{"path": "b.mp4", "sta'
    other.write_bytes(torn)
    Journal(tmp_path, Shard(2, 2))
    assert other.read_bytes() == torn
    assert kept_in(Journal(tmp_path, Shard(1, 2))) == [COMPLETE]  # its own next run mends it
    assert other.read_bytes() != torn


def test_a_folder_that_is_only_read_is_left_as_it_is(tmp_path):
    assert kept_in(Journal(tmp_path / "out", is_read_only=True)) == []
    assert not (tmp_path / "out").exists()
    Journal(tmp_path).append(COMPLETE)
    torn = (tmp_path / "results.jsonl").read_bytes() + b"{"
    (tmp_path / "results.jsonl").write_bytes(torn)
    assert kept_in(Journal(tmp_path, is_read_only=True)) == [COMPLETE]
    assert (tmp_path / "results.jsonl").read_bytes() == torn


@given(st.lists(st.tuples(st.text("abü\udcff", max_size=3), st.integers(0, 9)), max_size=9))
def test_a_journal_says_of_each_what_was_said_last(results):
    with tempfile.TemporaryDirectory() as folder:
        journal, expected = Journal(Path(folder)), {}
        for path, number in results:
            expected[path] = Result(path, "failed", num_frames=number)
            journal.append(expected[path], is_durable=False)
        for again in (journal, Journal(Path(folder))):
            assert all(again.get(Path(path)) == result for path, result in expected.items() if path)

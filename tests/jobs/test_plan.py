"""Which videos, each once, and where their labels go, whatever they are called."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path, PurePath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.filenames import NOT_UTF8, ODD_NAMES
from videoseq.errors import ConfigError, OutputError, VideoseqError
from videoseq.jobs import plan as inputs
from videoseq.jobs.plan import plan_jobs, read_names
from videoseq.jobs.shards import Shard, shard_file_name


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def planned(*inputs: object, **how: Any) -> list[tuple[str, str]]:
    jobs = plan_jobs([str(text) for text in inputs], Path("out"), **how)
    found = [(str(job.video), str(job.output_stem)) for job in jobs]
    assert len(jobs) == len(found)
    return found


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


def test_a_pattern_that_matches_nothing_is_taken_for_a_name_and_so_reported(here):
    assert planned("*.webm", "b.mp4") == [("*.webm", "out/*.webm"), ("b.mp4", "out/b.mp4")]
    assert planned("*.webm") == [("*.webm", "out/*.webm")]


def test_a_folder_without_videos_beside_others_is_named(here):
    jobs = plan_jobs(["deep/empty", "deep", "a.MKV"], Path("out"), names=["deep/empty"])
    assert (len(jobs), jobs.empty) == (3, ["deep/empty", "deep/empty"])


def test_a_name_too_long_for_the_system_is_kept_to_be_reported(here):
    name = "n" * 300 + ".mp4"
    assert planned(name, "b.mp4") == [(name, f"out/{name}"), ("b.mp4", "out/b.mp4")]


def test_a_folder_without_videos_gives_no_jobs(here):
    assert planned("deep/empty") == []
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


# lists


def names_in(path: Path, content: bytes) -> list[str]:
    path.write_bytes(content)
    return list(read_names(path))


def test_a_list_has_a_name_on_each_line_whoever_made_it(tmp_path):
    assert names_in(tmp_path / "list", b"a b.mp4\n\n *.mp4\nlast") == ["a b.mp4", " *.mp4", "last"]
    assert names_in(tmp_path / "list", "\ufeffü.mp4\r\nb.mp4\r\n".encode()) == ["ü.mp4", "b.mp4"]
    assert names_in(tmp_path / "list", b"") == []


def test_names_ended_by_nul_bytes_may_have_anything_else_in_them(tmp_path):
    odd = [*ODD_NAMES, NOT_UTF8, "line\nbreak\r"]
    assert names_in(tmp_path / "list", b"\0".join(map(os.fsencode, odd))) == odd
    assert names_in(tmp_path / "list", b"".join(os.fsencode(name) + b"\0" for name in odd)) == odd


@settings(max_examples=30)
@given(st.lists(st.text("ab \udcff", min_size=1, max_size=9).map(os.fsencode)), st.integers(1, 9))
def test_a_list_is_read_alike_in_blocks_of_any_size(names, block_bytes):
    def split(separator: bytes) -> list[bytes]:
        with tempfile.TemporaryFile() as file:
            file.write(separator.join([*names, b""]))
            file.seek(0)
            return [name for name in inputs._split(file, block_bytes) if name]

    assert split(b"\n") == names
    if names and len(names[0]) < block_bytes:  # a block is longer than any name, so that the first NUL is in it
        assert split(b"\0") == names


def test_a_list_that_is_not_there_is_a_wrong_call(tmp_path):
    with pytest.raises(ConfigError, match=r"gone: expected a list of videos, one a line; No such file or directory$"):
        list(read_names(tmp_path / "gone"))


def test_names_are_taken_literally_and_folders_among_them_searched(here):
    touch(here / "[ab].mp4", here / "a.mp4")
    assert planned("a.mp4", names=["[ab].mp4", "deep", "*.mp4", "./a.mp4"]) == [
        ("a.mp4", "out/a.mp4"),
        ("[ab].mp4", "out/[ab].mp4"),
        *planned("deep"),
        ("*.mp4", "out/*.mp4"),
    ]


# going through them


def test_jobs_can_be_gone_through_side_by_side_and_again(here, monkeypatch):
    monkeypatch.setattr(inputs, "_PLAN_BYTES", 10)  # on disk
    monkeypatch.setattr(inputs, "_BLOCK_BYTES", 10)
    jobs = plan_jobs(["."], Path("out"))
    once = list(jobs)
    assert len(once) == 4
    assert list(zip(jobs, jobs, strict=True)) == list(zip(once, once, strict=True))
    for job in jobs:
        assert list(jobs) == once
        job.video.unlink()  # what was planned stays planned
    assert list(jobs) == once


def test_a_plan_for_which_there_is_no_room_is_an_error_of_the_output(here, monkeypatch):
    def refuse(file: object, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile.write", refuse)
    with pytest.raises(OutputError, match="no room for temporary files; No space left on device"):
        planned(".")


PEAK = """
import resource, sys
from pathlib import Path
from videoseq.jobs.plan import plan_jobs
from videoseq.jobs.journal import Journal
from videoseq.jobs.result import Result
jobs = plan_jobs([sys.argv[1]], Path(sys.argv[2]))
journal = Journal(Path(sys.argv[2]))
for job in jobs:
    journal.append(Result(str(job.video), "failed", "empty"), is_durable=False)
journal = Journal(Path(sys.argv[2]))
journal.write_failures(journal.get(job.video) for job in jobs)
print(len(jobs), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux")
def test_ten_times_the_files_take_little_more_memory(tmp_path):
    """Planned, recorded, read again and written down: at most 400 bytes a file, whatever their paths take."""
    peaks = {}
    for num_files in (10_000, 100_000):
        root = tmp_path / str(num_files)
        for number in range(num_files):
            folder = root / f"day{number // 1000:03}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"recording_of_the_day_{number:06}.mp4").touch()
        command = [sys.executable, "-c", PEAK, root, tmp_path / f"out{num_files}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        count, peaks[num_files] = map(int, done.stdout.split())
        assert count == num_files
    growth = (peaks[100_000] - peaks[10_000]) * 1024 / 90_000
    assert growth < 400, f"{growth:.0f} bytes a file; peak resident size in KiB: {peaks}"


# shards


@settings(max_examples=30)
@given(st.sets(st.text("ab/é", min_size=1)), st.integers(1, 9))
def test_shards_are_disjoint_and_together_everything(names, count):
    shards = [Shard(number, count) for number in range(1, count + 1)]
    for name in names:
        assert [shard.has(PurePath(name)) for shard in shards].count(True) == 1


def test_a_shard_does_not_depend_on_what_else_is_there(here):
    before = [planned("deep", shard=Shard(number, 3)) for number in (1, 2, 3)]
    touch(*(here / "deep" / f"{number}.mp4" for number in range(99)))
    after = [planned("deep", shard=Shard(number, 3)) for number in (1, 2, 3)]
    assert all(set(few) <= set(many) for few, many in zip(before, after, strict=True))
    assert sorted(itertools.chain(*after)) == sorted(planned("deep"))
    assert min(map(len, after)) > 20
    absolute = [planned(here / "deep", shard=Shard(number, 3)) for number in (1, 2, 3)]  # another mount of the same
    assert [[target for _, target in found] for found in absolute] == [
        [target for _, target in found] for found in after
    ]


def test_two_videos_of_one_name_are_refused_in_whichever_shards_they_are(here):
    for number in (1, 2, 3):
        with pytest.raises(ConfigError, match=r"^b\.mp4 and deep/b\.mp4 would both write out/b\.mp4"):
            planned("b.mp4", "deep/b.mp4", shard=Shard(number, 3))


@pytest.mark.parametrize("text", ["0/8", "9/8", "1", "1/0", "a/b", "-1/8", "1/8/2", ""])
def test_a_shard_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="shard: expected I/N with I from 1 to N, such as 1/8, got"):
        Shard.parse(text)


def test_a_shard_has_files_of_its_own():
    assert shard_file_name("results.jsonl", Shard.parse("2/8")) == "results.shard-2-of-8.jsonl"
    assert shard_file_name("run.json", Shard(1, 1)) == "run.shard-1-of-1.json"
    assert shard_file_name("run.json", None) == "run.json"

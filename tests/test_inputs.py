"""Which videos, each once, and where their labels go, whatever they are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.names import NOT_UTF8, ODD_NAMES
from videoseq.errors import ConfigError, VideoseqError
from videoseq.inputs import plan_jobs


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def planned(*inputs: object) -> list[tuple[str, str]]:
    return [(str(job.video), str(job.target)) for job in plan_jobs([str(text) for text in inputs], Path("out"))]


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

"""Files and folders appear whole or not at all, whatever interrupts the writing."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from videoseq.errors import OutputError
from videoseq.storage import files
from videoseq.storage.files import (
    file_sha256,
    remove_leftovers,
    restore_folder,
    staged_binary_file,
    staged_file,
    staged_folder,
    write_text,
)


def put_file(path: Path, content: str, error: BaseException | None = None) -> None:
    with staged_file(path) as file:
        file.write(content)
        if error:
            raise error


def put_binary_file(path: Path, content: str, error: BaseException | None = None) -> None:
    with staged_binary_file(path) as file:
        file.write(content.encode())
        if error:
            raise error


def put_folder(path: Path, content: str, error: BaseException | None = None) -> None:
    with staged_folder(path, replace=True) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text(content)
        if error:
            raise error


def content_of(path: Path) -> str:
    return (path / "inner" / "file" if path.is_dir() else path).read_text()


def a_dead_process() -> int:
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


WAYS = pytest.mark.parametrize("put", [put_file, put_binary_file, put_folder])


def a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)


@WAYS
def test_it_appears_when_the_block_ends_and_replaces_what_stood_there(put, tmp_path):
    path = tmp_path / "made" / "on the way" / "result"
    put(path, "first")
    assert content_of(path) == "first"
    put(path, "second")
    assert content_of(path) == "second"
    assert os.listdir(path.parent) == ["result"]


@pytest.mark.parametrize("open_stage", [staged_file, staged_binary_file, staged_folder])
def test_nothing_is_seen_before_the_block_ends(open_stage, tmp_path):
    with open_stage(tmp_path / "result"):
        assert [name for name in os.listdir(tmp_path) if not name.startswith(".")] == []
    assert os.listdir(tmp_path) == ["result"]


@WAYS
@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt(), SystemExit(143)], ids=repr)
def test_an_exception_inside_leaves_the_old_content_and_no_leftover(put, error, tmp_path):
    path = tmp_path / "result"
    with pytest.raises(type(error)):
        put(path, "never", error)
    assert os.listdir(tmp_path) == []
    put(path, "old")
    with pytest.raises(type(error)):
        put(path, "new", error)
    assert content_of(path) == "old"
    assert os.listdir(tmp_path) == ["result"]


@WAYS
def test_a_full_disk_leaves_the_old_content_and_names_the_path(put, tmp_path, monkeypatch):
    path = tmp_path / "result"
    put(path, "old")
    a_full_disk(monkeypatch)
    with pytest.raises(OutputError, match=r"result: could not be written; No space left on device$"):
        put(path, "new")
    assert content_of(path) == "old"
    assert os.listdir(tmp_path) == ["result"]


@WAYS
def test_a_path_below_a_file_is_refused(put, tmp_path):
    (tmp_path / "file").write_text("a file is no folder")
    path = tmp_path / "file" / "result"
    with pytest.raises(OutputError, match="file/result: could not be written; ") as caught:
        put(path, "content")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "a file is no folder"


@pytest.mark.parametrize("put", [put_file, put_binary_file])
def test_a_file_never_replaces_a_folder(put, tmp_path):
    path = tmp_path / "result"
    put_folder(path, "old")
    with pytest.raises(OutputError, match="result: could not be written; Is a directory"):
        put(path, "new")
    assert content_of(path) == "old"
    assert os.listdir(tmp_path) == ["result"]


_WRITE_A_MEGABYTE = """
import resource, signal, sys
from pathlib import Path
from videoseq.errors import OutputError
from videoseq.storage.files import write_text
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_text(Path(sys.argv[1]), "x" * (1 << 20))
except OutputError as error:
    print(error)
"""


def test_a_file_that_may_not_grow_leaves_the_old_content(tmp_path):
    path = tmp_path / "result"
    path.write_text("old")
    run = subprocess.run(
        [sys.executable, "-c", _WRITE_A_MEGABYTE, path], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout == f"{path}: could not be written; File too large\n"
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result"]


def test_a_folder_that_was_taken_meanwhile_stays_without_replace(tmp_path):
    path = tmp_path / "result"

    def fill_too_late() -> None:
        with staged_folder(path) as staging:
            (staging / "file").write_text("mine")
            path.mkdir()
            (path / "file").write_text("theirs")

    with pytest.raises(OutputError, match="something has been put there meanwhile"):
        fill_too_late()
    assert (path / "file").read_text() == "theirs"
    assert os.listdir(tmp_path) == ["result"]


def test_replacing_a_folder_keeps_none_of_its_files(tmp_path):
    path = tmp_path / "result"
    put_folder(path, "old")
    with staged_folder(path, replace=True) as staging:
        (staging / "other").write_text("new")
    assert os.listdir(path) == ["other"]
    assert os.listdir(tmp_path) == ["result"]


@pytest.fixture
def without_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that cannot exchange two folders at a stroke, such as NFS."""
    monkeypatch.setattr(files, "_swap", lambda one, other: False)


@pytest.mark.usefixtures("without_swap")
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("step", ["the old one goes", "the new one comes"])
def test_a_replacement_that_fails_at_a_rename_leaves_the_old_folder(step, error, tmp_path, monkeypatch):
    path = tmp_path / "result"
    put_folder(path, "old")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.suffix == ".part" or (step == "the old one goes" and self == path):
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises((OutputError, KeyboardInterrupt), match=r"^$|result: could not be written; Input/output error"):
        put_folder(path, "new")
    assert os.listdir(tmp_path) == ["result"]
    assert content_of(path) == "old"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux can exchange two names")
def test_two_folders_change_places_at_a_stroke(tmp_path):
    put_folder(tmp_path / "one", "1")
    put_folder(tmp_path / "other", "2")
    assert files._swap(tmp_path / "one", tmp_path / "other")
    assert (content_of(tmp_path / "one"), content_of(tmp_path / "other")) == ("2", "1")
    with pytest.raises(FileNotFoundError):
        files._swap(tmp_path / "one", tmp_path / "missing")


@pytest.mark.parametrize("can_swap", [True, False], ids=["swap", "two renames"])
def test_a_link_or_a_file_in_a_folders_place_is_replaced_itself(can_swap, tmp_path, monkeypatch):
    if not can_swap:
        monkeypatch.setattr(files, "_swap", lambda one, other: False)
    put_folder(tmp_path / "elsewhere", "old")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").write_text("old")
    for name in ("link", "file"):
        put_folder(tmp_path / name, "new")
        assert content_of(tmp_path / name) == "new"
        assert not (tmp_path / name).is_symlink()
    assert content_of(tmp_path / "elsewhere") == "old"
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "file", "link"]


@pytest.mark.usefixtures("without_swap")
def test_replacing_works_without_exchanging(tmp_path):
    path = tmp_path / "result"
    put_folder(path, "old")
    put_folder(path, "new")
    assert content_of(path) == "new"
    assert os.listdir(tmp_path) == ["result"]


def test_a_folder_whose_replacement_was_killed_is_put_back(tmp_path):
    retired = tmp_path / f"{files._machine_prefix()}{a_dead_process()}-abc.old"
    put_folder(retired / "result", "old")
    restore_folder(tmp_path / "other")
    restore_folder(tmp_path / "result")
    assert os.listdir(tmp_path) == ["result"]
    assert content_of(tmp_path / "result") == "old"


def test_a_folder_that_is_being_replaced_or_was_is_left_alone(tmp_path):
    living = tmp_path / f"{files._machine_prefix()}{os.getpid()}-abc.old"
    put_folder(living / "result", "old")
    restore_folder(tmp_path / "result")
    assert os.listdir(tmp_path) == [living.name]
    put_folder(tmp_path / "result", "new")
    living.rename(tmp_path / f"{files._machine_prefix()}{a_dead_process()}-abc.old")
    restore_folder(tmp_path / "result")
    assert content_of(tmp_path / "result") == "new"


def test_a_killed_saves_leftovers_go_with_the_next_one(tmp_path):
    (tmp_path / f"{files._machine_prefix()}{a_dead_process()}-abc.part").mkdir()
    put_folder(tmp_path / "result", "new")
    assert os.listdir(tmp_path) == ["result"]


@pytest.mark.parametrize(("umask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_permissions_follow_the_umask(umask, file_mode, folder_mode, tmp_path):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "file", "text")
        put_folder(tmp_path / "folder", "text")
        assert os.umask(umask) == umask  # asking for it does not change it
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == file_mode
    assert (tmp_path / "folder").stat().st_mode & 0o777 == folder_mode


@WAYS
@pytest.mark.parametrize(
    "name",
    [
        "with blanks.csv",
        "-rf",
        "%03d.mp4",
        "a:b?*[1].csv",
        "line\nbreak",
        "ünï–漢字🎬",
        os.fsdecode(b"not \xff utf-8"),
        "n" * 255,
        "é" * 127,
        "漢" * 85,
        "🎬" * 63,
    ],
    ids=lambda name: ascii(name[:12]),
)
def test_any_name_that_the_system_allows_works(put: Callable[[Path, str], None], name, tmp_path):
    put(tmp_path / name, "old")
    put(tmp_path / name, "new")
    assert content_of(tmp_path / name) == "new"
    assert os.listdir(tmp_path) == [name]


def test_a_name_that_the_system_does_not_allow_is_an_error_of_the_output(tmp_path):
    with pytest.raises(OutputError, match="nnn: could not be written; File name too long"):
        write_text(tmp_path / ("n" * 256), "text")
    assert os.listdir(tmp_path) == []


def test_text_is_utf8_with_the_line_ends_it_was_given(tmp_path):
    write_text(tmp_path / "file", "ä\r\nb\nc\r🎬")
    assert (tmp_path / "file").read_bytes() == "ä\r\nb\nc\r🎬".encode()


def test_bytes_of_a_file_name_come_out_as_they_were(tmp_path):
    write_text(tmp_path / "file", os.fsdecode(b"caf\xe9.mp4"))
    assert (tmp_path / "file").read_bytes() == b"caf\xe9.mp4"


def test_text_that_cannot_be_encoded_leaves_the_old_content(tmp_path):
    write_text(tmp_path / "file", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "file", "\ud800")
    assert (tmp_path / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_the_digest_is_that_of_the_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"abc" * (1 << 20))
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"abc" * (1 << 20)).hexdigest()


def test_leftovers_of_a_dead_process_go_and_those_of_a_living_one_stay(tmp_path):
    dead = a_dead_process()
    here = files._machine_prefix()
    (tmp_path / f"{here}{dead}-abc.part").write_text("x")
    (tmp_path / f"{here}{dead}-def.part").mkdir()
    kept = [
        f"{here}{os.getpid()}-ghi.part",  # in progress
        f"{here}{dead}-jkl.old",  # what was being replaced: perhaps the only copy
        f".videoseq-000000-{dead}-mno.part",  # another machine's
        ".videoseq-notes",
    ]
    for name in kept:
        (tmp_path / name).write_text("x")
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(kept)

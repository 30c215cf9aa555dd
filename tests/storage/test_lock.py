"""One run at a time in a folder, or the shards of one; what a killed process held is free."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from videoseq.errors import Notice, OutputError
from videoseq.storage import lock as folder_lock
from videoseq.storage.lock import locked_folder

_HOLD = """
import sys
from pathlib import Path
from videoseq.storage.lock import locked_folder
with locked_folder(Path(sys.argv[1]), sys.argv[2], on_notice=print):
    print("held", flush=True)
    sys.stdin.read()
"""

Hold = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Starts a process that holds a folder until its input ends."""
    holders = []

    def start(folder: Path, shard: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _HOLD, str(folder), shard]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        holders.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        return holder

    yield start
    for holder in holders:
        holder.kill()
        holder.communicate()


@pytest.fixture(autouse=True)
def soon_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_lock, "_PATIENCE_SECONDS", 0.1)


def quietly(folder: Path, shard: str = "") -> AbstractContextManager[None]:
    return locked_folder(folder, shard, on_notice=pytest.fail)


def check_refused(folder: Path, shard: str, who: str) -> None:
    with pytest.raises(OutputError) as caught, quietly(folder, shard):
        pytest.fail("two runs at a time")
    assert str(caught.value).startswith(f"{folder}: {who}")
    assert str(caught.value).endswith(" is using this folder; wait until it has ended, or choose another")


def test_a_second_run_is_told_who_is_at_work(hold, tmp_path):
    holder = hold(tmp_path / "out")
    check_refused(tmp_path / "out", "", f"process {holder.pid}")
    check_refused(tmp_path / "out", "shard-1-of-2", f"process {holder.pid}")
    holder.communicate("")
    with quietly(tmp_path / "out"):  # it has ended
        assert os.listdir(tmp_path / "out") == [".videoseq.lock"]


def test_shards_work_side_by_side_but_not_twice_and_not_beside_a_whole_run(hold, tmp_path):
    first, second = hold(tmp_path, "shard-1-of-2"), hold(tmp_path, "shard-2-of-2")
    check_refused(tmp_path, "shard-1-of-2", f"process {first.pid}")
    check_refused(tmp_path, "", "a shard of a run")
    first.communicate("")
    check_refused(tmp_path, "", "a shard of a run")
    second.communicate("")
    with quietly(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("shard", ["", "shard-1-of-2"])
def test_a_killed_process_holds_nothing(shard, hold, tmp_path):
    holder = hold(tmp_path, shard)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert sorted(os.listdir(tmp_path))[-1:] == [".videoseq.shard-1-of-2.lock" if shard else ".videoseq.lock"]
    with quietly(tmp_path, shard):
        pass
    assert os.listdir(tmp_path) == []


def test_many_that_come_and_go_are_never_two_at_a_time(tmp_path):
    """Each adds a line at its beginning and at its end; the lock file comes and goes with them."""
    program = """
import sys
from pathlib import Path
from videoseq.errors import OutputError
from videoseq.storage.lock import locked_folder
out, num_held = Path(sys.argv[1]), 0
while num_held < 100:
    try:
        with locked_folder(out, on_notice=print):
            with (out / "log").open("a") as log:
                print("begin", file=log, flush=True)
                print("end", file=log, flush=True)
            num_held += 1
    except OutputError as error:
        assert "is using this folder" in str(error), error
"""
    (tmp_path / "log").touch()
    command = [sys.executable, "-c", program, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(3)]
    assert [(process.communicate(timeout=60)[0], process.returncode) for process in running] == [(b"", 0)] * 3
    assert (tmp_path / "log").read_text() == "begin\nend\n" * 300


def test_a_folder_that_was_made_and_stayed_empty_goes_and_others_stay(tmp_path):
    with quietly(tmp_path / "new" / "out"):
        assert (tmp_path / "new" / "out").is_dir()
    assert os.listdir(tmp_path) == []
    (tmp_path / "empty").mkdir()
    with quietly(tmp_path / "empty"), quietly(tmp_path / "filled"):
        (tmp_path / "filled" / "file").touch()
    assert sorted(os.listdir(tmp_path)) == ["empty", "filled"]


def test_a_place_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file: could not be made; File exists$"), quietly(tmp_path / "file"):
        pass


@pytest.mark.parametrize("shard", ["", "shard-1-of-2"])
def test_where_locks_do_not_work_one_is_told_and_goes_on(shard, tmp_path, monkeypatch):
    def refuse(descriptor: int, *, is_shared: bool) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(folder_lock, "_flock", refuse)
    told: list[Notice] = []
    with locked_folder(tmp_path, shard, on_notice=told.append):
        assert os.listdir(tmp_path) == []
    assert [notice.code for notice in told] == ["no_locks"]
    assert str(tmp_path) in told[0].message

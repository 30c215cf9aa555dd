"""What the program does when its output is not read, and when it gets a signal to stop."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines import __main__ as program

VIDEOSEQ = str(Path(sys.executable).with_name("videoseq"))
PRINTING = [VIDEOSEQ, "train", "--print-config"]


@pytest.fixture
def saying(tmp_path: Path) -> list[str]:
    """A command that says one thing, on stderr, and ends with status 5."""
    return [VIDEOSEQ, "label", str(tmp_path), "--model", "none", "--out", str(tmp_path / "out")]


def broken_pipe() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def hung_up_terminal() -> int:
    ours, theirs = pty.openpty()
    os.close(ours)
    return theirs


@pytest.mark.parametrize("command", [PRINTING, [VIDEOSEQ, "--help"]], ids=lambda c: c[-1])
def test_whoever_has_seen_enough_of_stdout_ends_the_program_quietly(command):
    run = subprocess.run(command, stdout=broken_pipe(), stderr=subprocess.PIPE, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (141, b"")


def test_a_full_disk_behind_stdout_is_said():
    with open("/dev/full", "wb") as full:
        run = subprocess.run(PRINTING, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (
        74, "error: standard output: could not be written; No space left on device\n"
    )  # fmt: skip


@pytest.mark.parametrize("unread", [broken_pipe, hung_up_terminal])
def test_nobody_to_read_stderr_changes_nothing(unread, saying):
    run = subprocess.run(saying, stdout=subprocess.PIPE, stderr=unread(), timeout=60, check=False)
    assert (run.returncode, run.stdout) == (5, b"")


def test_what_is_said_on_a_closed_stderr_does_not_land_on_stdout(saying):
    run = subprocess.run(["sh", "-c", '"$@" 2>&-', "sh", *saying], stdout=subprocess.PIPE, timeout=60, check=False)
    assert (run.returncode, run.stdout) == (5, b"")


STOPPED = {
    "SIGINT": (130, "interrupted"),
    "SIGTERM": (143, "terminated"),
    "SIGHUP": (129, "hung up: the terminal is gone"),
}


@pytest.fixture
def handlers():
    """Puts the handlers of this process back."""
    before = {name: signal.getsignal(getattr(signal, name)) for name in STOPPED}
    yield
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("name", STOPPED)
def test_a_signal_ends_the_program_with_its_line_and_status(name, monkeypatch, capfd):
    def work() -> None:
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(10)

    status, what = STOPPED[name]
    signal.signal(getattr(signal, name), signal.SIG_DFL)
    monkeypatch.setattr(program, "app", work)
    with pytest.raises(SystemExit) as caught:
        program.main()
    assert caught.value.code == status
    assert capfd.readouterr() == ("", f"error: {what}\n")


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("name", STOPPED)
def test_a_signal_that_is_ignored_as_nohup_does_stays_so(name, monkeypatch):
    def work() -> None:
        os.kill(os.getpid(), getattr(signal, name))
        raise SystemExit(0)

    signal.signal(getattr(signal, name), signal.SIG_IGN)
    monkeypatch.setattr(program, "app", work)
    with pytest.raises(SystemExit) as caught:
        program.main()
    assert caught.value.code == 0

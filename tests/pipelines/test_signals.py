"""A command that is stopped or killed in the middle of a video."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.commands import contents, json_lines
from tests.support.index_videos import write_spelled
from tests.support.stderr import said_but_progress


class Stopped(NamedTuple):
    status: int
    err: str
    out: Path
    args: Sequence[str]


_SIGNALS = {"SIGINT": 3000, "SIGTERM": 3000, "SIGKILL": 600}
"""What is sent, and the frames of the second video, at which it is sent; the killed run is repeated to its end."""


@pytest.fixture(scope="module")
def stopped(model_folder: Path, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Stopped]]:
    """Runs that labeled a first video and got a signal in the middle of a second; all at the same time."""
    folder = tmp_path_factory.mktemp("stopped")
    program = str(Path(sys.executable).with_name("videoseq"))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # if ignored here, it would be ignored there
    running = {}
    try:
        for name, num_frames in _SIGNALS.items():
            videos, out = folder / name / "in", folder / name / "out"
            videos.mkdir(parents=True)
            shutil.copy(clip, videos / "a.mp4")
            write_spelled(videos / "b.mp4", num_frames, fps=10)
            args = ["label", str(videos), "--model", str(model_folder), "--out", str(out), "--device", "cpu"]
            with (folder / f"{name}.err").open("w") as err:
                running[name] = subprocess.Popen([program, *args], stdout=subprocess.PIPE, stderr=err), out, args
        for name, (process, out, _) in running.items():
            _wait_until(lambda out=out: _is_at_the_second_video(out), process)
            process.send_signal(signal.Signals[name])
        ended = {}
        for name, (process, out, args) in running.items():
            stdout, _ = process.communicate(timeout=60)
            assert stdout == b""
            ended[name] = Stopped(process.returncode, (folder / f"{name}.err").read_text(), out, args)
        yield ended
    finally:
        signal.signal(signal.SIGINT, before)
        for process, _, _ in running.values():
            process.kill()
            process.communicate()


def _is_at_the_second_video(out: Path) -> bool:
    return (out / "results.jsonl").exists() and len(list(out.glob(".*.part"))) == 2


def _wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < deadline, "the run did not get there"
        time.sleep(0.02)


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_stopped_run_leaves_nothing_half_written(name, status, stopped):
    ended = stopped[name]
    assert ended.status == status
    assert "Traceback" not in ended.err
    assert said_but_progress(ended.err)[0].startswith("complete: ")
    assert sorted(contents(ended.out)) == ["a.mp4.frames.csv", "a.mp4.segments.csv", "results.jsonl", "run.json"]
    assert [Path(str(r["path"])).name for r in json_lines(ended.out / "results.jsonl")] == ["a.mp4"]


def test_an_interrupted_run_says_so_in_one_line(stopped):
    assert said_but_progress(stopped["SIGINT"].err)[1:] == ["error: interrupted"]


def test_a_killed_run_repeated_leaves_what_an_undisturbed_one_leaves(stopped, call, tmp_path):
    ended = stopped["SIGKILL"]
    assert ended.status == -signal.SIGKILL
    again = call(*ended.args)
    assert again.status == 0
    assert "a.mp4" not in again.err
    undisturbed = [text if text != str(ended.out) else str(tmp_path / "out") for text in ended.args]
    assert call(*undisturbed).status == 0
    assert contents(ended.out) == contents(tmp_path / "out")


_INTERRUPT_WHILE_OPENING = """
import io, os, signal, sys
from videoseq.video import safe_file
from videoseq.video.reader import VideoReader

class Interrupting(io.BufferedReader):
    def read(self, size=-1):
        if sys._getframe(1).f_code is safe_file.SafeFile.read.__code__:  # from the decoder
            os.kill(os.getpid(), signal.SIGINT)
        return super().read(size)

safe_file.open_regular_file = lambda path: Interrupting(path.open("rb", buffering=0))
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    VideoReader(sys.argv[1])
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_while_a_video_is_being_opened_does_not_crash(clip):
    """Here the decoder calls back into Python, where an exception would end the process."""
    run = subprocess.run(
        [sys.executable, "-c", _INTERRUPT_WHILE_OPENING, clip], capture_output=True, text=True, check=False, timeout=60
    )
    assert (run.returncode, run.stdout) == (0, "interrupted\n")

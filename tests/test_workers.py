"""Workers side by side: the same labels as one gives, whatever dies meanwhile, and nobody left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Cli, light_frames
from tests.spelling import write_spelled, write_video
from tests.test_cli import Call, call, check_one_line, contents, json_lines  # noqa: F401 (call is a fixture)
from tests.test_terminal import on_terminal
from videoseq import worker_process, workers
from videoseq.bundle import load_bundle
from videoseq.errors import ConfigError, ModelError
from videoseq.inputs import Job, plan_jobs
from videoseq.isolation import Limits
from videoseq.journal import LabelSettings, Result
from videoseq.machine import RuntimeChoice
from videoseq.worker_process import LabelTask, started_early
from videoseq.workers import WorkerPool

TORCH = RuntimeChoice(device="cpu", library="torch", precision="float32")  # the quickest to start


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four good videos of several lengths, one damaged and one that is none."""
    folder = tmp_path_factory.mktemp("side-by-side") / "in"
    (folder / "deep").mkdir(parents=True)
    write_video(folder / "a.mp4", light_frames(20, 10, seed=1), fps=20)
    write_spelled(folder / "b.mp4", 90, fps=15)
    write_video(folder / "c.mp4", light_frames(60, 20, seed=2), fps=25)
    write_spelled(folder / "deep" / "d.avi", 40, fourcc="MJPG")
    cut = write_spelled(folder / "deep" / "e.avi", 40, fourcc="MJPG")
    os.truncate(cut, cut.stat().st_size // 2)
    (folder / "text.mp4").write_text("I am no video. " * 99)
    return folder


@pytest.fixture(scope="module")
def by_one(cli: Cli, videos: Path, model_folder: Path) -> tuple[list[dict[str, object]], dict[str, bytes]]:
    """What ``--workers 1`` prints as JSON, and all that it writes."""
    run = cli("label", "in", "--model", model_folder, "--out", "out", "--json", cwd=videos.parent)
    assert run.returncode == 3
    return json.loads(run.stdout), contents(videos.parent / "out")


def labels_in(written: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in written.items() if name.endswith(".csv")}


def without_runtime(result: dict[str, object]) -> dict[str, object]:
    return {**result, "runtime": ""}  # it says how many threads there were


def test_workers_write_what_one_writes(videos, by_one, cli, model_folder):
    out = videos.parent / "out2"
    run = cli("label", "in", "--model", model_folder, "--out", out, "--workers", 2, "--json", cwd=videos.parent)
    results, written = by_one
    assert run.returncode == 3
    assert "Traceback" not in run.stderr
    assert labels_in(contents(out)) == labels_in(written)
    assert sorted(contents(out)) == sorted(written)
    assert [without_runtime(r) for r in json.loads(run.stdout)] == [without_runtime(r) for r in results]
    listed = {str(r["path"]): without_runtime(r) for r in json_lines(out / "results.jsonl")}
    assert listed == {str(r["path"]): without_runtime(r) for r in results}
    assert (out / "failures.jsonl").read_bytes() == written["failures.jsonl"]
    lines = run.stderr.splitlines()
    assert sorted(line.split(":")[0] for line in lines[:-1]) == ["complete"] * 4 + ["degraded", "failed"]
    assert lines[-1] == "6 videos: 4 complete, 1 degraded, 1 failed"
    ours, theirs = json.loads((out / "run.json").read_text()), json.loads(written["run.json"])
    assert (theirs["workers"], ours["workers"]) == (1, 2)
    assert {**ours, "workers": 0, "runtime": ""} == {**theirs, "workers": 0, "runtime": ""}


def task_for(model_folder: Path, out: Path, choice: RuntimeChoice = TORCH) -> LabelTask:
    return LabelTask(model_folder, load_bundle(model_folder).sha256, out, choice, LabelSettings(), Limits())


def ignore(*_: object) -> None:
    """Nobody is interested."""


def test_a_run_with_nothing_to_do_starts_no_worker(call, videos, model_folder, tmp_path, monkeypatch):  # noqa: F811
    args = (
        "label", videos / "a.mp4", videos / "c.mp4", "--model", model_folder, "--out", tmp_path / "out",
        "--workers", 7, "--runtime", "torch",
    )  # fmt: skip
    assert call(*args).status == 0
    before = contents(tmp_path / "out")
    assert json.loads(before["run.json"])["workers"] == 2  # there was no work for more
    monkeypatch.setattr(workers, "WorkerProcess", None)
    monkeypatch.setattr(worker_process, "WorkerProcess", None)
    again = call(*args)
    assert (again.status, again.err) == (0, "2 videos: 2 complete, 0 degraded, 0 failed\n")
    assert contents(tmp_path / "out") == before


def test_the_next_job_is_asked_for_when_somebody_is_idle(videos, model_folder, tmp_path):
    jobs = plan_jobs([str(videos / name) for name in ("a.mp4", "c.mp4", "text.mp4", "deep")], tmp_path)
    asked: list[Job] = []
    with WorkerPool(2, task_for(model_folder, tmp_path)) as pool:
        ended = pool.results((asked.append(job) or job for job in jobs), ignore, ignore)
        for number, _ in enumerate(ended, start=1):
            assert len(asked) <= number + 1
    assert asked == list(jobs)


def test_no_more_workers_start_than_there_are_jobs(videos, model_folder, tmp_path):
    jobs = plan_jobs([str(videos / "a.mp4"), str(videos / "text.mp4")], tmp_path)
    with WorkerPool(5, task_for(model_folder, tmp_path)) as pool:
        assert {result.state for _, result in pool.results(jobs, ignore, ignore)} == {"complete", "failed"}
        assert [worker is not None for worker in pool._workers] == [True, True, False, False, False]


def test_processes_that_were_started_early_do_the_work_and_those_left_over_end(videos, model_folder, tmp_path):
    jobs = plan_jobs([str(videos / "a.mp4"), str(videos / "c.mp4")], tmp_path)
    with started_early(3) as waiting:
        early = list(waiting)
        with WorkerPool(2, task_for(model_folder, tmp_path), waiting) as pool:
            assert {result.state for _, result in pool.results(jobs, ignore, ignore)} == {"complete"}
            assert set(early) - set(waiting) == set(pool._workers)
        assert waiting == early[:1]
    assert all(worker._process.poll() is not None for worker in early)


def test_early_processes_end_with_whatever_ends_their_parents_work():
    early = []

    def fail() -> None:
        with started_early(2) as waiting:
            early.extend(waiting)
            raise ConfigError("no such model")

    with pytest.raises(ConfigError, match="no such model"):
        fail()
    assert [worker._process.poll() is not None for worker in early] == [True, True]


def test_cores_are_shared_out(model_folder, tmp_path):
    def shares(num_workers: int, num_cores: int) -> list[int | None]:
        task = task_for(model_folder, tmp_path, RuntimeChoice(num_threads=num_cores))
        return [choice.num_threads for choice in WorkerPool(num_workers, task).choices]

    assert shares(2, 8) == [4, 4]
    assert shares(3, 8) == [3, 3, 2]
    assert shares(3, 2) == [1, 1, 1]


# workers that die


class Killer:
    """Kills the worker at a video of this name when it tells of progress, so many times."""

    def __init__(self, pool: WorkerPool, name: str, times: int) -> None:
        self.pool, self.name, self.times = pool, name, times
        self.killed: list[int] = []

    def __call__(self, job: Job, num_frames: int, fraction: float) -> None:
        (process,) = [w._process.pid for w in self.pool._workers if w is not None and w.job == job]
        if job.video.name == self.name and len(self.killed) < self.times and process not in self.killed:
            os.kill(process, signal.SIGKILL)
            self.killed.append(process)


def label_with_killer(times: int, videos: Path, model_folder: Path, out: Path) -> tuple[list[int], dict[str, Result]]:
    """Labels three videos with two workers, of which those at ``b.mp4`` die."""
    jobs = plan_jobs([str(videos / name) for name in ("a.mp4", "b.mp4", "c.mp4")], out)
    with WorkerPool(2, task_for(model_folder, out)) as pool:
        killer = Killer(pool, "b.mp4", times)
        results = {job.video.name: result for job, result in pool.results(jobs, killer, ignore)}
    assert [name for name in contents(out) if name.endswith(".part")] == []
    return killer.killed, results


@pytest.fixture(scope="module")
def undisturbed(videos: Path, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The labels of a run in which nobody dies."""
    out = tmp_path_factory.mktemp("undisturbed")
    killed, results = label_with_killer(0, videos, model_folder, out)
    assert (killed, {result.state for result in results.values()}) == ([], {"complete"})
    return labels_in(contents(out))


def test_a_worker_that_dies_is_replaced_and_its_video_labelled(undisturbed, videos, model_folder, tmp_path):
    killed, results = label_with_killer(1, videos, model_folder, tmp_path)
    assert len(killed) == 1
    assert {name: result.state for name, result in results.items()} == dict.fromkeys(results, "complete")
    assert sorted(results) == ["a.mp4", "b.mp4", "c.mp4"]
    assert labels_in(contents(tmp_path)) == undisturbed


def test_a_video_over_which_two_workers_die_fails_alone(undisturbed, videos, model_folder, tmp_path):
    killed, results = label_with_killer(2, videos, model_folder, tmp_path)
    assert len(set(killed)) == 2
    failed = results.pop("b.mp4")
    assert (failed.state, failed.code) == ("failed", "worker_died")
    assert failed.message == (
        f"{videos / 'b.mp4'}: the process that labelled it was killed by SIGKILL, and so did another before"
    )
    assert {name: result.state for name, result in results.items()} == {"a.mp4": "complete", "c.mp4": "complete"}
    assert labels_in(contents(tmp_path)) == {n: data for n, data in undisturbed.items() if not n.startswith("b.mp4")}


def test_a_worker_that_died_while_it_waited_costs_nothing(videos, model_folder, tmp_path):
    (first, second) = plan_jobs([str(videos / "a.mp4"), str(videos / "c.mp4")], tmp_path)
    with WorkerPool(1, task_for(model_folder, tmp_path)) as pool:
        states = []
        for _, result in pool.results([first, second], ignore, ignore):
            states.append(result.state)
            (worker,) = pool._workers
            worker._process.kill()
            worker._process.wait()
    assert states == ["complete", "complete"]


def test_workers_that_die_before_they_begin_end_the_run(videos, model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(worker_process, "_CHILD", "sys.exit(9)")
    jobs = plan_jobs([str(videos)], tmp_path)
    with (
        WorkerPool(2, task_for(model_folder, tmp_path)) as pool,
        pytest.raises(ConfigError, match="workers: expected 2 of them to load the model, but one after the other ended "
                                         "with status 9; fewer of them need less memory"),
    ):  # fmt: skip
        list(pool.results(jobs, ignore, ignore))


# errors that are not a video's


def test_a_bug_in_a_worker_is_one_here_with_its_traceback(videos, model_folder, tmp_path):
    jobs = plan_jobs([str(videos / "a.mp4")], tmp_path / "elsewhere")
    with (
        WorkerPool(2, task_for(model_folder, tmp_path / "out")) as pool,
        pytest.raises(RuntimeError, match=r"(?s)^in a worker:\nTraceback .*label_job.*ValueError: "),
    ):
        list(pool.results(jobs, ignore, ignore))


def test_another_model_in_its_place_is_not_worked_with(videos, model_folder, tmp_path):
    task = LabelTask(model_folder, "0" * 64, tmp_path, TORCH, LabelSettings(), Limits())
    jobs = plan_jobs([str(videos / "a.mp4")], tmp_path)
    with WorkerPool(1, task) as pool, pytest.raises(ModelError, match="expected the model of this run, got another"):
        list(pool.results(jobs, ignore, ignore))


def test_a_device_that_is_not_there_is_one_line(call, videos, model_folder, tmp_path):  # noqa: F811
    ended = call(
        "label", videos, "--model", model_folder, "--out", tmp_path / "out", "--workers", 2, "--device", "cuda:99"
    )
    check_one_line(ended, 2, "cuda:99 asked for, but torch sees")


def test_a_place_that_cannot_be_written_ends_the_run_as_with_one_worker(call, videos, model_folder, tmp_path):  # noqa: F811
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "deep").write_text("precious")
    shutil.copytree(videos / "deep", tmp_path / "in" / "deep")
    args = ("label", tmp_path / "in", "--model", model_folder, "--out", tmp_path / "out", "--runtime", "torch")
    ended = call(*args, "--workers", 2)
    check_one_line(ended, 74, str(tmp_path / "out" / "deep"), "could not be written; ")
    assert call(*args, "--workers", 1).err.replace("d.avi", "e.avi") == ended.err.replace("d.avi", "e.avi")
    assert (tmp_path / "out" / "deep").read_text() == "precious"


def test_nothing_new_begins_after_a_failure_that_is_to_stop(call, videos, model_folder, tmp_path):  # noqa: F811
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.mp4").write_text("no video")
    for number in range(1, 9):
        shutil.copy(videos / "c.mp4", tmp_path / "in" / f"{number}.mp4")
    ended = call(
        "label", tmp_path / "in", "--model", model_folder, "--out", tmp_path / "out", "--workers", 2,
        "--on-corrupt", "fail", "--runtime", "torch",
    )  # fmt: skip
    reached = sorted(Path(str(r["path"])).name for r in json_lines(tmp_path / "out" / "results.jsonl"))
    assert ended.status == 3
    assert reached == [f"{number}.mp4" for number in range(len(reached))]
    assert len(reached) < 9
    assert f"stopped there, as asked; {9 - len(reached)} videos were not reached" in ended.err.splitlines()


def test_nothing_is_imported_from_the_folder_one_stands_in(cli, videos, model_folder, tmp_path):
    shutil.copy(videos / "a.mp4", tmp_path)
    for name in ("cv2", "numpy", "json", "videoseq", "multiprocessing"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    args = ("--model", model_folder, "--out", "out", "--workers", 2, "--runtime", "torch")
    assert cli("label", "a.mp4", *args, cwd=tmp_path).returncode == 0
    assert not (tmp_path / "ran").exists()


def test_the_bar_counts_all_that_are_being_worked_on(videos, model_folder, tmp_path):
    args = ("--model", model_folder, "--out", tmp_path, "--workers", "2", "--runtime", "torch")
    status, shown, data = on_terminal("label", videos / "b.mp4", videos / "c.mp4", *args)
    assert (status, data) == (0, "")
    assert shown.count("complete: ") == 2
    assert "0/2 files, " in shown
    assert "1/2 files, " in shown


# signals


class Stopped(NamedTuple):
    status: int
    err: str
    out: Path
    processes: list[int]


def descendants(process: int) -> list[int]:
    """Processes that a process has started, and those that these have (Linux)."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has just ended
                continue
    found = [process]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found[1:]


def has_ended(process: int) -> bool:
    """Whether it is gone, or dead and waiting for an init that collects it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to it"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def stopped(videos: Path, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Stopped]]:
    """Runs of which a first video was labelled and which got a signal when both workers were at others."""
    if sys.platform != "linux":
        pytest.skip("processes are counted as Linux does")
    folder = tmp_path_factory.mktemp("stopped")
    program = str(Path(sys.executable).with_name("videoseq"))
    (folder / "in").mkdir()
    shutil.copy(videos / "a.mp4", folder / "in" / "a.mp4")
    write_spelled(folder / "in" / "b.mp4", 3000, fps=10)
    shutil.copy(folder / "in" / "b.mp4", folder / "in" / "c.mp4")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # if ignored here, it would be ignored there
    running, ended = {}, {}
    try:
        for name in ("SIGINT", "SIGTERM", "SIGKILL"):
            args = ["label", str(folder / "in"), "--model", str(model_folder), "--out", str(folder / name)]
            with (folder / f"{name}.err").open("w") as err:
                command = [program, *args, "--workers", "2", "--runtime", "torch", "--threads", "2"]
                running[name] = subprocess.Popen(command, stderr=err)
        for name, process in running.items():
            out = folder / name
            wait_until(lambda out=out: (out / "results.jsonl").exists() and len(list(out.glob(".*.part"))) == 4, 120)
            processes = descendants(process.pid)
            process.send_signal(signal.Signals[name])
            status = process.wait(60)
            ended[name] = Stopped(status, (folder / f"{name}.err").read_text(), out, processes)
        yield ended
    finally:
        signal.signal(signal.SIGINT, before)
        for process in running.values():
            process.kill()
            process.wait()


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_stopped_run_leaves_nobody_and_nothing_half_written(name, status, stopped):
    ended = stopped[name]
    assert ended.status == status
    assert len(ended.processes) == 4  # two workers, two decoders
    wait_until(lambda: all(map(has_ended, ended.processes)), 5)
    complete, error = ended.err.splitlines()
    assert complete.startswith("complete: ")
    assert error.startswith(("error: interrupted", "error: terminated"))
    assert sorted(contents(ended.out)) == ["a.mp4.frames.csv", "a.mp4.segments.csv", "results.jsonl", "run.json"]


def test_workers_end_when_their_parent_is_killed(stopped):
    ended = stopped["SIGKILL"]
    assert ended.status == -signal.SIGKILL
    assert len(ended.processes) == 4
    wait_until(lambda: all(map(has_ended, ended.processes)), 20)
    assert "Traceback" not in ended.err
    assert sorted(contents(ended.out)) == ["a.mp4.frames.csv", "a.mp4.segments.csv", "results.jsonl", "run.json"]

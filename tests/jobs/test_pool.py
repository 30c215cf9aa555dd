"""Workers side by side: the same labels as one gives, whatever dies meanwhile, and no process left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support import toy_worker
from tests.support.commands import Cli, check_one_line, contents, json_lines
from tests.support.index_videos import write_spelled, write_video
from tests.support.label_tasks import TORCH, ignore, task_for
from tests.support.light_clips import light_frames
from tests.support.processes import descendants, has_ended, wait_until
from tests.support.stderr import said_but_progress
from tests.support.terminal import on_terminal
from videoseq.config.runtime import RuntimeChoice
from videoseq.errors import ConfigError, ModelError
from videoseq.jobs import pool as workers
from videoseq.jobs import worker_process
from videoseq.jobs.plan import Job, plan_jobs
from videoseq.jobs.pool import WorkerPool
from videoseq.jobs.request import LabelSettings
from videoseq.jobs.worker_process import LabelTask, started_early
from videoseq.video.isolation import Limits


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
    lines = said_but_progress(run.stderr)
    assert sorted(line.split(":")[0] for line in lines[:-1]) == ["complete"] * 4 + ["degraded", "failed"]
    assert lines[-1] == "6 videos: 4 complete, 1 degraded, 1 failed"
    ours, theirs = json.loads((out / "run.json").read_text()), json.loads(written["run.json"])
    assert (theirs["workers"], ours["workers"]) == (1, 2)
    assert {**ours, "workers": 0, "runtime": ""} == {**theirs, "workers": 0, "runtime": ""}


def test_a_run_with_nothing_to_do_starts_no_worker(call, videos, by_one, model_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(videos.parent)
    out = Path(shutil.copytree("out", tmp_path / "out"))
    monkeypatch.setattr(workers, "WorkerProcess", None)
    monkeypatch.setattr(worker_process, "WorkerProcess", None)
    again = call("label", "in/a.mp4", "in/c.mp4", "--model", model_folder, "--out", out, "--workers", 7)
    assert (again.status, again.err) == (0, "2 videos: 2 complete, 0 degraded, 0 failed\n")
    assert json.loads((out / "run.json").read_text())["workers"] == 2  # there was no work for more
    kept = {name: data for name, data in by_one[1].items() if name not in ("run.json", "failures.jsonl")}
    assert {name: data for name, data in contents(out).items() if name in kept} == kept


# what hands out the work, with workers that need no time to start


@pytest.fixture
def toy_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_CHILD", toy_worker.CHILD)


def meet(job: Job, *_: float) -> None:
    """Called with a job's progress; a worker of a ``together*`` ends no sooner than this was called for two of them."""
    job.output_stem.touch()


def toy_pool(num_workers: int, out: Path, **options: Any) -> WorkerPool:
    task = LabelTask(out / "model", "0" * 64, out, TORCH, LabelSettings(), Limits())
    return WorkerPool(num_workers, task, **options)


def toy_jobs(out: Path, *names: str) -> list[Job]:
    return [Job(out / name, out / name) for name in names]


def test_the_next_job_is_asked_for_when_somebody_is_idle(toy_workers, tmp_path):
    jobs = toy_jobs(tmp_path, *"abcdefgh")
    asked: list[Job] = []
    with toy_pool(2, tmp_path) as pool:
        ended = pool.results((asked.append(job) or job for job in jobs), ignore, ignore)
        for number, _ in enumerate(ended, start=1):
            assert len(asked) <= number + 1
    assert asked == list(jobs)


def test_no_more_workers_start_than_there_are_jobs(toy_workers, tmp_path):
    with toy_pool(5, tmp_path) as pool:
        assert len(list(pool.results(toy_jobs(tmp_path, "together1", "together2"), meet, ignore))) == 2
        assert [worker is not None for worker in pool._workers] == [True, True, False, False, False]


def test_progress_is_told_of_all_that_are_being_worked_on(toy_workers, tmp_path):
    """Neither of the two ends before progress was told of both."""
    jobs = toy_jobs(tmp_path, "together1", "together2")
    with toy_pool(2, tmp_path) as pool:
        ended = list(pool.results(jobs, meet, ignore))
    assert {job for job, _ in ended} == set(jobs)


@pytest.mark.parametrize("jobs_per_worker", [1, 3, 100])
def test_workers_are_renewed_and_no_job_is_lost_or_repeated(jobs_per_worker, toy_workers, tmp_path):
    jobs = toy_jobs(tmp_path, *(f"{number}.mp4" for number in range(7)))
    starts: list[dict[str, object]] = []
    with toy_pool(2, tmp_path, jobs_per_worker=jobs_per_worker) as pool:
        ended = list(pool.results(jobs, ignore, starts.append))
        at_work = [worker for worker in pool._workers if worker is not None]
    assert sorted(job.video for job, _ in ended) == [job.video for job in jobs]
    shares = Counter(result.message for _, result in ended)  # by process
    assert max(shares.values()) <= jobs_per_worker
    assert len(shares) >= 7 / jobs_per_worker
    assert len(starts) == 1  # run.json is written once
    assert all(worker._process.poll() is not None for worker in at_work)


@pytest.mark.slow
def test_renewed_workers_write_what_one_writes(by_one, videos, model_folder, tmp_path):
    task = task_for(model_folder, tmp_path, RuntimeChoice())
    with WorkerPool(2, task, jobs_per_worker=2) as pool:
        ended = list(pool.results(plan_jobs([str(videos)], tmp_path), ignore, ignore))
    assert len(ended) == 6
    assert labels_in(contents(tmp_path)) == labels_in(by_one[1])


def test_processes_that_were_started_early_do_the_work_and_those_left_over_end(toy_workers, tmp_path):
    with started_early(3) as waiting:
        early = list(waiting)
        with toy_pool(2, tmp_path, waiting=waiting) as pool:
            assert len(list(pool.results(toy_jobs(tmp_path, "together1", "together2"), meet, ignore))) == 2
            assert set(early) - set(waiting) == set(pool._workers)
        assert waiting == early[:1]
    assert all(worker._process.poll() is not None for worker in early)


def test_early_processes_end_with_whatever_ends_their_parents_work(toy_workers):
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
    """Kills the worker at a video when it tells of progress, so many times for each name."""

    def __init__(self, pool: WorkerPool, times: dict[str, int]) -> None:
        self.pool = pool
        self.left = dict(times)
        self.killed: list[int] = []

    def __call__(self, job: Job, num_frames: int, fraction: float) -> None:
        (process,) = [w._process.pid for w in self.pool._workers if w is not None and w.job == job]
        if self.left.get(job.video.name) and process not in self.killed:
            os.kill(process, signal.SIGKILL)
            self.killed.append(process)
            self.left[job.video.name] -= 1


def test_a_worker_that_dies_is_replaced_and_its_video_tried_once_more(by_one, videos, model_folder, tmp_path):
    """The one at ``c.mp4`` dies once, those at ``b.mp4`` twice."""
    jobs = plan_jobs([str(videos / name) for name in ("a.mp4", "b.mp4", "c.mp4")], tmp_path)
    with WorkerPool(2, task_for(model_folder, tmp_path, RuntimeChoice())) as pool:
        killer = Killer(pool, {"b.mp4": 2, "c.mp4": 1})
        results = {job.video.name: result for job, result in pool.results(jobs, killer, ignore)}
    assert len(set(killer.killed)) == 3
    failed = results.pop("b.mp4")
    assert (failed.state, failed.code) == ("failed", "worker_died")
    assert failed.message == (
        f"{videos / 'b.mp4'}: the process that worked on it was killed by SIGKILL, and so did another before"
    )
    assert {name: result.state for name, result in results.items()} == {"a.mp4": "complete", "c.mp4": "complete"}
    by_name = {name: data for name, data in by_one[1].items() if name.startswith(("a.mp4", "c.mp4"))}
    assert contents(tmp_path) == by_name  # and nothing half-written


def test_a_worker_that_died_while_it_waited_costs_nothing(toy_workers, tmp_path):
    with toy_pool(1, tmp_path) as pool:
        states = []
        for _, result in pool.results(toy_jobs(tmp_path, "a", "b"), ignore, ignore):
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


def test_a_device_that_is_not_there_is_one_line(call, videos, model_folder, tmp_path):
    ended = call(
        "label", videos, "--model", model_folder, "--out", tmp_path / "out", "--workers", 2, "--device", "cuda:99"
    )
    check_one_line(ended, 2, "cuda:99 asked for, but torch sees")


def test_a_place_that_cannot_be_written_ends_the_run_as_with_one_worker(call, videos, model_folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "deep").write_text("precious")
    shutil.copytree(videos / "deep", tmp_path / "in" / "deep")
    args = ("label", tmp_path / "in", "--model", model_folder, "--out", tmp_path / "out", "--runtime", "torch")
    ended = call(*args, "--workers", 2)
    check_one_line(ended, 74, str(tmp_path / "out" / "deep"), "could not be written; ")
    assert call(*args, "--workers", 1).err.replace("d.avi", "e.avi") == ended.err.replace("d.avi", "e.avi")
    assert (tmp_path / "out" / "deep").read_text() == "precious"


def test_nothing_new_begins_after_a_failure_that_is_to_stop(call, videos, model_folder, tmp_path):
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


def test_a_terminal_shows_how_far_workers_are(videos, model_folder, tmp_path):
    long = write_spelled(tmp_path / "long.mp4", 200, fps=10)  # the two do not end at the same moment
    args = ("--model", model_folder, "--out", tmp_path / "out", "--workers", "2", "--runtime", "torch")
    status, shown, data = on_terminal("label", videos / "c.mp4", long, *args)
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


@pytest.fixture(scope="module")
def stopped(videos: Path, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Stopped]]:
    """Runs of which a first video was labeled and which got a signal when both workers were at others."""
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
    complete, error = said_but_progress(ended.err)
    assert complete.startswith("complete: ")
    assert error.startswith(("error: interrupted", "error: terminated"))
    assert sorted(contents(ended.out)) == ["a.mp4.frames.csv", "a.mp4.segments.csv", "results.jsonl", "run.json"]


def test_workers_end_when_their_parent_is_killed(stopped):
    ended = stopped["SIGKILL"]
    assert ended.status == -signal.SIGKILL
    assert len(ended.processes) == 4
    wait_until(lambda: all(map(has_ended, ended.processes)), 20)
    assert "Traceback" not in ended.err
    left = set(contents(ended.out)) - {".videoseq.lock"}  # which no process holds
    assert sorted(left) == ["a.mp4.frames.csv", "a.mp4.segments.csv", "results.jsonl", "run.json"]


# long runs


class Held(NamedTuple):
    """What a process holds (Linux)."""

    num_files: int
    num_threads: int
    num_children: int
    resident_bytes: int


def held_by(process: int) -> Held:
    folder = Path(f"/proc/{process}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    children = len(descendants(process))
    return Held(len(os.listdir(folder / "fd")), int(status["Threads"]), children, int(status["VmRSS"].split()[0]) << 10)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked into as Linux lets one")
def test_three_hundred_videos_leave_nothing_in_a_worker_nor_in_its_parent(model_folder, tmp_path):
    """Measured between the 50th and the last: no descriptor, thread or process more, and 1 MB; the decoder is new."""
    video = write_video(tmp_path / "tiny.mp4", light_frames(4, 2, seed=1), fps=10)
    (tmp_path / "out").mkdir()
    jobs = [Job(video, tmp_path / "out" / f"{number}.mp4") for number in range(300)]
    seen, decoders = [], set()
    with WorkerPool(1, task_for(model_folder, tmp_path / "out", RuntimeChoice())) as pool:
        for number, (_, result) in enumerate(pool.results(jobs, ignore, ignore), start=1):
            assert result.state == "complete", result.message
            if number in (50, 300):
                (worker,) = [worker._process.pid for worker in pool._workers if worker is not None]
                seen.append((held_by(worker), held_by(os.getpid())))
                decoders |= set(descendants(worker))
    assert len(decoders) == 2
    for early, late in zip(*seen, strict=True):
        assert late[:3] == early[:3]
        assert late.resident_bytes - early.resident_bytes < 16 << 20

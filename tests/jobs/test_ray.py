"""Labeling on a Ray cluster: the same bytes as on one machine, whatever dies meanwhile, and no process left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.commands import Cli, check_one_line, contents
from tests.support.index_videos import write_spelled, write_video
from tests.support.label_tasks import ignore, task_for
from tests.support.light_clips import light_frames
from tests.support.processes import descendants, has_ended, wait_until
from tests.support.stderr import said_but_progress
from videoseq.config.runtime import RuntimeChoice
from videoseq.errors import ConfigError, ModelError
from videoseq.jobs.plan import Job, plan_jobs
from videoseq.jobs.ray import pool as ray_engine
from videoseq.jobs.ray.cluster import Room, import_ray
from videoseq.jobs.ray.pool import RayPool
from videoseq.jobs.ray.site import Site, marked, outputs_visible
from videoseq.jobs.result import Result

TORCH = ("--device", "cpu", "--runtime", "torch", "--precision", "float32", "--threads", "1")
RAY = str(Path(sys.executable).with_name("ray"))

# what actors take of a cluster


def test_actors_share_the_cores_of_each_node():
    room = Room(((8, 0), (5, 0), (0, 0)))
    choice, needs = room.share(RuntimeChoice())
    assert (choice.device, choice.num_threads) == ("cpu", 2)
    assert needs == {"num_cpus": 2, "num_gpus": 0}
    assert room.num_fitting(**needs) == 4 + 2
    assert room.num_fitting(**room.share(RuntimeChoice(num_threads=3))[1]) == 2 + 1
    assert room.num_fitting(**room.share(RuntimeChoice(num_threads=9))[1]) == 0
    small = Room(((1, 0), (1, 0)))
    assert small.num_fitting(**small.share(RuntimeChoice())[1]) == 2


def test_actors_have_a_device_each_where_there_are_devices():
    room = Room(((16, 4), (2, 2), (64, 0)))
    choice, needs = room.share(RuntimeChoice(precision="float16"))
    assert choice == RuntimeChoice("cuda", precision="float16", num_threads=2)
    assert room.num_fitting(**needs) == 4 + 1
    assert room.share(RuntimeChoice(library="openvino"))[1]["num_gpus"] == 0
    assert room.share(RuntimeChoice("cpu"))[1]["num_gpus"] == 0
    with pytest.raises(ConfigError, match="Ray, which hands them out, expected auto, cpu or cuda, got cuda:1"):
        room.share(RuntimeChoice("cuda:1"))
    with pytest.raises(ConfigError, match="no node of the Ray cluster has such a device"):
        Room(((8, 0),)).share(RuntimeChoice("cuda"))


# what nodes share with the driver


def test_a_node_is_held_to_what_the_driver_sees(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with marked(Path("out")) as site:
        monkeypatch.chdir(tmp_path / "elsewhere")
        site.check("here")
        assert Path.cwd() == tmp_path
        newer = {**site.versions, "torch": site.versions["torch"].partition("+")[0] + "+cu999"}
        replace(site, versions=newer).check("here")  # the same release, built for CUDA
        for expected, other in (
            ("torch 1.0 as on the driver", replace(site, versions={**site.versions, "torch": "1.0"})),
            ("the driver's folder .*No such file", replace(site, folder=tmp_path / "nowhere")),
            (f"to see what the driver writes into {tmp_path}", replace(site, mark=tmp_path / "nothing")),
        ):
            with pytest.raises(ConfigError, match="^ray: node 10.0.0.7: expected .*" + expected):
                other.check("10.0.0.7")
    assert contents(tmp_path / "out") == {}


def test_files_that_are_not_here_as_they_were_written_there_are_missed(tmp_path, monkeypatch):
    monkeypatch.setattr("videoseq.jobs.ray.site._LOOK_SECONDS", (0.0, 0.0))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_bytes(b"a")
    digest = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert outputs_visible({"deep/a": digest}, tmp_path)
    assert outputs_visible({}, tmp_path)
    assert not outputs_visible({"deep/a": digest, "deep/b": digest}, tmp_path)
    assert not outputs_visible({"deep/a": "0" * 64}, tmp_path)


# what is refused at once


def test_without_ray_it_is_one_line(call, videos, model_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    args = ("label", videos / "deep" / "c.mp4", "--model", model_folder, "--out", tmp_path / "out")
    check_one_line(call(*args, "--engine", "ray"), 2, 'needs Ray: pip install "videoseq[ray]"')
    check_one_line(call(*args, "--address", "auto"), 2, "address: expected none unless engine is ray, got 'auto'")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("ray://head:10001", "expected auto or HOST:PORT of the cluster's head, got 'ray://head:10001'"),
        ("head", "expected auto or HOST:PORT of the cluster's head, got 'head'"),
        ("127.0.0.1:1", "expected the head of a Ray cluster at 127.0.0.1:1; "),
    ],
)
def test_an_address_where_no_cluster_is_is_one_line(address, expected, call, videos, model_folder, tmp_path):
    args = ("label", videos / "deep" / "c.mp4", "--model", model_folder, "--out", tmp_path / "out")
    check_one_line(call(*args, "--engine", "ray", "--address", address), 2, expected)


# a real cluster of two nodes on this machine


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos of several lengths, and a file that is none."""
    folder = tmp_path_factory.mktemp("on-ray") / "in"
    (folder / "deep").mkdir(parents=True)
    write_spelled(folder / "a.mp4", 200, fps=10)  # the first two take long enough to be killed at
    write_spelled(folder / "b.mp4", 210, fps=10)
    write_video(folder / "deep" / "c.mp4", light_frames(20, 10, seed=1), fps=20)
    write_spelled(folder / "deep" / "d.mp4", 40, fps=15)
    (folder / "text.mp4").write_text("I am no video. " * 99)
    return folder


class Cluster:
    """Nodes of one core each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._nodes: list[subprocess.Popen[bytes]] = []
        # The driver is to be on the head, which therefore has another address than the other nodes.
        self._host = import_ray().util.get_node_ip_address()
        with socket.create_server((self._host, 0)) as server:
            self.address = f"{self._host}:{server.getsockname()[1]}"

    def add(self) -> subprocess.Popen[bytes]:
        """Starts a node; the first is the head."""
        place = ["--address", self.address]
        if not self._nodes:
            port = self.address.rpartition(":")[2]
            place = ["--head", "--port", port, "--include-dashboard=false", "--temp-dir", str(self._folder)]
        log = self._folder / f"node{len(self._nodes)}.log"
        options = [
            "--node-ip-address",
            f"127.0.0.{len(self._nodes) + 1}" if self._nodes else self._host,
            "--num-cpus",
            "1",
            "--object-store-memory",
            "80000000",
        ]
        with log.open("wb") as file:
            node = subprocess.Popen(
                [RAY, "start", *place, *options, "--block"], stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}, cwd="/",
            )  # fmt: skip
        self._nodes.append(node)
        wait_until(lambda: b"Ray runtime started" in log.read_bytes() or node.poll() is not None, 300)
        assert node.poll() is None, log.read_text()
        for known in self._folder.glob("session_*/node_ip_address.json"):  # where the machine's last node left its own
            known.write_text(json.dumps({"node_ip_address": self._host}))
        return node

    def kill(self, node: subprocess.Popen[bytes]) -> None:
        """Ends a node as a power cut does."""
        processes = [node.pid, *descendants(node.pid)]
        for process in processes:
            if not has_ended(process):
                os.kill(process, signal.SIGKILL)
        node.wait()
        wait_until(lambda: all(map(has_ended, processes)), 20)

    def close(self) -> None:
        """Ends all nodes."""
        for node in reversed(self._nodes):
            if node.poll() is None:
                self.kill(node)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head, to which nodes are added."""
    if sys.platform != "linux":
        pytest.skip("processes are counted as Linux does")
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:  # sockets' names are short
        cluster = Cluster(Path(folder))
        try:
            cluster.add()
            yield cluster
        finally:
            cluster.close()


@pytest.fixture(scope="module")
def by_one(cli: Cli, videos: Path, model_folder: Path) -> tuple[str, dict[str, bytes]]:
    """What the local engine prints, and all that it writes."""
    args = ("--model", model_folder, "--out", "out", *TORCH, "--json")
    run = cli("label", "in", *args, cwd=videos.parent)
    assert run.returncode == 3
    return run.stdout, contents(videos.parent / "out")


def start(videos: Path, model_folder: Path, out: str, *args: object) -> subprocess.Popen[str]:
    """The command in the videos' folder, with the engine and paths relative to it."""
    command = [str(Path(sys.executable).with_name("videoseq")), "label", "in", "--model", str(model_folder)]
    command += ["--out", out, *TORCH, "--json", "--engine", "ray", *map(str, args)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=videos.parent, text=True, **pipes)


def check_same(written: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """Holds an output folder to that of the local engine: every byte, but the order of the journal."""
    assert sorted(written) == sorted(expected)
    journal, run = "results.jsonl", "run.json"
    assert sorted(written[journal].splitlines()) == sorted(expected[journal].splitlines())
    ours, theirs = json.loads(written[run]), json.loads(expected[run])
    assert {**ours, "workers": 0} == {**theirs, "workers": 0}
    others = set(expected) - {journal, run}
    assert {name: written[name] for name in others} == {name: expected[name] for name in others}


def writers(out: Path) -> set[int]:
    """The processes that are writing labels into a folder."""
    staged = [name for name in contents(out) if name.endswith(".part")]
    pids = [int(Path(name).name.split("-")[2]) for name in staged]
    return {pid for pid in pids if pids.count(pid) == 2}  # the driver's mark is one file


@pytest.mark.slow
def test_a_folder_is_labeled_as_by_one_process_although_a_node_is_killed(cluster, videos, model_folder, by_one):
    node = cluster.add()
    run = start(videos, model_folder, "killed", "--address", cluster.address, "--workers", 2)
    out = videos.parent / "killed"
    try:
        wait_until(lambda: run.poll() is not None or (out.exists() and len(writers(out)) == 2), 300)
        assert len(writers(out) & set(descendants(node.pid))) == 1
        cluster.kill(node)
        printed, said = run.communicate(timeout=300)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 3
    lines = said_but_progress(said)
    assert sorted(line.split(":")[0] for line in lines[:-1]) == ["complete"] * 4 + ["failed"]
    assert lines[-1] == "5 videos: 4 complete, 0 degraded, 1 failed"
    expected, written = by_one
    assert json.loads(printed) == json.loads(expected)
    check_same(contents(out), written)
    assert json.loads((out / "run.json").read_text())["workers"] == 2


class Killer:
    """Kills the actor at a video of this name when it tells of progress, so many times."""

    def __init__(self, pool: RayPool, name: str, times: int) -> None:
        self.pool, self.name, self.times = pool, name, times
        self.killed: list[int] = []

    def __call__(self, job: Job, num_frames: int, fraction: float) -> None:
        (began,) = [member.began for member in self.pool._members if member.job == job]
        process = int(began.staging.split("-")[2])
        if job.video.name == self.name and len(self.killed) < self.times and process not in self.killed:
            os.kill(process, signal.SIGKILL)
            self.killed.append(process)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray leaves files to the garbage collector
def test_a_video_over_which_two_actors_die_fails_alone(cluster, videos, model_folder, by_one, tmp_path):
    jobs = plan_jobs([str(videos / "b.mp4"), str(videos / "deep")], tmp_path)
    jobs = [replace(job, output_stem=tmp_path / job.video.relative_to(videos)) for job in jobs]
    asked: list[Job] = []
    task = task_for(model_folder, tmp_path)
    results: dict[str, Result] = {}
    with RayPool(1, task, cluster.address) as pool:  # whether a node was killed before or not
        killer = Killer(pool, "b.mp4", times=2)
        for job, result in pool.results((asked.append(job) or job for job in jobs), killer, ignore):
            results[job.video.name] = result
            assert len(asked) <= len(results) + 1
        assert [choice.num_threads for choice in pool.choices] == [1]
        node = pool._members[0].began.node
    assert len(set(killer.killed)) == 2
    failed = results.pop("b.mp4")
    assert (failed.state, failed.code) == ("failed", "worker_died")
    assert failed.message == (
        f"{videos / 'b.mp4'}: the actor that worked on it died on node {node}, and so did another before"
    )
    assert {name: result.state for name, result in results.items()} == dict.fromkeys(results, "complete")
    written = contents(tmp_path)
    _, expected = by_one
    assert written == {name: data for name, data in expected.items() if name in written}
    assert len(written) == 2 * len(results)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_is_wrong_with_a_node_ends_the_run(cluster, videos, model_folder, tmp_path, monkeypatch):
    jobs = plan_jobs([str(videos / "deep" / "c.mp4")], tmp_path)
    task = task_for(model_folder, tmp_path)

    def check(error: type[Exception], text: str, change: Callable[[], None] = ignore, **changes: object) -> None:
        with RayPool(1, replace(task, **changes), cluster.address) as pool, pytest.raises(error, match=text):
            for _ in pool.results(jobs, ignore, ignore):
                pass

    check(ModelError, "expected the model of this run, got another", model_sha256="0" * 64)
    check(ConfigError, "ray: expected a node with 7 cores", choice=RuntimeChoice(num_threads=7))
    with monkeypatch.context() as here:
        here.setattr(ray_engine, "_SILENCE_SECONDS", 0.0)
        here.setattr(ray_engine, "_ROOM_SECONDS", 0.0)
        check(ConfigError, "ray: expected an actor to be ready within 0 s, got none")
        here.setattr(ray_engine, "_ROOM_SECONDS", 60.0)
        here.setattr(ray_engine, "is_cut_off", lambda ray: True)
        check(ConfigError, "ray: the node that this runs on has been lost by its cluster; run this again to go on")
    with monkeypatch.context() as here:
        here.setattr(ray_engine, "marked", lambda out: marked_as_if_shared(out, videos / "missing"))
        check(ConfigError, f"to see what the driver writes into {videos}; all nodes must share it")
    with monkeypatch.context() as here:
        here.setattr(ray_engine.os.path, "lexists", lambda path: True)
        jobs = plan_jobs([str(videos / "only-here.mp4")], tmp_path)
        check(ConfigError, "only-here.mp4 there too, found nothing; all nodes must share it")
    assert contents(tmp_path) == {}


class marked_as_if_shared:  # noqa: N801 (in place of a function)
    """In place of :func:`marked`: a site whose mark is not where it is looked for."""

    def __init__(self, out: Path, mark: Path) -> None:
        self._site = Site(Path.cwd(), mark, {})

    def __enter__(self) -> Site:
        return self._site

    def __exit__(self, *_: object) -> None:
        """Leaves nothing."""


@pytest.mark.slow
def test_features_are_computed_on_nodes_as_by_one_process(cluster, cli: Cli, videos, tmp_path):
    for name, more in (("one", ()), ("ray", ("--engine", "ray", "--address", cluster.address))):
        places = ("--out", tmp_path / name, "--cache", tmp_path / f"cache of {name}")
        run = cli("features", "in", *places, *TORCH, *more, cwd=videos.parent)
        assert run.returncode == 3, run.stderr
    check_same(contents(tmp_path / "ray"), contents(tmp_path / "one"))


# Ray on this machine, for as long as a run takes


@pytest.mark.slow
def test_without_an_address_ray_is_started_and_ended(videos, model_folder, by_one, tmp_path):
    shutil.copytree(videos, tmp_path / "in")
    for name in ("cv2", "numpy", "json", "videoseq", "ray"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    run = start(tmp_path / "in", model_folder, "out")
    try:
        wait_until(lambda: run.poll() is not None or (tmp_path / "out" / "results.jsonl").exists(), 300)
        processes = descendants(run.pid)
        names = {Path(f"/proc/{process}/comm").read_text().strip() for process in processes if not has_ended(process)}
        printed, said = run.communicate(timeout=300)
    finally:
        run.kill()
        run.wait()
    assert {"raylet", "gcs_server"} <= names
    assert run.returncode == 3
    assert len(said_but_progress(said)) == 6  # nothing of Ray's
    assert json.loads(printed) == json.loads(by_one[0])
    check_same(contents(tmp_path / "out"), by_one[1])
    assert not (tmp_path / "ran").exists()
    wait_until(lambda: all(map(has_ended, processes)), 20)


@pytest.mark.slow
def test_a_stopped_run_leaves_nobody_and_nothing_half_written(videos, model_folder, tmp_path):
    shutil.copytree(videos, tmp_path / "in")
    write_spelled(tmp_path / "in" / "b.mp4", 900, fps=10)  # is being labeled long after the first is done
    run = start(tmp_path / "in", model_folder, "out")
    out = tmp_path / "out"
    journal = out / "results.jsonl"
    try:
        wait_until(lambda: run.poll() is not None or (journal.exists() and journal.stat().st_size > 0), 300)
        wait_until(lambda: run.poll() is not None or bool(writers(out)), 300)
        processes = descendants(run.pid)
        run.terminate()
        _, said = run.communicate(timeout=300)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 143
    assert said.splitlines()[-1] == "error: terminated"
    wait_until(lambda: all(map(has_ended, processes)), 20)
    assert [name for name in contents(out) if name.endswith(".part")] == []

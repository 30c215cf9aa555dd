"""What a second node brings, and what bounds a thousand: the whole command on Ray nodes of one core each.

    .venv/bin/python benchmarks/scaling.py [--rounds N] [--json FILE]

The nodes run on this machine, each kept to a core of its own; next to them, the workers of one machine on the same
cores. Each way also labels videos of two frames, which is what starting costs, as in benchmarks/workers.py. The second
table is what one driver does in a second, from which the third says how many actors it takes to keep it busy.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import harness
from fixtures import FPS, make_model_folder
from workers import CORES, NUM_FRAMES, NUM_START_FRAMES, NUM_VIDEOS, draw_videos

from videoseq.jobs.journal import Journal
from videoseq.jobs.ray.cluster import import_ray
from videoseq.jobs.result import Result
from videoseq.models.model_folder import save_model_folder
from videoseq.storage.files import file_sha256

BIN = Path(sys.executable).parent
MIN_GAIN, MIN_AGAINST_WORKERS = 1.7, 0.9
START_SECONDS = 120.0
NUM_LINES, NUM_CALLS = 300, 3000
MINUTES = (1, 10, 60)  # of a video
PROGRESS_CALLS = 200.0  # a second, at most: videoseq.jobs.ray.pool


@contextmanager
def ray_cluster(num_nodes: int) -> Iterator[str]:
    """Nodes of one core each, the first core's being the head; the address."""
    host = import_ray().util.get_node_ip_address()  # the head's, where the driver is too
    with socket.create_server((host, 0)) as server:
        port = server.getsockname()[1]
    nodes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:  # sockets' names are short
        try:
            for number, core in enumerate(CORES[:num_nodes]):
                head = ["--head", "--port", str(port), "--include-dashboard=false", "--temp-dir", folder]
                place = ["--address", f"{host}:{port}"] if number else head
                size = ["--num-cpus", "1", "--object-store-memory", "80000000"]
                log = Path(folder, f"{number}.log")
                with log.open("wb") as file:
                    nodes.append(
                        subprocess.Popen(
                            [
                                BIN / "ray",
                                "start",
                                *place,
                                *size,
                                "--node-ip-address",
                                f"127.0.0.{number + 1}" if number else host,
                                "--block",
                            ],
                            stdout=file,
                            stderr=file,
                            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
                            preexec_fn=partial(os.sched_setaffinity, 0, [core]),
                        )
                    )
                deadline = time.monotonic() + START_SECONDS
                while b"Ray runtime started" not in log.read_bytes():
                    if nodes[-1].poll() is not None or time.monotonic() > deadline:
                        raise SystemExit(f"scaling: expected a node of Ray, got: {log.read_text(errors='replace')}")
                    time.sleep(0.1)
            yield f"{host}:{port}"
        finally:
            for node in reversed(nodes):
                node.terminate()
                node.wait()


def label(videos: Path, model: Path, num_frames: int, *options: str) -> float:
    """The real command on both cores; the frames that it labeled."""
    with tempfile.TemporaryDirectory() as out:
        command = [BIN / "videoseq", "label", videos, "--model", model, "--out", out, "--quiet", *options]
        subprocess.run(command, check=True, preexec_fn=partial(os.sched_setaffinity, 0, CORES))
        rows = sum(len(path.read_bytes().splitlines()) - 1 for path in Path(out).glob("*.frames.csv"))
    if rows != NUM_VIDEOS * num_frames:
        raise ValueError(f"expected {NUM_VIDEOS * num_frames} labeled frames, got {rows}")
    return float(rows)


def journal_lines(folder: Path) -> float:
    """Lines of the journal, each on the disk before the next; how many."""
    journal = Journal(Path(tempfile.mkdtemp(dir=folder)))
    result = Result("recordings/some/day/camera-1.mp4", "complete", video_sha256="0" * 64, model_sha256="0" * 64)
    for number in range(NUM_LINES):
        journal.append(replace(result, path=f"{number}/{result.path}"))
    return float(NUM_LINES)


def calls(address: str) -> float:
    """Questions to two actors and their answers, as the driver asks them, two at a time; how many."""
    program = (
        "import sys, time; from collections import deque; from videoseq.jobs.ray.cluster import connected, import_ray\n"
        "from videoseq.jobs.ray.actor import Actor\n"
        "ray = import_ray()\n"
        "with connected(ray, sys.argv[1]):\n"
        "    actors = [ray.remote(Actor).options(num_cpus=0).remote() for _ in range(2)]\n"
        "    ray.get([actor.progress.remote(0.0) for actor in actors])\n"
        "    start, due = time.perf_counter(), deque()\n"
        "    for number in range(int(sys.argv[2])):\n"
        "        due.append(actors[number % 2].progress.remote(0.0).future())\n"
        "        if len(due) > 2: due.popleft().result()\n"
        "    print(time.perf_counter() - start)\n"
    )
    command = [sys.executable, "-c", program, address, str(NUM_CALLS)]
    return NUM_CALLS / float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def digest_rate(folder: Path) -> float:
    """Bytes of labels that are read again to be compared, in a second."""
    path = folder / "labels"
    path.write_bytes(bytes(100 << 20))
    start = time.perf_counter()
    file_sha256(path)
    return path.stat().st_size / (time.perf_counter() - start)


def main() -> None:
    """Measures and prints three tables and two verdicts."""
    arguments = harness.parse_arguments(__doc__ or "", rounds=2)
    if len(CORES) < 2:
        raise SystemExit("scaling: expected two cores for two nodes, got one")
    runs: dict[str, Callable[[], float]] = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        save_model_folder(make_model_folder(sample_hz=10.0), folder / "model")
        alone, both = stack.enter_context(ray_cluster(1)), stack.enter_context(ray_cluster(2))
        on_ray = ("--engine", "ray", "--threads", "1", "--address")
        ways = {
            "Ray, one node": (*on_ray, alone),
            "Ray, two nodes": (*on_ray, both),
            "two workers": ("--workers", "2"),
        }
        for what, num_frames in (("", NUM_FRAMES), (", start", NUM_START_FRAMES)):
            videos = draw_videos(folder / str(num_frames), num_frames)
            for way, options in ways.items():
                runs[way + what] = partial(label, videos, folder / "model", num_frames, *options)
        samples = harness.measure(runs, arguments.rounds, warms_up=False)
        lines = harness.measure({"lines": partial(journal_lines, folder)}, arguments.rounds)["lines"]
        num_calls, bytes_hashed = calls(both), digest_rate(folder)
        video = next((folder / str(NUM_FRAMES)).iterdir())
        bytes_a_frame = video.stat().st_size / NUM_FRAMES
        model_bytes = sum(path.stat().st_size for path in (folder / "model").iterdir())
    rates, rows = {}, []
    for way in ways:
        seconds, start = (harness.median(samples[way + what], "seconds") for what in ("", ", start"))
        rates[way] = NUM_VIDEOS * (NUM_FRAMES - NUM_START_FRAMES) / (seconds - start)
        rows.append([way, *harness.rate_cells(samples[way]), f"{seconds:.1f}", f"{start:.1f}", f"{rates[way]:.0f}"])
    harness.print_table(["", "frames/s", "spread", "seconds", "of these to start", "frames/s once started"], rows)
    one, two, workers = ways
    harness.print_verdict("two nodes against one, once started", rates[two] / rates[one], MIN_GAIN)
    harness.print_verdict(
        "two nodes against two workers, once started", rates[two] / rates[workers], MIN_AGAINST_WORKERS
    )
    journal_rate = harness.median(lines)
    print()
    facts = {
        "journal lines/s, each flushed": journal_rate,
        "answers of actors/s": num_calls,
        "labels read again, MB/s": bytes_hashed / 1e6,
        "an actor of one core reads, MB/s": rates[one] * bytes_a_frame / 1e6,
        "a model's folder, MB": model_bytes / 1e6,
    }
    harness.print_table(["what", "measured"], ([what, f"{value:.3g}"] for what, value in facts.items()))
    print()
    busy = []
    for minutes in MINUTES:
        files = rates[one] / (minutes * 60 * FPS)  # an actor's, in a second
        busy.append([f"{minutes} min", f"{journal_rate / files:.0f}", f"{(num_calls - PROGRESS_CALLS) / files:.0f}"])
    harness.print_table(["videos of", "actors that keep the journal busy", "… and the driver's calls"], busy)
    harness.save_json(arguments.json, samples, ways={way: list(options) for way, options in ways.items()}, facts=facts)


if __name__ == "__main__":
    main()

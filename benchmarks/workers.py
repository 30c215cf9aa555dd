"""What a second worker brings: the whole command on four videos, with one worker on one core and with two on two.

    .venv/bin/python benchmarks/workers.py [--rounds N] [--json FILE]

Each way also labels four videos of two frames, which is what starting costs: interpreter, libraries, model, decoders.
The medians of both are subtracted for the rate of the labeling itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import harness
from fixtures import draw_video, make_model_folder

from videoseq.models.model_folder import save_model_folder

NUM_VIDEOS, NUM_FRAMES, NUM_START_FRAMES = 4, 1800, 2
CORES = sorted(os.sched_getaffinity(0))[:2]
WAYS = {  # workers, cores
    "one worker, one core": (1, CORES[:1]),
    "two workers, two cores": (2, CORES),
    "one worker, two cores": (1, CORES),
}
MIN_GAIN, MIN_AGAINST_ONE = 1.7, 1.0


def draw_videos(folder: Path, num_frames: int) -> Path:
    """Copies of one video, which are labeled one by one all the same."""
    folder.mkdir()
    first = draw_video(folder / "0.mp4", num_frames)
    for number in range(1, NUM_VIDEOS):
        shutil.copy(first, folder / f"{number}.mp4")
    return folder


def label(videos: Path, model: Path, num_workers: int, cores: list[int], num_frames: int) -> float:
    """The real command on some cores; the frames that it labeled."""
    program = Path(sys.executable).with_name("videoseq")
    with tempfile.TemporaryDirectory() as out:
        command = [program, "label", videos, "--model", model, "--out", out, "--workers", str(num_workers), "--quiet"]
        pin = partial(os.sched_setaffinity, 0, cores)
        subprocess.run(command, check=True, preexec_fn=pin)
        rows = sum(len(path.read_bytes().splitlines()) - 1 for path in Path(out).glob("*.frames.csv"))
    if rows != NUM_VIDEOS * num_frames:
        raise ValueError(f"expected {NUM_VIDEOS * num_frames} labeled frames, got {rows}")
    return float(rows)


def main() -> None:
    """Measures and prints one table and two verdicts."""
    arguments = harness.parse_arguments(__doc__ or "", rounds=2)
    if len(CORES) < 2:
        raise SystemExit("workers: expected two cores to share out, got one")
    runs: dict[str, Callable[[], float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model"
        save_model_folder(make_model_folder(sample_hz=10.0), model)
        for what, num_frames in (("", NUM_FRAMES), (", start", NUM_START_FRAMES)):
            videos = draw_videos(folder / str(num_frames), num_frames)
            for way, (num_workers, cores) in WAYS.items():
                runs[way + what] = partial(label, videos, model, num_workers, cores, num_frames)
        samples = harness.measure(runs, arguments.rounds, warms_up=False)
    whole, alone, rows = {}, {}, []
    for way in WAYS:
        seconds = harness.median(samples[way], "seconds")
        start = harness.median(samples[f"{way}, start"], "seconds")
        num_frames = NUM_VIDEOS * (NUM_FRAMES - NUM_START_FRAMES)
        whole[way], alone[way] = harness.median(samples[way]), num_frames / (seconds - start)
        rows.append([way, *harness.rate_cells(samples[way]), f"{seconds:.1f}", f"{start:.1f}", f"{alone[way]:.0f}"])
    harness.print_table(["", "frames/s", "spread", "seconds", "of these to start", "frames/s once started"], rows)
    one_core, two, one = WAYS
    for what, rates in (("whole command", whole), ("once started", alone)):
        harness.print_verdict(f"two workers against one on one core, {what}", rates[two] / rates[one_core], MIN_GAIN)
        harness.print_verdict(f"… against one on both, {what}", rates[two] / rates[one], MIN_AGAINST_ONE)
    harness.save_json(arguments.json, samples, workers=WAYS)


if __name__ == "__main__":
    main()

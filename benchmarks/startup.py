"""How long until something happens: the help, the first label, and the first video against the next.

    .venv/bin/python benchmarks/startup.py [--rounds N] [--json FILE]

Everything runs in fresh processes. "first clip" is a 10 s clip labeled by a process that has just loaded its model,
"next clip" the same once more; "first rows" is when the labels of its first frames are known.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from fixtures import FPS, draw_video, make_model_folder
from harness import Sample, median, parse_arguments, print_table, print_verdict, save_json

from videoseq.models.model_folder import save_model_folder

COMMAND = Path(sys.executable).with_name("videoseq")
PROGRAM = """
import json, sys, time
start = time.perf_counter()
times = {}
def lap(name):
    global start
    now = time.perf_counter()
    times[name], start = now - start, now
from pathlib import Path
from videoseq.video.isolation import DecoderProcess
from videoseq.inference.model import label_frames, label_video, load_model
lap("import")
with DecoderProcess() as decoder:
    model = load_model(sys.argv[1])
    lap("load the model")
    for name in ("first clip", "next clip"):
        label_video(sys.argv[2], model, Path(sys.argv[3], "clip"), open_video=decoder.open)
        lap(name)
    with decoder.open(sys.argv[2]) as reader:
        next(iter(label_frames(reader, model)))
        lap("first rows")
print(json.dumps(times))
"""


def time_help() -> dict[str, float]:
    """Seconds that the help takes."""
    done = subprocess.run(
        [sys.executable, "-c", TIMED, str(COMMAND), "--help"], capture_output=True, text=True, check=True
    )
    return {"--help": float(done.stdout)}


TIMED = """
import subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, capture_output=True)
print(time.perf_counter() - start)
"""


def time_label(model: Path, video: Path, out: Path) -> dict[str, float]:
    """Seconds of each part of a fresh process's life."""
    command = [sys.executable, "-c", PROGRAM, str(model), str(video), str(out)]
    times: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return times


def main() -> None:
    """Measures and prints one table."""
    arguments = parse_arguments(str(__doc__), rounds=3)
    samples: dict[str, list[Sample]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model_folder(make_model_folder(sample_hz=10.0), folder / "model")
        video = draw_video(folder / "clip.mp4", 10 * FPS)
        for number in range(arguments.rounds + 1):
            for what, seconds in {**time_help(), **time_label(folder / "model", video, folder)}.items():
                if number:
                    samples.setdefault(what, []).append(Sample(1.0, seconds, 0.0))
    seconds = {what: median(values, "seconds") for what, values in samples.items()}
    rows = [
        [what, f"{seconds[what]:.2f}", f"{min(s.seconds for s in values):.2f}–{max(s.seconds for s in values):.2f}"]
        for what, values in samples.items()
    ]
    print_table(["", "seconds", "spread"], rows)
    print_verdict("seconds of --help", seconds["--help"], 0.5, at_most=True)
    print_verdict("first clip, of the next", seconds["first clip"] / seconds["next clip"], 3.0, at_most=True)
    save_json(arguments.json, samples)


if __name__ == "__main__":
    main()

"""How much memory labeling takes: the command and its decoder together, for a short video and a long one.

    .venv/bin/python benchmarks/memory.py [--json FILE]

Resident sizes are added up every 20 ms (Linux); pages that both processes map count twice, so the truth is less.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fixtures import draw_video, make_model_folder
from harness import machine, parse_arguments, print_table, print_verdict

from videoseq.config.runtime import LIBRARIES
from videoseq.models.model_folder import save_model_folder

COMMAND = str(Path(sys.executable).with_name("videoseq"))
NUM_FRAMES = (200, 2000)


def resident_bytes(pid: int) -> int:
    """Of a process and its children, now."""
    try:
        size = next(
            int(line.split()[1]) * 1024
            for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
            if line.startswith("VmRSS:")
        )
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except (OSError, StopIteration):  # it has just ended
        return 0
    return size + sum(resident_bytes(int(child)) for child in children)


def peak_bytes(command: list[str]) -> int:
    """The largest sum of resident sizes while a command runs."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, resident_bytes(process.pid))
        time.sleep(0.02)
    if process.returncode:
        sys.exit(f"expected {' '.join(command)} to end with 0, got {process.returncode}")
    return peak


def main() -> None:
    """Measures and prints one table."""
    arguments = parse_arguments(str(__doc__), rounds=1)
    peaks: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model_folder(make_model_folder(sample_hz=10.0), folder / "model")
        for num_frames in NUM_FRAMES:
            video = draw_video(folder / f"{num_frames}.mp4", num_frames)
            for library in LIBRARIES:
                command = [
                    COMMAND,
                    "label",
                    str(video),
                    "--model",
                    str(folder / "model"),
                    "--out",
                    str(folder / library),
                ]
                runs = [peak_bytes([*command, "--runtime", library, "--overwrite"]) for _ in range(arguments.rounds)]
                peaks.setdefault(library, []).append(max(runs))
    rows = [[f"label, {name}", *(f"{value / 1e9:.2f} GB" for value in values)] for name, values in peaks.items()]
    print_table(["peak resident size", *(f"{number} frames" for number in NUM_FRAMES)], rows)
    for name, (short, long) in peaks.items():
        print_verdict(f"label, {name}: GB", long / 1e9, 1.2, at_most=True)
        print_verdict(f"label, {name}: ten times the frames", long / short, 1.1, at_most=True)
    if arguments.json:
        text = json.dumps({"machine": machine(), "num_frames": NUM_FRAMES, "peak_bytes": peaks}, indent=1)
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

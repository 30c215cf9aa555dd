"""All benchmarks in turn, each in a process of its own; their tables go to the screen, their samples into a folder.

make bench            # or: .venv/bin/python benchmarks [--out FOLDER] [--only NAME …]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
SUITE = {  # the arguments with which the whole takes ten minutes on two cores
    "throughput": ["--rounds", "3"],
    "startup": ["--rounds", "3"],
    "memory": [],
    "workers": ["--rounds", "1"],
    "training": ["--rounds", "2"],
    "agreement": [],
}


def main() -> None:
    """Runs them; exits with 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench"), help="where the JSON files go")
    parser.add_argument("--only", nargs="+", choices=SUITE, default=list(SUITE), help="not all of them")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in arguments.only:
        start = time.perf_counter()
        print(f"\n## {name}\n", flush=True)
        command = [
            sys.executable,
            str(HERE / f"{name}.py"),
            *SUITE[name],
            "--json",
            str(arguments.out / f"{name}.json"),
        ]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
        print(f"\n({time.perf_counter() - start:.0f} s)", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

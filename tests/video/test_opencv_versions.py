"""What is promised of videos holds with the oldest OpenCV that is supported, and with the next generation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("version", ["4.12.0.88", "5.0.0.93"])
def test_videos_read_alike_with_other_versions_of_opencv(version):
    """`make test-slow` has put them there."""
    folder = ROOT / ".venv" / "opencv" / version
    assert (folder / "cv2").is_dir(), f"expected OpenCV in {folder}; run make test-slow"
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    used = subprocess.run(
        [sys.executable, "-c", "import cv2; print(cv2.__version__)"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert version.startswith(used.stdout.strip())
    tests = ["tests/video/test_reader.py", "tests/video/test_isolation.py", "tests/inference/test_model.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]

"""The real command, killed with ``kill -9`` while it trains and run again, makes the model that it would have made."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.commands import Cli

SMALL = ["head.hidden_size=16", "head.projection_size=16", "training.max_epochs=60", "trainer.checkpoint_seconds=0"]
TOLD = [word for one in SMALL for word in ("--set", one)]


def kill_while_it_trains(command: list[str], folder: Path, seconds: float) -> None:
    """Kills it so long after it has begun to fit, or to go on."""

    def newest() -> int:
        return max((file.stat().st_mtime_ns for file in folder.glob("*.ckpt")), default=0)

    before = newest()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while newest() == before and process.poll() is None:
        time.sleep(0.01)
    time.sleep(seconds)
    assert process.poll() is None, "it was through before it was killed"
    process.kill()
    process.wait()


@pytest.mark.slow
def test_kill_9_costs_nothing_of_the_model(cli: Cli, light_dataset, model_folder, tmp_path):
    where = ["--cache", model_folder.parent / "features", "--device", "cpu", *TOLD]
    undisturbed, killed = tmp_path / "one" / "model", tmp_path / "two" / "model"
    done = cli("train", light_dataset, "--out", undisturbed, *where)
    assert done.returncode == 0, done.stderr
    told = ["train", light_dataset, "--out", killed, *where, "--resume", "auto"]
    command = [str(Path(sys.executable).with_name("videoseq")), *map(str, told)]
    draw = random.Random(0)
    for _ in range(3):
        kill_while_it_trains(command, killed.with_name("model.training"), draw.uniform(0.0, 0.4))
    done = cli(*told)
    assert done.returncode == 0, done.stderr
    assert "networks are fitted already; training continues" in done.stderr
    assert not killed.with_name("model.training").exists()
    for name in ("model.safetensors", "metrics.json"):
        assert (killed / name).read_bytes() == (undisturbed / name).read_bytes()


@pytest.mark.slow
def test_what_an_interrupted_training_has_left_is_told(cli: Cli, light_dataset, model_folder, tmp_path):
    """Without --resume the command starts again and says so; with it, other settings are refused."""
    where = [light_dataset, "--out", tmp_path / "model", "--cache", model_folder.parent / "features", *TOLD]
    command = [str(Path(sys.executable).with_name("videoseq")), "train", *map(str, where)]
    kill_while_it_trains(command, tmp_path / "model.training", 0.0)
    other = cli("train", *where, "--set", "training.seed=1", "--resume", "auto")
    assert other.returncode == 2
    assert "got another's; use the same as before, or start from the beginning without --resume" in other.stderr
    again = cli("train", *where, "--json")
    assert again.returncode == 0, again.stderr
    assert "--resume auto would continue from them, this training starts from the beginning" in again.stderr
    assert "not_resumed" not in {notice["code"] for notice in json.loads(again.stdout)["notices"]}
    assert not (tmp_path / "model.training").exists()

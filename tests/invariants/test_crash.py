"""A run may die, or be refused an operation on its files, at any moment: nothing is torn, and a rerun mends it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.commands import contents
from tests.support.failing_io import Ended, Run, running
from tests.support.index_videos import write_video
from tests.support.light_clips import light_frames
from tests.support.processes import descendants, has_ended, wait_until
from videoseq.jobs.journal import model_digest
from videoseq.storage.files import restore_folder

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info < (3, 11), reason="breaks operations as Linux and Python 3.11 do them"
)
SEED = 6
ERRORS = ("ENOSPC", "EIO", "EACCES", "EMFILE")
QUICKLY = ("--no-isolate", "--runtime", "torch")

Program = Callable[[Run], Ended]
Moment = tuple[int, str]  # an operation's number, and what happens there


class Scene(NamedTuple):
    """What is labeled by which program, and what comes of it if nothing happens."""

    program: Program
    args: list[str]
    whole: dict[str, bytes]
    operations: list[str]

    def run(self, out: Path, *more: str, at: int | None = None, event: str = "kill", role: str = "parent") -> Ended:
        return self.program(Run([*self.args, "--out", str(out), *more], str(out), at, event, role))


@pytest.fixture(scope="module")
def program(model_folder: Path) -> Iterator[Program]:
    with running(model_folder) as run:
        yield run


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video, a shorter one in a folder, and a file that is no video."""
    folder = tmp_path_factory.mktemp("crash") / "in"
    (folder / "deep").mkdir(parents=True)
    write_video(folder / "a.mp4", light_frames(40, 20, seed=1), fps=10)
    write_video(folder / "deep" / "b.mp4", light_frames(4, 2, seed=2), fps=10)
    (folder / "c.mp4").write_text("I am no video.")
    return folder


@pytest.fixture(scope="module")
def scene(program: Program, videos: Path, model_folder: Path) -> Scene:
    args = ["label", str(videos), "--model", str(model_folder), *QUICKLY]
    out = videos.parent / "undisturbed"
    ended = Scene(program, args, {}, []).run(out)
    assert ended.status == 3, ended.err
    return Scene(program, args, contents(out), ended.operations)


def moments(operations: list[str]) -> list[Moment]:
    """Before each operation, and in the middle of each write."""
    writes = [number for number, operation in enumerate(operations) if operation.startswith("write ")]
    return [*((number, "kill") for number in range(len(operations))), *((number, "cut") for number in writes)]


def check_nothing_is_torn(out: Path, whole: dict[str, bytes]) -> None:
    """What can be seen is whole; of the record there may be a beginning."""
    for name, data in contents(out).items():
        if name == "results.jsonl":
            lines = whole[name].splitlines(keepends=True)
            complete, _, torn = data.rpartition(b"\n")
            assert set(f"{complete.decode()}\n".encode().splitlines(keepends=True)) <= {*lines, b"\n"}
            assert not torn or any(line.startswith(torn) for line in lines)
        elif not Path(name).name.startswith(".videoseq"):
            assert data == whole[name], name


def unordered(written: dict[str, bytes]) -> dict[str, object]:
    """The same, with the last line of the record for each video in any order: workers end as they end."""
    lines = {json.loads(line)["path"]: line for line in written["results.jsonl"].splitlines()}
    return {**written, "results.jsonl": lines}


def check_killed_anywhere(scene: Scene, chosen: list[Moment], tmp_path: Path) -> None:
    """Kills at each moment, and every other time the rerun as well; then lets it finish."""
    dice = random.Random(SEED)
    for number, (at, event) in enumerate(chosen):
        out = tmp_path / str(number)
        assert scene.run(out, at=at, event=event).status == -signal.SIGKILL
        check_nothing_is_torn(out, scene.whole)
        if number % 2:
            scene.run(out, at=dice.randrange(len(scene.operations)))
            check_nothing_is_torn(out, scene.whole)
        ended = scene.run(out)
        assert ended.status == 3, ended.err
        assert contents(out) == scene.whole, f"{event} at {scene.operations[at]}"


def test_a_run_that_is_killed_anywhere_is_finished_by_the_next(scene, tmp_path):
    check_killed_anywhere(scene, random.Random(SEED).sample(moments(scene.operations), 3), tmp_path)


@pytest.mark.slow
def test_a_run_that_is_killed_at_50_moments_is_finished_by_the_next(scene, tmp_path):
    possible = moments(scene.operations)
    cuts = [moment for moment in possible if moment[1] == "cut"]
    assert len(cuts) >= 6
    kills = random.Random(SEED).sample(possible[: len(scene.operations)], 50 - len(cuts) + 2)
    check_killed_anywhere(scene, [*cuts, *kills], tmp_path)


@pytest.mark.slow
def test_workers_and_their_parent_may_be_killed_anywhere(scene, tmp_path):
    side_by_side = ("--workers", "2", "--threads", "2")
    undisturbed = scene.run(tmp_path / "out", *side_by_side)
    assert undisturbed.status == 3, undisturbed.err
    whole, dice = unordered(contents(tmp_path / "out")), random.Random(SEED)
    num_operations = {"parent": len(undisturbed.operations), "worker": undisturbed.num_worker_operations}
    assert min(num_operations.values()) >= 20
    for number in range(24):
        role = ("parent", "worker")[number % 2]
        out = tmp_path / str(number)
        ended = scene.run(out, *side_by_side, at=dice.randrange(num_operations[role] // 2), role=role)
        assert ended.status == (-signal.SIGKILL if role == "parent" else 3), ended.err
        if role == "parent":  # its workers may still be on their way out
            assert scene.run(out, *side_by_side).status == 3
        assert unordered(contents(out)) == whole


def check_old_or_new(out: Path, old: dict[str, bytes], new: dict[str, bytes]) -> None:
    written = contents(out)
    for name, data in written.items():
        if name == "results.jsonl":
            assert data in [b"".join(new[name].splitlines(keepends=True)[:number]) for number in range(9)]
        elif not Path(name).name.startswith(".videoseq"):
            assert data in (old.get(name), new[name]), name
    assert set(old) <= set(written)


def check_faults(scene: Scene, videos: Path, tmp_path: Path, num_faults: int | None) -> None:
    """Has each operation of a run that labels changed videos again fail; or some, seeded."""
    before, after, out = tmp_path / "before", tmp_path / "after", tmp_path / "out"
    shutil.copytree(videos, tmp_path / "in")
    args = [str(tmp_path / "in") if arg == str(videos) else arg for arg in scene.args]
    scene = scene._replace(args=args)
    assert scene.run(before).status == 3
    for seed, video in enumerate((tmp_path / "in").rglob("*.mp4")):
        write_video(video, light_frames(9, 5, seed=seed), fps=10)
    old = contents(before)
    shutil.copytree(before, out)
    undisturbed = scene.run(out)
    assert undisturbed.status == 0, undisturbed.err
    out.rename(after)
    new = contents(after)
    possible = [
        (at, "short" if operation.startswith("write ") and at % 2 else ERRORS[at % len(ERRORS)])
        for at, operation in enumerate(undisturbed.operations)
    ]
    chosen = possible if num_faults is None else random.Random(SEED).sample(possible, num_faults)
    num_stopped = 0
    for number, (at, event) in enumerate(chosen):
        what = f"{event} at {undisturbed.operations[at]}"
        shutil.copytree(before, out)
        ended = scene.run(out, at=at, event=event)
        assert "Traceback" not in ended.err, f"{what}\n{ended.err}"
        check_old_or_new(out, old, new)
        if not undisturbed.operations[at].startswith("unlink "):
            assert [name for name in contents(out) if ".videoseq" in name] == [], what
        if ended.status == 0:  # it could do without
            assert {name: data for name, data in contents(out).items() if ".videoseq" not in name} == new, what
        else:
            *_, error = ended.err.splitlines()
            assert ended.status == 74, what
            assert error.startswith(f"error: {out}"), error
            num_stopped += 1
        if number % 5 == 0:
            assert scene.run(out).status == 0
            assert {name: data for name, data in contents(out).items() if ".videoseq" not in name} == new, what
        shutil.rmtree(out)
    assert num_stopped > len(chosen) / 3


def test_an_operation_that_fails_leaves_the_old_state_or_the_new(scene, videos, tmp_path):
    check_faults(scene, videos, tmp_path, 4)


@pytest.mark.slow
def test_every_operation_that_fails_leaves_the_old_state_or_the_new(scene, videos, tmp_path):
    check_faults(scene, videos, tmp_path, None)


# a model's folder


def word_of(folder: Path) -> str:
    """What a model that was saved carries; that its parts belong together is seen on the way."""
    text = (folder / "model.json").read_bytes()
    assert model_digest(folder) == hashlib.sha256(text).hexdigest()
    values = json.loads(text)
    assert values["tensors_sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert (folder / "report.html").read_text() == values["versions"]["word"]
    return str(values["versions"]["word"])


def check_model_is_old_or_new(program: Program, folder: Path, *, can_swap: bool, every: int) -> None:
    """Kills the saving of a model at each operation, or at every third or so, and has the operation fail as well."""

    def save(word: str, at: int | None = None, event: str = "kill") -> Ended:
        return program(Run(["save-model", str(folder), word], str(folder.parent), at, event, can_swap=can_swap))

    assert save("first").status == 0
    operations = save("old").operations
    assert len(operations) > 20
    word = "old"
    for at in range(0, len(operations), every):
        assert save(f"killed at {at}", at).status == -signal.SIGKILL
        restore_folder(folder)  # as whoever saves or loads a model there
        assert word_of(folder) in (word, f"killed at {at}"), operations[at]
        word = word_of(folder)
        ended = save(f"failed at {at}", at, ERRORS[at % len(ERRORS)])
        assert word_of(folder) in (word, f"failed at {at}"), operations[at]
        word = word_of(folder)
        if ended.status == 0:
            assert word == f"failed at {at}"
        else:
            assert (ended.status, ended.err.count("\n")) == (74, 1)
            assert ended.err.startswith(f"error: {folder}: could not be written; ")
    assert save("last").status == 0
    assert word_of(folder) == "last"
    assert [name for name in os.listdir(folder.parent) if not name.endswith(".old")] == ["model"]


def test_a_model_that_is_replaced_is_the_old_one_or_the_new(program, tmp_path):
    check_model_is_old_or_new(program, tmp_path / "models" / "model", can_swap=True, every=9)


@pytest.mark.slow
@pytest.mark.parametrize("can_swap", [True, False], ids=["swap", "two renames"])
def test_a_model_that_is_replaced_is_the_old_one_or_the_new_wherever_it_ends(can_swap, program, tmp_path):
    check_model_is_old_or_new(program, tmp_path / "models" / "model", can_swap=can_swap, every=1)


# the real command, with a decoder and workers of its own


@pytest.mark.slow
def test_the_command_may_be_killed_with_any_of_its_processes(cli, model_folder, tmp_path):
    for seed in range(3):
        write_video(tmp_path / f"{seed}.mp4", light_frames(100, 20, seed=seed), fps=40)
    args = ["label", f"{tmp_path}/*.mp4", "--model", str(model_folder), "--runtime", "torch", "--workers", "2"]
    assert cli(*args, "--out", tmp_path / "undisturbed").returncode == 0
    whole, dice = unordered(contents(tmp_path / "undisturbed")), random.Random(SEED)
    command = [str(Path(sys.executable).with_name("videoseq")), *args, "--out", ""]
    for whom in ("parent", "child"):
        out = tmp_path / f"out of one whose {whom} was killed"
        command[-1] = str(out)
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            wait_until(lambda out=out, process=process: any(out.glob(".*.part")) or process.poll() is not None, 120)
            time.sleep(dice.uniform(0, 0.3))
            children = descendants(process.pid)
            if process.poll() is None:
                os.kill(process.pid if whom == "parent" else dice.choice(children), signal.SIGKILL)
        expected = (-signal.SIGKILL,) if whom == "parent" else (0, 3)  # a decoder that dies costs its video, this time
        assert process.returncode in expected
        wait_until(lambda children=children: all(map(has_ended, children)), 20)
    for out in tmp_path.glob("out of*"):
        assert cli(*args, "--out", out).returncode == 0
        assert unordered(contents(out)) == whole

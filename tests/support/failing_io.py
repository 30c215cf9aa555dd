"""The real program in processes that can be made to fail, or to die, at any one of their operations on files.

Starting the program takes seconds, most of which torch takes to be imported; so one process imports all and loads the
model, and every run is a fork of it: run this module with a model folder, and write one :class:`Run` a line.
"""

from __future__ import annotations

import _pyio
import builtins
import copy
import ctypes
import errno
import io
import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from dataclasses import replace as dataclass_replace
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
_OF_PATHS = ("open", "mkdir", "unlink", "remove", "rmdir", "truncate", "chmod", "rename", "replace")
_OF_DESCRIPTORS = ("write", "pwrite", "fsync", "ftruncate")


@dataclass(frozen=True)
class Run:
    """A run of the program, and what happens in it.

    Attributes:
        args: Its command line; or ``save-model``, a folder and a word that the model saved there is to carry.
        folder: Where operations are counted.
        at: The operation at which it happens, counted from 0 in each process; None if nothing is to happen.
        event: ``kill``; ``cut``, which kills in the middle of a write; ``short``, a write that gets no further than the
            middle because the disk is full; or the name of an error, such as ``EIO``.
        role: The process in which it happens: ``parent``, or the first ``worker`` that gets there.
        can_swap: Whether the file system can exchange two folders at a stroke.
    """

    args: list[str]
    folder: str
    at: int | None = None
    event: str = "kill"
    role: str = "parent"
    can_swap: bool = True


class Ended(NamedTuple):
    """How a run ended.

    Attributes:
        status: Its exit status; negative if a signal killed it.
        err: What it wrote to stderr.
        operations: The parent's operations as ``name path``, if it was not killed.
        num_worker_operations: The most operations that a worker did.
    """

    status: int
    err: str
    operations: list[str]
    num_worker_operations: int


@contextmanager
def running(model: Path) -> Iterator[Callable[[Run], Ended]]:
    """Starts the process that everything is forked from; gives what runs the program."""
    command = [sys.executable, "-m", "tests.support.failing_io", str(model)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None
    assert server.stdout is not None

    def run(wanted: Run) -> Ended:
        print(json.dumps(asdict(wanted)), file=server.stdin, flush=True)
        return Ended(**json.loads(server.stdout.readline()))

    with server:
        yield run
        server.stdin.close()


class Operations:
    """What this process does to files below the run's folder; at one of these operations the run's event happens."""

    def __init__(self, run: Run, once: mmap.mmap) -> None:
        self.done: list[str] = []
        self.role = "parent"
        self._run = run
        self._once = once
        self._full: set[int] = set()  # descriptors to which no more can be written
        builtins.open = io.open = _pyio.open  # written in Python: each of its operations is one of os
        for name in _OF_PATHS:
            setattr(os, name, self._wrapped(getattr(os, name), name, _path))
        for name in _OF_DESCRIPTORS:
            setattr(os, name, self._wrapped(getattr(os, name), name, _path_of_descriptor))

    def _wrapped(self, function: Callable[..., Any], name: str, path_of: Callable[..., str]) -> Callable[..., Any]:
        def counted(first: Any, *args: Any, **kwargs: Any) -> Any:
            path = path_of(first, kwargs.get("dir_fd"))
            if not f"{path}/".startswith(f"{self._run.folder}/"):
                return function(first, *args, **kwargs)
            is_due = len(self.done) == self._run.at and self.role == self._run.role and not self._once[0]
            self.done.append(f"{name} {path}")
            if name == "write" and first in self._full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if not is_due:
                return function(first, *args, **kwargs)
            self._once[0] = 1
            return self._happen(function, name, first, *args)

        return counted

    def _happen(self, function: Callable[..., Any], name: str, first: Any, *args: Any) -> Any:
        event = self._run.event
        if event in ("cut", "short") and name in ("write", "pwrite"):
            data = bytes(args[0])
            num_written = function(first, data[: len(data) // 2], *args[1:])
            if event == "short":
                self._full.add(first)
                return num_written
        if event in ("kill", "cut"):
            os.kill(os.getpid(), signal.SIGKILL)
        number = errno.ENOSPC if event == "short" else getattr(errno, event)
        raise OSError(number, os.strerror(number))


def _path(path: Any, folder: int | None) -> str:
    if isinstance(path, int):
        return _path_of_descriptor(path)
    name = os.fsdecode(path)
    return name if folder is None else os.path.join(_path_of_descriptor(folder), name)


def _path_of_descriptor(descriptor: int, _folder: int | None = None) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").removesuffix(" (deleted)")
    except OSError:
        return ""


class _ForkedWorker:
    """In the place of :class:`subprocess.Popen`: a worker that is a fork of its parent, which has imported all."""

    def __init__(self, operations: Operations, most: mmap.mmap, command: list[str], pass_fds: list[int]) -> None:
        from multiprocessing.connection import Connection

        from videoseq.jobs import worker

        self.pid = os.fork()
        if self.pid == 0:
            connection = Connection(os.dup2(pass_fds[0], 100))
            os.closerange(3, 100)  # as if it had been started again; the parent's lock is not its own
            os.closerange(101, 1000)
            operations.role, operations.done = "worker", _Counted(most)
            worker.main(connection)

    def wait(self, timeout: float | None = None) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


class _Counted(list[str]):
    """A worker's operations, of which only the number is told."""

    def __init__(self, most: mmap.mmap) -> None:
        super().__init__()
        self._most = most

    def append(self, operation: str) -> None:
        super().append(operation)
        self._most[0] = max(self._most[0], min(255, len(self)))


def _serve(model_path: Path) -> None:
    from pipelines.__main__ import main
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.inference import model as labeling
    from videoseq.jobs import pool as workers  # noqa: F401
    from videoseq.jobs import (
        run_job,  # noqa: F401
        worker,
        worker_process,
    )
    from videoseq.storage import files
    from videoseq.storage import lock as folder_lock  # noqa: F401
    from videoseq.system import processes

    model = labeling.open_model(model_path, RuntimeChoice(device="cpu", library="torch", num_threads=1))
    model.runtime = _quick(model.runtime)
    processes._computing = None  # the quick runtime has no threads that a fork could lack
    labeling.open_model = worker.open_model = lambda path, choice: model
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: whoever loses its parent is waited for here
    for line in sys.stdin:
        run = Run(**json.loads(line))
        once, most = mmap.mmap(-1, 1), mmap.mmap(-1, 1)
        with tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as done:
            child = os.fork()
            if child == 0:
                os.dup2(err.fileno(), 1)
                os.dup2(err.fileno(), 2)
                operations = Operations(run, once)
                if not run.can_swap:
                    files._swap = lambda one, other: False
                worker_process.subprocess = _Subprocess(operations, most)
                sys.argv = ["videoseq", *run.args]
                status = 0
                try:
                    if run.args[0] == "save-model":
                        _save_model(model, *run.args[1:])
                    main()
                except SystemExit as ended:
                    status = int(ended.code or 0)
                finally:
                    sys.stderr.flush()
                    done.write(json.dumps(operations.done).encode())
                    done.flush()
                    os._exit(status)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            err.seek(0)
            done.seek(0)
            text = err.read().decode()
            ended = Ended(status, text, json.loads(done.read() or b"[]"), most[0])
            if status >= 0:
                _wait_for_all()
            sys.stdout.write(json.dumps(ended._asdict()) + "\n")
            sys.stdout.flush()


class _Subprocess:
    DEVNULL = subprocess.DEVNULL
    TimeoutExpired = subprocess.TimeoutExpired

    def __init__(self, operations: Operations, most: mmap.mmap) -> None:
        self._operations, self._most = operations, most

    def Popen(self, command: list[str], *, pass_fds: list[int], **_: object) -> _ForkedWorker:  # noqa: N802
        return _ForkedWorker(self._operations, self._most, command, pass_fds)


def _quick(runtime: Any) -> Any:
    """The runtime, with the colors of the picture in place of what the CNN would see in it."""

    class Quick(type(runtime)):
        def __call__(self, images: Any) -> Any:
            colors = images.float().mean(dim=(2, 3)) / 255
            return colors.repeat(1, 1 + self.identity.feature_size // 3)[:, : self.identity.feature_size]

    quick = copy.copy(runtime)
    quick.__class__ = Quick
    return quick


def _save_model(model: Any, folder: str, word: str) -> None:
    """As the end of ``train``, with the program's line and status for an error."""
    from pipelines import console
    from videoseq.errors import OutputError
    from videoseq.models.model_folder import save_model_folder

    config = model.contents.config.model_copy(update={"versions": {"word": word}})
    contents = dataclass_replace(model.contents, config=config)
    try:
        save_model_folder(
            contents, Path(folder), overwrite=True, add_files=lambda made: _write(made / "report.html", word)
        )
    except OutputError as error:
        console.fail(error)
        raise SystemExit(console.exit_of(error)) from None
    raise SystemExit(0)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _wait_for_all() -> None:
    """Until those have ended too that lost their parent in a run before."""
    with suppress(ChildProcessError):
        while os.wait():
            pass


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))

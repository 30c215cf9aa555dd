"""One network fitted by several processes: each has some rows of every batch, gradients are averaged (PyTorch's DDP).

A process is sent its work, pickled, features in mapped files by their paths; it tells of epochs, sends the
result, and ends when its parent closes the pipe or dies.
"""

from __future__ import annotations

import io
import logging
import mmap
import os
import pickle
import signal
import subprocess
import threading
import traceback
from contextlib import ExitStack, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric.plugins.environments.lightning import find_free_network_port

from videoseq.errors import ConfigError, VideoseqError
from videoseq.system.hardware import num_usable_cores
from videoseq.system.processes import child_command, how_it_ended
from videoseq.training.fit_job import FitJob, Fitted, Tell
from videoseq.training.loop import run_epochs

_CHILD = (
    "from multiprocessing.connection import Connection\n"
    "from videoseq.training.distributed import main; main(Connection(int(sys.argv[1])))"
)


def fit_on_ranks(job: FitJob, tell: Tell, *, may_resume: bool = True) -> Fitted:
    """Fits a network in ``trainer.devices`` processes of this machine.

    What each draws for dropout comes from the current seed and its number among all.

    Args:
        job: As for :func:`videoseq.training.loop.run_epochs`; the module stays as it is.
        tell: As there.
        may_resume: As there.

    Raises:
        ConfigError: As there; there are fewer videos in a batch or GPUs than processes, or a process died.
        torch.OutOfMemoryError: A device has no room for such a batch.
    """
    check_places(job)
    meeting = {"NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(find_free_network_port())}
    order = _pickled((job, may_resume, torch.initial_seed()))
    with ExitStack() as stack:
        ranks = [stack.enter_context(_Rank(number, meeting)) for number in range(job.trainer.devices)]
        for rank in ranks:
            rank.give(order)
        return _await(ranks, tell)


def check_places(job: FitJob) -> None:
    """Says so if there are not as many places as are asked for.

    Raises:
        ConfigError: There are fewer videos in a batch or GPUs than processes.
    """
    num_ranks, batch_size = job.trainer.devices, job.data.training_batch_size
    if os.name != "posix":
        raise ConfigError("trainer.devices: several need a system with pipes between processes; expected 1")
    if num_ranks > batch_size:
        text = f"expected no more processes than clips side by side ({batch_size}), got {num_ranks}"
        raise ConfigError(f"trainer.devices: {text}; lower it, or raise training.batch_size if there are more clips")
    if job.device.type == "cuda" and num_ranks > torch.cuda.device_count():
        raise ConfigError(f"trainer.devices: expected at most {torch.cuda.device_count()} GPUs, got {num_ranks}")


class _Rank:
    """One of the processes, as its parent sees it; leaving the block ends it."""

    def __init__(self, number: int, environment: dict[str, str]) -> None:
        self._number = number
        self.connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and code)
                child_command(_CHILD, theirs.fileno()),
                pass_fds=[theirs.fileno()],
                env={**os.environ, **environment, "LOCAL_RANK": str(number), "TORCH_CPP_LOG_LEVEL": "ERROR"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # an interrupt from the terminal is for the parent to handle
            )

    def __enter__(self) -> _Rank:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self._process.kill()
        self._process.wait()

    def give(self, order: bytes) -> None:
        """Has it begin."""
        with suppress(OSError):  # that it has died shows when it is listened to
            self.connection.send_bytes(order)

    def receive(self) -> tuple[str, Any]:
        """Its next message, by its kind; that it has died is one too."""
        try:
            message: tuple[str, Any] = pickle.loads(self.connection.recv_bytes())  # noqa: S301 (from our own process)
        except (EOFError, OSError):
            how = how_it_ended(self._process.wait())
            text = f"training: process {self._number} of trainer.devices {how}"
            return "died", ConfigError(f"{text}; if it ran out of memory, lower trainer.devices or training.batch_size")
        return message


def _await(ranks: list[_Rank], tell: Tell) -> Fitted:
    """Passes on what the first says until all are done, and gives its result."""
    by_connection = {rank.connection: rank for rank in ranks}
    result: Fitted | None = None
    while by_connection:
        messages = []
        for connection in wait(list(by_connection)):
            assert isinstance(connection, Connection)
            kind, content = by_connection[connection].receive()
            messages.append((kind, content))
            if kind == "told":
                tell(content)
            else:
                del by_connection[connection]
            if kind == "done" and content is not None:
                result = Fitted.from_state(content)
        # Where one fails, the others miss it, and say so after it has said why.
        failures = {kind: content for kind, content in messages if isinstance(content, Exception)}
        for kind in ("failed", "died", "broke"):
            if kind in failures:
                raise failures[kind]
    assert result is not None
    return result


def main(connection: Connection) -> None:
    """A process: fits as its parent orders, sends the result, and waits until its parent has read it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.INFO)  # Lightning's about ranks
    job, may_resume, seed = pickle.loads(connection.recv_bytes())  # noqa: S301 (from our own parent)
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    rank = int(os.environ["LOCAL_RANK"])
    torch.manual_seed(int(np.random.default_rng((seed, rank)).integers(2**62)))
    torch.set_num_threads(max(1, num_usable_cores() // job.trainer.devices))

    def say(kind: str, content: Any = None) -> None:  # noqa: ANN401 (whatever can be pickled)
        with suppress(OSError):  # the parent has ended
            connection.send_bytes(pickle.dumps((kind, content)))

    try:
        fitted = run_epochs(job, lambda what: None if rank else say("told", what), may_resume=may_resume)
        say("done", None if rank else fitted.as_state())
    except (VideoseqError, torch.OutOfMemoryError) as error:
        say("failed", error)
    except Exception:  # noqa: BLE001 (whatever it is, the parent is to say that it is a bug)
        say("broke", RuntimeError(f"in process {rank} of a training:\n{traceback.format_exc()}"))
    threading.Event().wait()  # the others may still need it


def _end_with(connection: Connection) -> None:
    """Ends this process when the parent has closed its end, or is no more."""
    with suppress(OSError, EOFError):
        connection.recv_bytes()
    os._exit(0)


class _Pickler(pickle.Pickler):
    """Pickles arrays in mapped files as the places where they lie, so that nothing of them is copied."""

    def reducer_override(self, value: Any) -> Any:  # noqa: ANN401 (as pickle has it)
        is_whole = isinstance(value, np.memmap) and isinstance(getattr(value, "base", None), mmap.mmap)
        if is_whole and value.filename is not None:
            return _open_map, (Path(value.filename), value.dtype.str, value.offset, value.shape)
        return NotImplemented


def _open_map(path: Path, dtype: str, offset: int, shape: tuple[int, ...]) -> Any:  # noqa: ANN401 (numpy's own)
    return np.memmap(path, dtype, "r", offset=offset, shape=shape)


def _pickled(value: object) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream).dump(value)
    return stream.getvalue()

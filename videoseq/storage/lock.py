"""One run at a time in a folder, by a lock that the system takes away from a process that dies; and one model.

The lock is ``flock`` on a file in the folder, which holds across machines too where their file system passes it on, as
NFS does. It is advisory: it keeps out who asks for it.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from videoseq.errors import Notice, OutputError, one_line
from videoseq.jobs.shards import Shard, shard_file_name

_PATIENCE_SECONDS = 1.0  # for one that is about to end, and takes its lock file away
_POLL_SECONDS = 0.02
_NAME = ".videoseq.lock"
_RUN = re.compile(r"run(\.shard-[0-9]+-of-[0-9]+)?\.json")  # as a journal writes it
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK)


@contextmanager
def locked_folder(folder: Path, shard: Shard | None = None, *, on_notice: Callable[[Notice], None]) -> Iterator[None]:
    """Keeps other runs out of a folder while the block lasts. A folder that was made for it and stayed empty goes.

    Args:
        folder: The folder; made if it is not there.
        shard: The share of a run, of which the others may write into the folder at the same time; if it is none, nobody
            else may.
        on_notice: Called where locks do not work, and two runs are therefore not kept apart.

    Raises:
        OutputError: Another run is at work there, or the folder cannot be written to.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: could not be made; {error.strerror}") from error
        with ExitStack() as stack:
            lock = _Lock(folder, _NAME, is_shared=shard is not None)
            if not stack.enter_context(lock):
                on_notice(Notice("no_locks", f"{folder}: locks do not work there; have no other run write into it"))
            if shard is not None:
                stack.enter_context(_Lock(folder, shard_file_name(_NAME, shard)))
            yield
    finally:
        for path in made:
            with suppress(OSError):  # something was written
                path.rmdir()


def check_same_model(out: Path, model_sha256: str) -> None:
    """Refuses a folder that another model has labelled, so that the labels in it are of one model.

    Raises:
        OutputError: A ``run.json`` of a run, or of a shard, that labelled something names another, or cannot be read.
    """
    for path in sorted(out.iterdir()):
        match = _RUN.fullmatch(path.name)
        if match is None:
            continue
        try:
            run = json.loads(path.read_bytes())
            model, known = run["model"], run["model_sha256"]
        except OSError as error:
            raise OutputError(f"{path}: could not be read; {error.strerror}") from None
        except (ValueError, TypeError, KeyError, RecursionError):
            raise OutputError(f"{path}: is no record of a run; move the file away") from None
        results = out / f"results{match[1] or ''}.jsonl"
        if known != model_sha256 and results.exists() and results.stat().st_size > 0:
            raise OutputError(
                f"{out}: was labelled by another model ({model}, {str(known)[:12]}; this one is {model_sha256[:12]}); "
                "choose another --out, or say --overwrite to label all of the inputs again"
            )


class _Lock:
    """A lock on a file in a folder, which says who has it and goes when nobody has it any more."""

    def __init__(self, folder: Path, name: str, *, is_shared: bool = False) -> None:
        self._folder = folder
        self._path = folder / name
        self._is_shared = is_shared
        self._descriptor = -1

    def __enter__(self) -> bool:
        """Whether the lock was taken; if not, there are no locks."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        try:
            while not self._take():
                if time.monotonic() > deadline:
                    raise OutputError(
                        f"{self._folder}: {self._holder()} is at work there; wait until it has ended, or choose "
                        "another --out"
                    )
                time.sleep(_POLL_SECONDS)
            self._sign()
        except OSError as error:
            self.__exit__()
            if error.errno in _NO_LOCKS:
                with suppress(OSError):
                    self._path.unlink()
                return False
            raise OutputError(f"{self._path}: could not be locked; {error.strerror}") from error
        return True

    def __exit__(self, *_: object) -> None:
        if self._descriptor < 0:
            return
        with suppress(OSError):  # others have it too: the last one takes it away
            _flock(self._descriptor, is_shared=False)
            self._path.unlink()
        self._close()

    def _take(self) -> bool:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _flock(self._descriptor, is_shared=self._is_shared)
            if os.path.samestat(os.fstat(self._descriptor), self._path.stat()):
                return True  # and not the one that its last holder has just taken away
        except (BlockingIOError, FileNotFoundError):
            pass
        self._close()
        return False

    def _sign(self) -> None:
        who = "a shard of a run" if self._is_shared else f"process {os.getpid()} on {platform.node()}"
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, who.encode(), 0)

    def _holder(self) -> str:
        with suppress(OSError):
            return one_line(self._path.read_text("utf-8", errors="replace")[:200]) or "another process"
        return "another process"

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def _flock(descriptor: int, *, is_shared: bool) -> None:
    """Takes the lock, or changes what is held into it, without waiting.

    Raises:
        BlockingIOError: Somebody else has it.
        OSError: There are no locks here.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

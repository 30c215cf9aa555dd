"""One run at a time in a folder, by a lock that the system releases when its process dies.

The lock is ``flock`` on a file in the folder. It works across machines where their file system supports it, as NFS
does. It is advisory: it only stops programs that ask for it.
"""

from __future__ import annotations

import errno
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from videoseq.errors import Notice, OutputError, one_line

_PATIENCE_SECONDS = 1.0  # for a run that is about to end and removes its lock file
_POLL_SECONDS = 0.02
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK)


@contextmanager
def locked_folder(folder: Path, shard: str = "", *, on_notice: Callable[[Notice], None]) -> Iterator[None]:
    """Keeps other runs out of a folder inside the block. A folder that was created here and stayed empty is removed.

    Args:
        folder: The folder; created if it does not exist.
        shard: A name for this share of a run: shares with other names may use the folder at the same time. Empty: no
            other run may use it.
        on_notice: Called where locks do not work, so that two runs are not kept apart.

    Raises:
        OutputError: Another run uses the folder, or it cannot be written to.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: could not be made; {error.strerror}") from error
        with ExitStack() as stack:
            lock = _Lock(folder, _lock_name(), is_shared=bool(shard))
            if not stack.enter_context(lock):
                on_notice(Notice("no_locks", f"{folder}: locks do not work there; have no other run write into it"))
            if shard:
                stack.enter_context(_Lock(folder, _lock_name(shard)))
            yield
    finally:
        for path in made:
            with suppress(OSError):  # it is not empty
                path.rmdir()


def _lock_name(shard: str = "") -> str:
    return f".videoseq.{shard}.lock" if shard else ".videoseq.lock"


class _Lock:
    """A lock on a file in a folder. The file names its owner, and the last owner removes it."""

    def __init__(self, folder: Path, name: str, *, is_shared: bool = False) -> None:
        self._folder = folder
        self._path = folder / name
        self._is_shared = is_shared
        self._descriptor = -1

    def __enter__(self) -> bool:
        """Takes the lock; False where locks do not work."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        try:
            while not self._take():
                if time.monotonic() > deadline:
                    raise OutputError(
                        f"{self._folder}: {self._holder()} is using this folder; wait until it has ended, or "
                        "choose another"
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
        with suppress(OSError):  # while others share it, the last one removes the file
            _flock(self._descriptor, is_shared=False)
            self._path.unlink()
        self._close()

    def _take(self) -> bool:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _flock(self._descriptor, is_shared=self._is_shared)
            if os.path.samestat(os.fstat(self._descriptor), self._path.stat()):
                return True  # and the file was not removed by its last owner in the meantime
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
    """Takes the lock, or changes the kind of one that is held, without waiting.

    Raises:
        BlockingIOError: Another process holds it.
        OSError: Locks do not work here.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

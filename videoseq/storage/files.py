"""Files and folders that appear completely or not at all: written next to their target, flushed, then renamed."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import io
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from videoseq.errors import OutputError

_STAGING = ".videoseq-"  # short, so that any name the system allows leaves room for it
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux's renameat2


@contextmanager
def staged_binary_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to; it takes its place when the block ends without an error.

    Raises:
        OutputError: It cannot be written; what was at ``path`` before is unchanged.
    """
    staging: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=staging_prefix(), suffix=".part", dir=path.parent)
        staging = Path(name)
        with open(descriptor, "wb") as file:  # noqa: PTH123 (of a descriptor)
            yield file
            file.flush()
            os.fsync(file.fileno())
        staging.chmod(0o666 & ~_umask())
        staging.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"{path}: could not be written; {error.strerror or error}") from error
    finally:
        if staging is not None:
            _remove(staging)  # gone already after a rename


@contextmanager
def staged_file(path: Path) -> Iterator[TextIO]:
    """The same for UTF-8 text.

    Raises:
        OutputError: It cannot be written; what was at ``path`` before is unchanged.
    """
    with staged_binary_file(path) as binary:
        text = io.TextIOWrapper(binary, "utf-8", errors="surrogateescape", newline="", write_through=True)
        try:
            yield text
        finally:
            text.detach()


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file, in full or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    with staged_file(path) as file:
        file.write(text)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuses to replace a file unasked, which a person may have made.

    Raises:
        OutputError: There is such a file, and it may not be replaced.
    """
    if not overwrite and path.exists():
        raise OutputError(f"{path}: expected a new file, got one that exists; name another, or pass overwrite=True")


@contextmanager
def staged_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """An empty folder to fill; it takes its place when the block ends without an error.

    Args:
        path: The place.
        replace: Whether an existing folder is replaced; if not, it is an error.

    Raises:
        OutputError: It cannot be written, or the place is taken; what was there before is unchanged.
    """
    staging: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        restore_folder(path)
        staging = Path(tempfile.mkdtemp(prefix=staging_prefix(), suffix=".part", dir=path.parent))
        yield staging
        for file in staging.rglob("*"):
            _sync(file)
        sync_folder(staging)
        staging.chmod(0o777 & ~_umask())
        if not path.exists():
            staging.rename(path)
        elif replace:
            _exchange(staging, path)
        else:
            raise OutputError(f"{path}: could not be written; something has been put there meanwhile")
        sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"{path}: could not be written; {error.strerror or error}") from error
    finally:
        if staging is not None:
            _remove(staging)  # gone already after a rename, or what stood there before after an exchange


def remove_leftovers(folder: Path) -> None:
    """Removes what a killed process of this machine was staging in a folder; what a living one stages stays.

    A folder that was being replaced (``.old``) stays too: it may be the only one of its kind.
    """
    with contextlib.suppress(OSError):  # a folder that cannot be listed
        for leftover in folder.glob(f"{_machine_prefix()}*.part"):
            if _is_abandoned(leftover):
                _remove(leftover)


def restore_folder(path: Path) -> None:
    """Puts a folder back that a process of this machine was replacing when it was killed.

    This can only have happened where the file system cannot exchange two folders atomically.
    """
    with contextlib.suppress(OSError):  # then it is not there, as will be said where it is needed
        if path.exists():
            return
        for retired in path.parent.glob(f"{_machine_prefix()}*.old"):
            if (retired / path.name).is_dir() and _is_abandoned(retired):
                (retired / path.name).rename(path)
                retired.rmdir()
                return


def remove_staged(folder: Path, prefix: str) -> None:
    """Removes what a process that is gone, on whichever machine, was staging in a folder.

    Args:
        folder: Where.
        prefix: What the process's :func:`staging_prefix` was.
    """
    with contextlib.suppress(OSError):  # a folder that cannot be listed
        for leftover in folder.glob(f"{prefix}*.part"):
            _remove(leftover)


def sha256_of(file: BinaryIO) -> str:
    """The SHA-256 of what is left to read of an open file, in hex."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return sha256_of(file)


def sync_folder(path: Path) -> None:
    """Makes the names in a folder durable, where the system can (Windows cannot)."""
    if os.name == "posix":
        _sync(path)


def _exchange(staging: Path, path: Path) -> None:
    """Replaces one folder by another; if that fails, both are as before."""
    if _swap(staging, path):
        return
    retired = Path(tempfile.mkdtemp(prefix=staging_prefix(), suffix=".old", dir=path.parent))
    try:
        path.rename(retired / path.name)
        try:
            staging.rename(path)
        except BaseException:  # an interrupt too must not cost what stood there
            (retired / path.name).rename(path)
            raise
    except BaseException:  # any error: no empty folder stays
        retired.rmdir()
        raise
    shutil.rmtree(retired, ignore_errors=True)


def _swap(one: Path, other: Path) -> bool:
    """Exchanges two names atomically; neither is ever missing. False if the system cannot (only Linux can)."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # another system, or an old one
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):  # the file system cannot: NFS, FAT
        return False
    raise OSError(number, os.strerror(number))


def _remove(path: Path) -> None:
    """Removes a file, a link or a whole folder; what stays of it is a leftover, which does no harm."""
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def staging_prefix() -> str:
    """The prefix of everything that this process is writing, to tell leftovers from work in progress."""
    return f"{_machine_prefix()}{os.getpid()}-"


def _machine_prefix() -> str:
    """Names the machine: on a shared disk, another one's process numbers mean nothing here."""
    return f"{_STAGING}{hashlib.sha256(platform.node().encode()).hexdigest()[:6]}-"


def _is_abandoned(leftover: Path) -> bool:
    """Whether the process that a leftover of this machine is named after has ended."""
    owner = leftover.name.removeprefix(_machine_prefix()).partition("-")[0]
    return owner.isdecimal() and not _is_alive(int(owner))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # a process of another user, or a system that cannot tell
        return True
    return True


def _umask() -> int:
    """The permissions that new files lack; mkstemp leaves others none, and results are meant to be read."""
    mask = os.umask(0)
    os.umask(mask)
    return mask

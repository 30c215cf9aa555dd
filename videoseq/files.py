"""Files and folders that appear whole or not at all: staged beside their target, flushed, then renamed."""

from __future__ import annotations

import contextlib
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


@contextmanager
def staged_binary_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to; it takes its place when the block ends without an error.

    Raises:
        OutputError: It cannot be written; what stood at ``path`` before still stands.
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
            with contextlib.suppress(FileNotFoundError):
                staging.unlink()


@contextmanager
def staged_file(path: Path) -> Iterator[TextIO]:
    """The same for UTF-8 text.

    Raises:
        OutputError: It cannot be written; what stood at ``path`` before still stands.
    """
    with staged_binary_file(path) as binary:
        text = io.TextIOWrapper(binary, "utf-8", errors="surrogateescape", newline="", write_through=True)
        try:
            yield text
        finally:
            text.detach()


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    with staged_file(path) as file:
        file.write(text)


@contextmanager
def staged_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """An empty folder to fill; it takes its place when the block ends without an error.

    Args:
        path: The place.
        replace: Whether what stands there by then is replaced; if not, that is an error.

    Raises:
        OutputError: It cannot be written, or the place is taken; what stood there before still stands.
    """
    staging: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=staging_prefix(), suffix=".part", dir=path.parent))
        yield staging
        for file in staging.rglob("*"):
            _sync(file)
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
            shutil.rmtree(staging, ignore_errors=True)  # gone already after a rename


def remove_leftovers(folder: Path) -> None:
    """Removes what a killed process of this machine was staging in a folder; what a living one stages stays.

    A folder that was being replaced (``.old``) stays too: it may be the only one of its kind.
    """
    prefix = _machine_prefix()
    for leftover in folder.glob(f"{prefix}*.part"):
        owner = leftover.name.removeprefix(prefix).partition("-")[0]
        if owner.isdecimal() and not _is_alive(int(owner)):
            with contextlib.suppress(OSError):  # a leftover does no harm
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def remove_staged(folder: Path, prefix: str) -> None:
    """Removes what a process that is gone, on whichever machine, was staging in a folder.

    Args:
        folder: Where.
        prefix: What the process's :func:`staging_prefix` was.
    """
    for leftover in folder.glob(f"{prefix}*.part"):
        with contextlib.suppress(OSError):  # a leftover does no harm
            leftover.unlink()


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
    """Puts one folder where another stands, and that one away; if it cannot, all is as before."""
    retired = Path(tempfile.mkdtemp(prefix=staging_prefix(), suffix=".old", dir=path.parent))
    path.rename(retired / "old")
    try:
        staging.rename(path)
    except BaseException:  # an interrupt too must not cost what stood there
        (retired / "old").rename(path)
        retired.rmdir()
        raise
    shutil.rmtree(retired, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def staging_prefix() -> str:
    """What names begin with of all that this process stages, so that a leftover can be told from work in progress."""
    return f"{_machine_prefix()}{os.getpid()}-"


def _machine_prefix() -> str:
    """Names the machine: on a shared disk, another one's process numbers mean nothing here."""
    return f"{_STAGING}{hashlib.sha256(platform.node().encode()).hexdigest()[:6]}-"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's, or a system that cannot tell
        return True
    return True


def _umask() -> int:
    """The permissions that new files lack; mkstemp leaves others none, and results are meant to be read."""
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""What the nodes of a cluster must share with the driver: files, and the versions that decide about labels."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from videoseq.errors import ConfigError, OutputError
from videoseq.storage.files import file_sha256, staging_prefix
from videoseq.system.hardware import library_versions

_LOOK_SECONDS = (0.0, 0.5, 1.0, 2.0)  # network file systems show a file a little later to others


@dataclass(frozen=True)
class Site:
    """What the driver sees around it, and every node is to see too.

    Attributes:
        folder: Where the command runs, to which names may be relative.
        mark: A file that the driver has put into the output folder for as long as it runs.
        versions: Of the libraries that decide about labels.
    """

    folder: Path
    mark: Path
    versions: Mapping[str, str]

    def check(self, node: str) -> None:
        """Goes to the same folder on this node, and holds the node to what the driver sees.

        Raises:
            ConfigError: The node does not share its files, or has other versions.
        """
        text = f"ray: node {node}: expected"
        for name, expected in self.versions.items():
            got = library_versions().get(name, "none")
            if _release(got) != _release(expected):
                raise ConfigError(f"{text} {name} {expected} as on the driver, got {got}; install the same everywhere")
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise ConfigError(
                f"{text} the driver's folder {self.folder}, got {error.strerror}; run in one that all nodes share"
            ) from None
        if not self.mark.exists():
            raise ConfigError(f"{text} to see what the driver writes into {self.mark.parent}; all nodes must share it")


@contextmanager
def marked(out: Path) -> Iterator[Site]:
    """What this process sees; inside the block its output folder has a mark.

    Raises:
        OutputError: The mark cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        mark = tempfile.NamedTemporaryFile(prefix=staging_prefix(), suffix=".part", dir=out)  # noqa: SIM115 (closed below)
    except OSError as error:
        raise OutputError(f"{out}: could not be written; {error.strerror}") from None
    with mark:
        yield Site(Path.cwd(), Path(mark.name).absolute(), library_versions())


def outputs_visible(outputs: Mapping[str, str], out: Path) -> bool:
    """Whether files that were written elsewhere are here, to the byte; waits a little for them.

    Args:
        outputs: Their SHA-256, by their paths below ``out``.
        out: A folder.
    """
    for seconds in _LOOK_SECONDS:
        time.sleep(seconds)
        with suppress(OSError):
            if all(file_sha256(out / name) == digest for name, digest in outputs.items()):
                return True
        for folder in {(out / name).parent for name in outputs}:
            with suppress(OSError):
                os.scandir(folder).close()  # has a network file system ask for what is new there
    return False


def _release(version: str) -> str:
    """A version without what it was built for: a CPU, or a release of CUDA."""
    return version.partition("+")[0]

"""One share of the work. Which videos belong to it depends on their names alone, not on what else is in a folder."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import PurePath

from videoseq.errors import ConfigError

_TEXT = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True)
class Shard:
    """Share ``number`` of ``count``, counted from 1. Shares are disjoint, and together they are all the work.

    Raises:
        ConfigError: On construction, if there is no such share.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ConfigError(
                f"shard: expected I/N with I from 1 to N, such as 1/8, got {self}; where tasks count from 0, add 1"
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def name(self) -> str:
        """The shard's part of a file name, such as ``shard-2-of-8``."""
        return f"shard-{self.number}-of-{self.count}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The share written as ``I/N``.

        Raises:
            ConfigError: The text is not a share.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ConfigError(f"shard: expected I/N with I from 1 to N, such as 1/8, got {text!r}")
        return cls(int(match[1]), int(match[2]))

    def has(self, relative: PurePath) -> bool:
        """Whether a video belongs to this share, by the path of its outputs below the output folder."""
        digest = hashlib.blake2b(os.fsencode(relative.as_posix()), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number - 1


def shard_file_name(name: str, shard: Shard | None) -> str:
    """A file name for one shard, ``NAME.shard-2-of-8.EXT``, so that shards can share a folder."""
    if shard is None:
        return name
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}.{shard.name}{dot}{suffix}"

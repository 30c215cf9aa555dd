"""One share of the work of many: which videos are its own depends on their names alone, not on what else is there."""

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
    """Share ``number`` of ``count``, counted from 1. Shares are disjoint, and together they are everything.

    Raises:
        ConfigError: On construction, where there is no such share.
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

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The share that is written ``I/N``.

        Raises:
            ConfigError: It is none.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ConfigError(f"shard: expected I/N with I from 1 to N, such as 1/8, got {text!r}")
        return cls(int(match[1]), int(match[2]))

    def has(self, relative: PurePath) -> bool:
        """Whether a video is in this share, by the place of its labels below the output folder."""
        digest = hashlib.blake2b(os.fsencode(relative.as_posix()), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number - 1


def shard_file_name(name: str, shard: Shard | None) -> str:
    """What a file of that name is called where shards share a folder: each has its own, ``NAME.shard-2-of-8.EXT``."""
    if shard is None:
        return name
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}.shard-{shard.number}-of-{shard.count}{dot}{suffix}"

"""What can go wrong, and what is worth saying although nothing did.

VideoseqError
├── ConfigError       a setting, an option or a missing extra
├── VideoError        a video that cannot be read; carries a stable ``code``
├── AnnotationError   an annotation file or a dataset that does not fit
├── ModelError        a model folder that cannot be loaded, or does not fit what is asked of it
└── OutputError       a result that could not be written

Every message is one line: what was expected, what was got, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class VideoseqError(Exception):
    """Base of every error that videoseq raises on purpose; its text is one line meant for a user.

    Example:
        >>> try:
        ...     videoseq.load_model("no-such-model")
        ... except videoseq.VideoseqError as error:
        ...     print(error)
        no-such-model: expected a model folder with model.json in it; No such file or directory
    """


class ConfigError(VideoseqError):
    """A setting is unknown, out of range, or asks for an extra that is not installed.

    Example:
        >>> try:
        ...     videoseq.load_model("model", device="gpu")
        ... except videoseq.ConfigError as error:
        ...     print(error)
        device: expected auto, cpu, cuda or cuda:N, got 'gpu'
    """


class VideoError(VideoseqError):
    """A video cannot be read.

    Attributes:
        code: A stable word for programs, such as ``not_video`` (docs/reliability.md lists them).

    Example:
        >>> try:
        ...     videoseq.probe("clips/clip0.csv")
        ... except videoseq.VideoError as error:
        ...     print(error.code)
        not_video
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class AnnotationError(VideoseqError):
    """An annotation file, or a dataset made of them, contradicts itself, its video or the model.

    Example:
        >>> try:
        ...     videoseq.read_annotation("clip.mp4")
        ... except videoseq.AnnotationError as error:
        ...     print(error)
        clip.mp4: expected an annotation file (.csv, .tsv), got .mp4
    """


class ModelError(VideoseqError):
    """A model folder is damaged, of another kind, or for something else than what is asked of it.

    Example:
        >>> try:
        ...     videoseq.load_model("clips")
        ... except videoseq.ModelError as error:
        ...     print(error)
        clips: expected a model folder with model.json in it; No such file or directory
    """


class OutputError(VideoseqError):
    """A result could not be written; what was there before is kept.

    Example:
        >>> try:
        ...     videoseq.write_annotation("clips/clip0.csv", [])
        ... except videoseq.OutputError as error:
        ...     print(error)
        clips/clip0.csv: expected a new file, got one that exists; name another, or pass overwrite=True
    """


@dataclass(frozen=True)
class Notice:
    """Something a user must be able to find in the output, although it stopped nothing.

    Attributes:
        code: A stable word for programs, such as ``labels_past_end``.
        message: One line for people, naming the file and, where there is one, the row.
        is_warning: Whether something may be wrong; False for plain information.

    Example:
        >>> notice = videoseq.Notice("labels_past_end", "clip.csv: row 7: 'walk' stops after the video")
        >>> notice.as_dict()["code"]
        'labels_past_end'
    """

    code: str
    message: str
    is_warning: bool = True

    def as_dict(self) -> dict[str, str]:
        """Code and message, for JSON."""
        return {"code": self.code, "message": self.message}


def did_you_mean(got: str, known: Iterable[str]) -> str:
    """`` (did you mean 'X'?)`` for the nearest known word, or an empty string when none is near."""
    nearest = difflib.get_close_matches(got, list(known), n=1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""


def one_line(text: object) -> str:
    """A value as printable text on one line: control characters, also of file names, are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(text))


def shortened(text: str, width: int) -> str:
    """A text of at most ``width`` characters, with ``…`` in place of what was cut off."""
    return text if len(text) <= width else f"{text[: width - 1]}…"

"""What long work tells about itself while it runs: one listener for labeling, features, training and evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videoseq.errors import Notice
    from videoseq.jobs.result import Result


@dataclass(frozen=True)
class Progress:
    """How far one stage of the work is.

    Attributes:
        stage: What is being done, for people: ``labels``, ``features``, ``head, fold 2 of 6``.
        num_done: Files, epochs or trials that are done; a fraction while one is being worked on.
        num_total: All of them; the stage ends when as many are done.
        note: More for people: a loss, frames per second, time left.
        facts: The same for programs; any JSON.

    Example:
        >>> videoseq.Progress("labels", 3, 10, "3/10 files").note
        '3/10 files'
    """

    stage: str
    num_done: float
    num_total: float
    note: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


class Listener:
    """Hears what long work does. This one does nothing; override what you want to hear.

    Example:
        >>> class Printer(videoseq.Listener):
        ...     def on_message(self, text, **facts):
        ...         print(text)
        >>> Printer().on_message("3 clips in 2 groups")
        3 clips in 2 groups
    """

    def on_message(self, text: str, *, event: str = "message", is_detail: bool = False, **facts: Any) -> None:  # noqa: ANN401 (any JSON)
        """A line for people; ``event`` and ``facts`` are the same for programs, ``is_detail`` what few people want."""

    def on_notice(self, notice: Notice) -> None:
        """Something that stops nothing but matters; it is in the output files too."""

    def on_progress(self, progress: Progress) -> None:
        """A stage of the work is further than before; called often, so be quick."""

    def on_result(self, result: Result, *, is_new: bool = True) -> None:
        """One video is done or failed; ``is_new`` is False where an earlier run left it so."""


class NoticeRecorder(Listener):
    """Passes everything on, and keeps the notices.

    Args:
        listener: Hears everything, each notice once.

    Attributes:
        notices: Each once, in their order.
    """

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.notices: list[Notice] = []

    def on_message(self, text: str, *, event: str = "message", is_detail: bool = False, **facts: Any) -> None:  # noqa: ANN401, D102 (as above)
        self.listener.on_message(text, event=event, is_detail=is_detail, **facts)

    def on_notice(self, notice: Notice) -> None:  # noqa: D102 (as above)
        if notice not in self.notices:
            self.notices.append(notice)
            self.listener.on_notice(notice)

    def on_progress(self, progress: Progress) -> None:  # noqa: D102 (as above)
        self.listener.on_progress(progress)

    def on_result(self, result: Result, *, is_new: bool = True) -> None:  # noqa: D102 (as above)
        self.listener.on_result(result, is_new=is_new)

"""Listeners that keep what they hear."""

from __future__ import annotations

from collections.abc import Callable

from videoseq.errors import Notice
from videoseq.jobs.events import Listener, Progress
from videoseq.training.fit_job import EpochRecord


class EpochListener(Listener):
    """Calls a function with the stage and record of every epoch, and keeps notices."""

    def __init__(self, on_epoch: Callable[[str, EpochRecord], None] | None = None) -> None:
        self.notices: list[Notice] = []
        self._on_epoch = on_epoch

    def on_progress(self, progress: Progress) -> None:
        if self._on_epoch is not None and "epoch" in progress.facts:
            self._on_epoch(progress.stage, EpochRecord(**progress.facts))

    def on_notice(self, notice: Notice) -> None:
        self.notices.append(notice)


class Recorder(Listener):
    """Keeps everything."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.notices: list[Notice] = []
        self.progress: list[Progress] = []

    def on_message(self, text: str, **_: object) -> None:
        self.messages.append(text)

    def on_notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def on_progress(self, progress: Progress) -> None:
        self.progress.append(progress)

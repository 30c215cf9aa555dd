"""Shows the progress of long work: bars on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich import progress as rich_progress

    from videoseq.jobs.events import Progress

LINE_SECONDS = 30.0
"""At least so many seconds lie between two lines about one stage."""


class ProgressDisplay:
    """A bar for each stage that is being worked on, or lines about stages that may take long.

    Args:
        say: Writes a line; takes what :meth:`videoseq.jobs.events.Listener.on_message` takes.
        has_bars: Whether there is a terminal for bars.
        clock: Gives seconds.
    """

    def __init__(
        self, say: Callable[..., None], *, has_bars: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._has_bars = has_bars
        self._clock = clock
        self._bars: rich_progress.Progress | None = None
        self._tasks: dict[str, rich_progress.TaskID] = {}
        self._last_lines: dict[str, float] = {}

    def show(self, progress: Progress) -> None:
        """Shows how far a stage is; its bar goes away when all of it is done."""
        if self._has_bars:
            self._draw(progress)
        elif "frames_per_second" in progress.facts:
            self._say_now_and_then(progress)

    def print(self, line: str) -> bool:
        """Prints a line above the bars, unbroken at the terminal's edge; False where there are no bars."""
        if self._bars is not None:
            self._bars.console.print(line, soft_wrap=True, markup=False, highlight=False)
        return self._bars is not None

    def close(self) -> None:
        """Removes all bars."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = None
        self._tasks.clear()

    def _draw(self, progress: Progress) -> None:
        if progress.num_done >= progress.num_total:
            task = self._tasks.pop(progress.stage, None)
            if task is not None and self._bars is not None:
                self._bars.remove_task(task)
            if not self._tasks:
                self.close()
            return
        bars = self._open()
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = bars.add_task(progress.stage, total=progress.num_total, note="")
        bars.update(
            self._tasks[progress.stage], completed=progress.num_done, total=progress.num_total, note=progress.note
        )

    def _say_now_and_then(self, progress: Progress) -> None:
        last = self._last_lines.setdefault(progress.stage, self._clock())
        if self._clock() - last >= LINE_SECONDS:
            self._last_lines[progress.stage] = self._clock()
            self._say(f"{progress.stage}: {progress.note}", event="progress", **progress.facts)
        if progress.num_done >= progress.num_total:
            del self._last_lines[progress.stage]

    def _open(self) -> rich_progress.Progress:
        if self._bars is None:
            from rich import console, progress

            self._bars = progress.Progress(
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(bar_width=None),  # the room that the texts leave
                progress.TaskProgressColumn(),
                progress.TextColumn("{task.fields[note]}", markup=False),
                console=console.Console(stderr=True),
                transient=True,
                redirect_stdout=False,
                expand=True,
            )
            self._bars.start()
        return self._bars

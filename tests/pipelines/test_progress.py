"""What is written about progress where there is no terminal; tests/pipelines/test_terminal.py has the bars."""

from __future__ import annotations

from typing import Any

from pipelines.progress import ProgressDisplay
from videoseq.jobs.events import Progress


def test_a_stage_with_a_rate_gets_a_line_every_half_minute():
    now, said = [0.0], []

    def say(text: str, **facts: Any) -> None:
        said.append((text, facts))

    def show(num_done: float) -> None:
        display.show(Progress("labels", num_done, 3, f"{num_done} files", {"frames_per_second": 2.0 * num_done}))

    display = ProgressDisplay(say, has_bars=False, clock=lambda: now[0])
    show(0)
    now[0] = 29.0
    show(1)
    assert said == []
    now[0] = 31.0
    show(2)
    show(2.5)
    assert said == [("labels: 2 files", {"event": "progress", "frames_per_second": 4.0})]
    now[0] = 61.0
    show(3)
    assert len(said) == 2


def test_a_stage_without_a_rate_says_nothing_where_there_is_no_terminal():
    said: list[str] = []
    now = [0.0]
    display = ProgressDisplay(said.append, has_bars=False, clock=lambda: now[0])
    for now[0] in (0.0, 100.0):
        display.show(Progress("head", now[0], 200, "loss 0.5"))
    assert said == []

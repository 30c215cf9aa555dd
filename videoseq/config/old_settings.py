"""Settings of earlier versions that have another name now or are gone."""

from __future__ import annotations

from typing import Final

RENAMED: Final[dict[str, str]] = {
    "training.chunk_steps": "training.tbptt_steps",
    "training.lanes": "training.batch_size",
    "training.stretch": "training.time_stretch",
    "training.smoothing": "training.temporal_smoothing",
    "training.colour_jitter": "training.color_jitter",
}
"""The name of today by the old name, both within one group."""
REMOVED: Final = ("training.burn_in_steps", "trainer.num_nodes")
"""Settings that no longer exist."""


def explain_old_name(name: str) -> str | None:
    """What to do about a setting of an earlier version; None if there never was one of this name."""
    if name in RENAMED:
        return f"this setting is now called {RENAMED[name]}"
    if name in REMOVED:
        return "this setting no longer exists; leave it out"
    return None

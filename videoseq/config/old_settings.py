"""Settings of earlier versions that have another name now or are gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from videoseq.errors import ConfigError

RENAMED: Final[dict[str, str]] = {
    "training.chunk_steps": "training.tbptt_steps",
    "training.lanes": "training.batch_size",
    "training.stretch": "training.time_stretch",
    "training.smoothing": "training.temporal_smoothing",
    "training.colour_jitter": "training.color_jitter",
}
"""The name of today by the old name, both within one group."""
REMOVED: Final[dict[str, object]] = {"training.burn_in_steps": 0, "trainer.num_nodes": 1}
"""Settings that no longer exist, each with its old default: the one value with which nothing changes without it."""


def explain_old_name(name: str) -> str | None:
    """What to do about a setting of an earlier version; None if there never was one of this name."""
    if name in RENAMED:
        return f"this setting is now called {RENAMED[name]}"
    if name in REMOVED:
        return "this setting no longer exists; leave it out"
    return None


def update_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as an earlier version wrote them into ``model.json``, in today's names.

    Args:
        values: Groups of settings by name. What is no group, or is unknown, is left for the schema to judge.

    Returns:
        A copy, without removed settings.

    Raises:
        ConfigError: A removed setting has another value than its default, so the model was trained in a way that this
            version does not know.
    """
    updated = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    for name, default in REMOVED.items():
        group, key = _find(updated, name)
        if key in group and (value := group.pop(key)) != default:
            raise ConfigError(f"{name}: expected {default!r}, since this setting no longer exists, got {value!r}")
    for name, today in RENAMED.items():
        group, key = _find(updated, name)
        if key in group:
            group[today.rpartition(".")[2]] = group.pop(key)
    return updated


def _find(values: Mapping[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """The group that holds the setting, an empty one if there is none, and the setting's name in it."""
    group, _, key = name.partition(".")
    found = values.get(group)
    return (found if isinstance(found, dict) else {}), key

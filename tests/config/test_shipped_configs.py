"""Every YAML in configs/ loads, opens with the command that runs it, and full.yaml is the defaults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from videoseq.config.schema import TrainSettings
from videoseq.config.yaml_file import load_settings

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


def test_there_are_some():
    assert {path.name for path in CONFIGS} >= {"full.yaml", "quick.yaml"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_it_loads_and_says_how_to_run_it(path):
    load_settings(path)
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert re.fullmatch(rf"# videoseq train \S+ --out \S+ --config configs/{path.name}", first)


def test_full_is_every_setting_at_its_default():
    path = next(path for path in CONFIGS if path.name == "full.yaml")
    assert load_settings(path) == TrainSettings()
    text = path.read_text(encoding="utf-8")

    def names(settings) -> set[str]:
        return set(type(settings).model_fields).union(
            *(names(value) for _, value in settings if isinstance(value, BaseModel))
        )

    missing = [name for name in names(TrainSettings()) if not re.search(rf"^\s*{name}:", text, re.MULTILINE)]
    assert not missing

"""Settings of earlier versions: models that have them still load, and users learn the new name."""

from __future__ import annotations

import pytest

from videoseq.config.old_settings import REMOVED, RENAMED, explain_old_name, update_settings
from videoseq.config.schema import TrainSettings
from videoseq.config.yaml_file import load_settings
from videoseq.errors import ConfigError

SCHEMA_4 = {
    "sample_hz": 10.0,
    "training": {
        "seed": 0, "ensemble": 1, "max_epochs": 40, "patience": None, "learning_rate": 0.001, "weight_decay": 0.05,
        "warmup_fraction": 0.1, "gradient_clip_norm": 1.0, "chunk_steps": 64, "state": "carried", "burn_in_steps": 0,
        "lanes": 16, "stretch": 0.0, "noise": 0.0, "label_smoothing": 0.0, "focal_gamma": 0.0, "smoothing": 0.0,
        "class_weighting": "sqrt_inverse", "finetune_epochs": 5, "backbone_learning_rate": 2e-05, "flip": False,
        "colour_jitter": 0.0, "crop": 0.0,
    },
    "trainer": {
        "devices": 1, "num_nodes": 1, "strategy": "auto", "precision": "float32", "checkpoint_seconds": 30.0,
    },
}  # fmt: skip
"""What a model of schema version 4 says that was trained with the defaults, where it is not said as today."""


def test_the_defaults_of_an_old_model_are_the_defaults_of_today():
    assert TrainSettings.model_validate(update_settings(SCHEMA_4)) == TrainSettings()


@pytest.mark.parametrize("name", REMOVED)
def test_a_removed_setting_must_have_its_old_default(name):
    group, key = name.split(".")
    assert update_settings({group: {key: REMOVED[name], "other": 1}}) == {group: {"other": 1}}
    with pytest.raises(ConfigError, match=rf"{name}: expected .*, since this setting no longer exists, got 'else'"):
        update_settings({group: {key: "else"}})


@pytest.mark.parametrize("name", RENAMED)
def test_a_renamed_setting_keeps_its_value(name):
    group, key = name.split(".")
    assert update_settings({group: {key: 3, "other": 1}}) == {group: {RENAMED[name].split(".")[1]: 3, "other": 1}}


def test_what_is_no_group_is_left_to_the_schema():
    for values in ({}, {"training": 3, "trainer": None}, {"training": []}):
        assert update_settings(values) == values


def test_old_values_are_not_changed_in_place():
    values = {"training": {"burn_in_steps": 0, "lanes": 2}}
    update_settings(values)
    assert values == {"training": {"burn_in_steps": 0, "lanes": 2}}


@pytest.mark.parametrize("name", [*REMOVED, *RENAMED])
def test_a_user_learns_what_to_do_about_an_old_name(name, tmp_path):
    group, key = name.split(".")
    file = tmp_path / "old.yaml"
    file.write_text(f"{group}: {{{key}: 1}}\n", encoding="utf-8")
    for arguments, where in (((file,), file), ((None, [f"{name}=1"]), "--set")):
        with pytest.raises(ConfigError) as raised:
            load_settings(*arguments)
        assert str(raised.value) == f"{where}: {name}: {explain_old_name(name)}"


def test_no_old_name_is_in_use():
    known = TrainSettings().model_dump()
    for name in [*REMOVED, *RENAMED]:
        group, key = name.split(".")
        assert key not in known[group]
    for name in RENAMED.values():
        group, key = name.split(".")
        assert key in known[group]

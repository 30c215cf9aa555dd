"""Training from a folder in one call: messages, what is recorded, and what is refused before any work."""

from __future__ import annotations

import pytest

from tests.support.listeners import Recorder
from videoseq.config.runtime import RuntimeChoice
from videoseq.config.yaml_file import load_settings
from videoseq.data.dataset import load_dataset
from videoseq.errors import AnnotationError
from videoseq.jobs.feature_provider import Resources
from videoseq.training.run import train_dataset

SHORT = ("training.max_epochs=1", "head.hidden_size=16", "head.projection_size=16")


def train(light_dataset, cache, *overrides: str, **given):
    listener = Recorder()
    resources = Resources(RuntimeChoice("cpu", precision="float32"), cache, listener=listener)
    settings = load_settings(overrides=[*SHORT, *overrides])
    return train_dataset(load_dataset(light_dataset), settings, resources, **given), listener


def test_what_the_user_hears_is_what_is_recorded(light_dataset, cache):
    trained, listener = train(light_dataset, cache, "data.cross_validation=null")
    assert listener.messages[0] == "6 clips in 6 groups; classes: bright, dark"
    assert [one.name for one in trained.overview] == ["bright", "dark"]
    assert any(line.startswith("  bright  ") and " bouts, median " in line for line in listener.messages)
    assert list(trained.notices) == listener.notices
    assert {"head", "baseline without context", "head, on all clips"} <= {one.stage for one in listener.progress}
    retrained = next(one for one in trained.notices if one.code == "refitted_on_all_clips")
    assert not retrained.is_warning
    assert retrained.message.endswith("The saved model is the retrained one.")


def test_cross_validation_says_how_long_it_takes(light_dataset, cache):
    trained, listener = train(light_dataset, cache, "data.cross_validation=2")
    assert "cross-validation: 2 folds and then all clips, 6 networks to fit" in listener.messages
    (forecast,) = (line for line in listener.messages if line.startswith("cross-validation: the first fold took 0:"))
    assert forecast.endswith(" left")
    assert [one.is_warning for one in trained.notices if one.code == "cross_validated"] == [False]


def test_nothing_is_computed_for_what_must_fail(light_dataset, tmp_path):
    with pytest.raises(AnnotationError, match=r"^sweep: expected validation clips"):
        train(light_dataset, tmp_path / "cache", "data.validation_fraction=0", num_trials=1)
    assert not (tmp_path / "cache").exists()

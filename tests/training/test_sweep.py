"""A sweep tries the given settings first, looks at no test clip, and returns what was best."""

from __future__ import annotations

import sys

import pytest

from tests.support.listeners import Recorder
from tests.support.switch_clips import HEAD, SETTINGS, make_clip
from videoseq.annotations.types import ClassNames
from videoseq.config.schema import TrainSettings
from videoseq.data.splits import split_clips
from videoseq.errors import AnnotationError, ConfigError
from videoseq.evaluation.evaluate import label_clips
from videoseq.evaluation.metrics import measure
from videoseq.training.fit import FitEnvironment, fit
from videoseq.training.sweep import possible_choices, sweep, with_changes

CLASSES = ClassNames(["off", "on"])
SWEPT = TrainSettings(head=HEAD, training=SETTINGS.model_copy(update={"max_epochs": 4, "patience": None}))
CLIPS = [make_clip(seed, group=f"g{seed % 4}") for seed in range(8)]


def cross_validated(settings: TrainSettings) -> TrainSettings:
    return settings.model_copy(update={"data": settings.data.model_copy(update={"cross_validation": 2})})


@pytest.mark.slow
@pytest.mark.parametrize("settings", [SWEPT, cross_validated(SWEPT)], ids=["split", "folds"])
def test_the_best_of_all_trials_is_taken_and_the_first_is_as_given(settings):
    listener = Recorder()
    best, trials = sweep(CLIPS, CLASSES, settings, 4, environment=FitEnvironment(listener=listener))
    assert [(one.stage, one.num_done, one.num_total) for one in listener.progress] == [
        ("sweep", n, 4) for n in (1, 2, 3, 4)
    ]
    assert [trial.text in told for trial, told in zip(trials, listener.messages, strict=True)] == [True] * 4
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert trials[0].changed == {}
    assert all(trial.changed for trial in trials[1:])
    assert len({trial.macro_f1 for trial in trials}) > 1
    winner = max(trials, key=lambda trial: trial.macro_f1)
    assert best == with_changes(settings, winner.changed)
    again, repeated = sweep(CLIPS, CLASSES, settings, 4)
    assert (again, repeated) == (best, trials)


def test_a_trial_is_what_its_settings_come_to_on_the_validation_clips():
    _, (first, second) = sweep(CLIPS, CLASSES, SWEPT, 2)
    splits = split_clips(CLIPS, CLASSES, SWEPT.data, SWEPT.training.seed)
    for trial in (first, second):
        settings = with_changes(SWEPT, trial.changed)
        head = fit(splits["train"], splits["val"], 2, settings.head, settings.training).head
        found = measure(label_clips(head, splits["val"], CLASSES), CLASSES).metrics.headline["macro_f1"]
        assert trial.macro_f1 == pytest.approx(found.value)


def test_only_what_goes_with_the_settings_is_tried():
    heads = HEAD.model_copy(update={"cell": "attention", "hidden_size": 48, "num_heads": 48})
    assert possible_choices(SWEPT)["head.hidden_size"] == (32, 64, 128)
    assert "head.hidden_size" not in possible_choices(SWEPT.model_copy(update={"head": heads}))
    heads = heads.model_copy(update={"num_heads": 64})
    assert possible_choices(SWEPT.model_copy(update={"head": heads}))["head.hidden_size"] == (64, 128)


def test_test_clips_are_not_looked_at():
    kinds = ["train", "train", "val", "test"]
    clips = [make_clip(seed, split=kinds[seed], group=f"g{seed}") for seed in range(4)]
    other = [*clips[:3], make_clip(99, split="test", group="g3")]
    assert sweep(clips, CLASSES, SWEPT, 2) == sweep(other, CLASSES, SWEPT, 2)


def test_what_cannot_be_swept_is_refused(monkeypatch):
    with pytest.raises(AnnotationError, match=r"^sweep: expected validation clips, got none"):
        sweep([make_clip(seed, group="one") for seed in range(2)], CLASSES, SWEPT, 1)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r'^sweep needs Optuna: pip install "videoseq\[sweep\]"'):
        sweep(CLIPS, CLASSES, SWEPT, 1)

"""What annotations alone show to be wrong is found before any video is opened."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from videoseq.annotations.types import Annotation, ClassNames, Interval
from videoseq.config.yaml_file import load_settings
from videoseq.data.dataset import Dataset
from videoseq.data.manifest import ClipEntry
from videoseq.errors import AnnotationError, ConfigError
from videoseq.training.checks import check_training


def dataset(*labels: str, groups: str = "", splits: str = "", **given: str) -> Dataset:
    """One video for each label, none of which exists; groups and splits by a letter for each."""
    names = {"t": "train", "v": "val", "e": "test"}
    entries, annotations = [], []
    for number, label in enumerate(labels):
        video = Path(f"{number}.mp4")
        group, split = groups[number : number + 1] or str(number), names.get(splits[number : number + 1])
        entries.append(ClipEntry(video, video.with_suffix(".csv"), split, group))
        annotations.append(Annotation(video.with_suffix(".csv"), "seconds", (Interval(0.0, 1.0, label, 2),)))
    return Dataset(tuple(entries), tuple(annotations), ClassNames(["rest", "walk"]), **given)


BOTH = dataset("walk", "rest")


@pytest.mark.parametrize(
    ("annotated", "overrides", "num_trials", "words"),
    [
        (dataset("walk", "walk"), [], 0, r"labeled frames of two classes or more, got 'walk'; annotate more clips"),
        (dataset("walk", "rest", splits="tv"), [], 0, r"two classes or more, got 'walk'"),
        (dataset("walk", "rest", splits="ee"), [], 0, r"two classes or more, got no label"),
        (dataset("walk", "rest", groups="aa"), ["data.cross_validation=groups"], 0, r"two groups or more, got one"),
        (dataset("walk", "rest", splits="tt"), ["data.cross_validation=2"], 0, r"expected a dataset without splits"),
        (dataset("walk", "rest", groups="aa"), [], 1, r"^sweep: expected validation clips, got none"),
        (BOTH, ["data.validation_fraction=0"], 1, r"^sweep: expected validation clips, got none"),
    ],
)
def test_what_must_fail_is_refused(annotated, overrides, num_trials, words):
    with pytest.raises(AnnotationError, match=words):
        check_training(annotated, load_settings(overrides=overrides), num_trials)


@pytest.mark.parametrize(
    ("annotated", "overrides", "num_trials"),
    [
        (BOTH, [], 0),
        (dataset("walk", "walk", background="rest"), [], 0),
        (dataset("walk", "walk", task="multilabel"), ["data.task=multilabel"], 0),
        (dataset("walk", "rest", "walk", splits="ttv"), [], 1),
        (BOTH, ["data.cross_validation=groups", "data.validation_fraction=0"], 1),
    ],
)
def test_what_may_succeed_is_not_refused(annotated, overrides, num_trials):
    check_training(annotated, load_settings(overrides=overrides), num_trials)


def test_a_sweep_without_optuna_is_refused_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r'^sweep needs Optuna: pip install "videoseq\[sweep\]"'):
        check_training(BOTH, load_settings(), 1)

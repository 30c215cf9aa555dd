"""What `make accuracy` compares: our networks, and what others do with the same features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import recipes
import torch
from real_clips import Dataset, Fold
from recipes import Labeler, Sequences

from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.config.schema import HeadSettings, TrainingSettings, TrainSettings
from videoseq.data import splits
from videoseq.data.dataset import Clip
from videoseq.data.sequences import to_sequence
from videoseq.evaluation.evaluate import label_clips, label_features
from videoseq.evaluation.metrics import LabeledVideo, confusion_matrix, frame_metrics, measure
from videoseq.evaluation.results import NO_CONTEXT as ONE_FRAME
from videoseq.training.baseline import BaselineFitter
from videoseq.training.calibration import tempered_by_others
from videoseq.training.choice import choose, taken_head
from videoseq.training.cross_validation import choose_for_folds, label_folds, score_candidates
from videoseq.training.fit import fit
from videoseq.training.self_training import pseudo_labeled
from videoseq.video.sampling import step_rows


class Score(NamedTuple):
    """How good labels are: from 0 to 1."""

    macro_f1: float
    calibration_error: float | None = None


Predictor = Callable[[Clip], np.ndarray]
"""A clip to the class index of each of its native frames."""
Recipe = Callable[[Sequence[Clip], ClassNames, int], Predictor]
Scores = dict[str, Score]
"""By the name of a row."""

OURS, NO_CONTEXT = "videoseq", "videoseq, no context"
CANDIDATES = {"motion": "videoseq, motion", "three_streams": "videoseq, motion and differences"}
"""Rows of networks that could be the default, by what they see."""
UNTUNED, MS_TCN = "GRU on features and differences, untuned", "MS-TCN, causal"


def defaults(dataset: Dataset, seed: int) -> Scores:
    """What `videoseq train` compares, as its own cross-validation fits and labels it, and what it takes.

    The others of a dataset's groups choose for each; where there are none to choose by, `train` takes motion.
    """
    settings = TrainSettings(training=TrainingSettings(seed=seed))
    classes, num_classes = dataset.classes, len(dataset.classes)
    folds = [splits.Fold([*fold.train], [*fold.test], _groups(fold)) for fold in dataset.folds]
    found = label_folds(folds, classes, settings, BaselineFitter(num_classes, settings))
    chosen = [one.labeled["motion"] for one in found]
    if dataset.has_groups:
        _, chosen = choose_for_folds(found, num_classes, settings)
    rows = {name: [one.labeled[inputs] for one in found] for inputs, name in CANDIDATES.items()}
    rows |= {OURS: chosen, NO_CONTEXT: [one.labeled[ONE_FRAME] for one in found]}
    return {name: _score(by_fold, dataset) for name, by_fold in rows.items()}


def taught_by_unlabeled(dataset: Dataset, seed: int) -> Scores:
    """What `videoseq train --unlabeled` makes of the videos left out, whose annotations it does not see."""
    settings = TrainSettings(training=TrainingSettings(seed=seed))
    num_classes, chosen = len(dataset.classes), []
    folds = [splits.Fold([*fold.train], [*fold.test], _groups(fold)) for fold in dataset.folds]
    found = label_folds(folds, dataset.classes, settings, BaselineFitter(num_classes, settings))
    for one in found:
        choice = choose(score_candidates(found, num_classes, settings), one.fold.groups)
        learned_from = [*one.fold.train, *pseudo_labeled(one.fold.held_out, one.labeled[choice.taken])]
        taught = fit(learned_from, [], num_classes, taken_head(choice, settings.head), settings.training).head
        chosen.append(label_clips(taught, one.fold.held_out, dataset.classes))
    return {"": _score(chosen, dataset)}


def _groups(fold: Fold) -> tuple[str, ...]:
    return tuple(sorted({clip.entry.group for clip in fold.test}))


def _score(by_fold: Sequence[Sequence[LabeledVideo]], dataset: Dataset) -> Score:
    """Of the frames that judge, with the temperature that the other folds give."""
    judged = [
        [replace(video, targets=judging(video.targets, fold)) for video in videos]
        for videos, fold in zip(by_fold, dataset.folds, strict=True)
    ]
    headline = measure(tempered_by_others(judged), dataset.classes).metrics.headline
    return Score(headline["macro_f1"].value or 0.0, headline["expected_calibration_error"].value)


def judging(targets: np.ndarray, fold: Fold) -> np.ndarray:
    """The targets of the frames that judge; the others count as unlabeled."""
    return np.where(np.arange(len(targets)) < fold.first_test_frame, IGNORE_INDEX, targets)


def ours(clips: Sequence[Clip], classes: ClassNames, seed: int, head: HeadSettings, **training: object) -> Predictor:
    """One of our networks, fitted on all clips that it is given."""
    settings = TrainingSettings.model_validate({"seed": seed, **training})
    fitted = fit(clips, [], len(classes), head, settings).head
    return lambda clip: np.concatenate([part.class_index for part in label_features(fitted, clip.features, classes)])


def theirs(
    clips: Sequence[Clip], classes: ClassNames, seed: int, recipe: Callable[[Sequences, int, int], Labeler]
) -> Predictor:
    """A recipe of `recipes.py`, brought from steps to native frames as ours are."""
    with torch.random.fork_rng():
        label = recipe([_steps(clip) for clip in clips], len(classes), seed)

    def predict(clip: Clip) -> np.ndarray:
        with torch.no_grad():
            labels = label(_steps(clip)[0]).numpy()
        return labels[np.maximum(step_rows(clip.features.steps)[1], 0)]

    return predict


def _steps(clip: Clip) -> tuple[torch.Tensor, torch.Tensor]:
    sequence = to_sequence(clip)
    return torch.from_numpy(np.array(sequence.features[sequence.rows])), torch.from_numpy(sequence.targets)


def by_fold(recipe: Recipe) -> Callable[[Dataset, int], Scores]:
    """A recipe on the labeled frames of all folds together."""
    return partial(_by_fold, recipe)


def _by_fold(recipe: Recipe, dataset: Dataset, seed: int) -> Scores:
    total = np.zeros((len(dataset.classes), len(dataset.classes)), dtype=np.int64)
    for fold in dataset.folds:
        predict = recipe(fold.train, dataset.classes, seed)
        for clip in fold.test:
            total += confusion_matrix(judging(clip.targets, fold), predict(clip), len(dataset.classes))
    return {"": Score(frame_metrics(total, dataset.classes).macro_f1 or 0.0)}


MOTION = HeadSettings(inputs="motion")
SHORT: dict[str, Callable[[Dataset, int], Scores]] = {
    OURS: defaults,
    UNTUNED: by_fold(
        partial(ours, head=HeadSettings(hidden_size=128, components=0, inputs="joint", difference_lags=(1,)))
    ),
    MS_TCN: by_fold(partial(theirs, recipe=recipes.causal_ms_tcn)),
}
RECIPES = {
    **SHORT,
    "videoseq, taught by the videos left out": taught_by_unlabeled,
    "videoseq, differences for motion": by_fold(partial(ours, head=HeadSettings(inputs="two_streams"))),
    "videoseq, differences only": by_fold(partial(ours, head=HeadSettings(inputs="differences"))),
    "videoseq, LSTM": by_fold(partial(ours, head=HeadSettings(inputs="motion", cell="lstm"))),
    "videoseq, TCN": by_fold(partial(ours, head=HeadSettings(inputs="motion", cell="tcn", num_layers=10))),
    "videoseq, attention": by_fold(partial(ours, head=HeadSettings(inputs="motion", cell="attention", num_layers=2))),
    "videoseq, bidirectional": by_fold(partial(ours, head=HeadSettings(inputs="motion", bidirectional=True))),
    "videoseq, windows without a state": by_fold(partial(ours, head=MOTION, state="zero")),
    "videoseq, clips stretched, with noise": by_fold(partial(ours, head=MOTION, time_stretch=0.3, noise=0.2)),
    "videoseq, five networks": by_fold(partial(ours, head=MOTION, ensemble=5)),
    "lightning-action 1.1, LSTM": by_fold(partial(theirs, recipe=recipes.lightning_action)),
    "MiniROAD": by_fold(partial(theirs, recipe=recipes.miniroad)),
    "ordered, carried hidden (BNPitfalls)": by_fold(partial(theirs, recipe=recipes.carried_hidden)),
}
ROWS = [OURS, *CANDIDATES.values(), NO_CONTEXT, *list(RECIPES)[1:]]
"""All rows of the table: the first recipe makes several."""

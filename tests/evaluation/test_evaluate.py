"""The constant baseline: what most labeled frames have."""

from __future__ import annotations

import numpy as np

from tests.support.dataset_entries import entry, features
from videoseq.annotations.types import IGNORE_INDEX
from videoseq.data.dataset import Clip
from videoseq.evaluation.evaluate import majority_baseline


def clip(*targets):
    return Clip(entry("clip"), features(len(targets)), np.array(targets, np.int64))


def test_the_majority_class_is_the_first_of_the_most_frequent():
    assert majority_baseline([clip(0, 1, 1), clip(1, 2, IGNORE_INDEX, IGNORE_INDEX)], 3) == (1,)
    assert majority_baseline([clip(1, 0, 0, 1)], 2) == (0,)


def test_in_multilabel_the_majority_is_a_set_that_may_be_empty():
    assert majority_baseline([clip([1, 0, 1], [1, 0, 1], [0, 0, 0])], 3) == (0, 2)
    assert majority_baseline([clip([0, 0], [0, 0], [1, 0], [IGNORE_INDEX] * 2)], 2) == ()

"""A video in chunks of any size: the same labels in one pass or in two, and no memory that grows with it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.heads import FEATURES, make_bidirectional, make_head
from videoseq.annotations.types import ClassNames
from videoseq.errors import ModelError, OutputError
from videoseq.features.extraction import FeatureChunk
from videoseq.inference.streaming import SequenceLabeler
from videoseq.inference.whole_video import label_chunks, video_labeler
from videoseq.models.decoding import Decoding, DecodingParameters, MarkovChain
from videoseq.models.ensemble import Ensemble
from videoseq.models.head import Head
from videoseq.video.sampling import step_rows

NAMES = ClassNames("abc")
HEADS: dict[str, Head] = {
    "gru": make_head("gru"),
    "attention": make_head("attention"),
    "bidirectional": make_bidirectional("lstm"),
    "ensemble": Ensemble([make_bidirectional(seed=seed) for seed in range(2)]),
}


def make_chunks(steps: list[int], sizes: list[int], seed: int = 0) -> Iterator[FeatureChunk]:
    """A video with so many steps due at each frame, in chunks of such sizes over and over."""
    features = torch.randn(np.count_nonzero(steps), FEATURES, generator=torch.Generator().manual_seed(seed))
    start, number = 0, 0
    while start < len(steps):
        stop = min(len(steps), start + sizes[number % len(sizes)])
        rows = slice(np.count_nonzero(steps[:start]), np.count_nonzero(steps[:stop]))
        index = np.arange(start, stop)
        yield FeatureChunk(index, index / 10, index % 3, np.array(steps[start:stop]), features[rows])
        start, number = stop, number + 1


def labels_of(head: Head, chunks: Iterator[FeatureChunk]) -> dict[str, np.ndarray]:
    parts = list(label_chunks(head, chunks, NAMES))
    names = ("index", "seconds", "flags", "probabilities", "class_index")
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}


STEPS = st.lists(st.sampled_from([0, 1, 1, 1, 3]), min_size=1, max_size=40).map(lambda some: [1, *some])
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=3)


@settings(max_examples=30)
@given(st.sampled_from(sorted(HEADS)), STEPS, SIZES)
def test_chunks_of_any_size_give_the_same_labels(name, steps, sizes):
    head = HEADS[name]
    got = labels_of(head, make_chunks(steps, sizes))
    (whole,) = make_chunks(steps, [len(steps)])
    rows, step_of_frame = step_rows(whole.steps)
    with torch.no_grad():
        logits = head(whole.features[torch.from_numpy(rows) - 1][None])[0][0]
    expected = torch.softmax(logits[torch.from_numpy(step_of_frame)].double(), dim=1).numpy()
    np.testing.assert_allclose(got["probabilities"], expected, atol=1e-5)
    np.testing.assert_array_equal(got["index"], whole.index)
    np.testing.assert_array_equal(got["seconds"], whole.seconds)
    np.testing.assert_array_equal(got["flags"], whole.flags)


def test_more_frames_than_are_handled_at_once_are_all_there_and_right():
    head, steps = HEADS["bidirectional"], [1, 0, 2] * 1100
    one, other = (labels_of(head, make_chunks(steps, sizes)) for sizes in ([len(steps)], [1, 700]))
    np.testing.assert_array_equal(one["index"], np.arange(3300))
    np.testing.assert_allclose(one["probabilities"], other["probabilities"], atol=1e-6)
    np.testing.assert_array_equal(one["class_index"], other["class_index"])


def test_a_head_that_looks_ahead_is_changed_by_the_future_and_a_causal_one_is_not():
    steps = [1] * 30
    for name, head in HEADS.items():
        chunks, changed = list(make_chunks(steps, [7])), list(make_chunks(steps, [7]))
        changed[-1].features.add_(5.0)
        before, after = (labels_of(head, iter(some))["probabilities"][:27] for some in (chunks, changed))
        assert np.array_equal(before, after) != head.looks_ahead, name


@pytest.mark.parametrize(
    "parameters",
    [
        DecodingParameters(method="hysteresis", margin=0.9),
        DecodingParameters(method="lag", evidence_weight=1e-3, delay_seconds=1.0),
    ],
)
def test_decoding_holds_a_label_over_both_passes(parameters):
    head = make_bidirectional("rnn", seed=3)
    free = labels_of(head, make_chunks([1] * 60, [7]))
    num_classes = head.num_classes
    stay = np.full((num_classes, num_classes), 1e-6) + np.eye(num_classes) * (1 - num_classes * 1e-6)
    even = np.full(num_classes, 1 / num_classes)
    head.decoding = Decoding(parameters, 10.0, MarkovChain(stay, even, even))
    held = labels_of(head, make_chunks([1] * 60, [7]))
    np.testing.assert_array_equal(free["probabilities"], held["probabilities"])
    assert len(np.unique(free["class_index"])) > 1
    assert (held["class_index"] == held["class_index"][0]).all()


def test_what_looks_ahead_is_refused_where_frames_are_labeled_as_they_come():
    for name in ("bidirectional", "ensemble"):
        with pytest.raises(ModelError, match=r"looks at no later frame, got a bidirectional one") as caught:
            SequenceLabeler(HEADS[name])
        assert "\n" not in str(caught.value)


def test_a_damaged_head_is_an_error():
    head = make_bidirectional()
    torch.nn.init.constant_(head.future.streams["differences"].classifier.bias, float("nan"))
    with pytest.raises(ModelError, match="frame 0: expected finite logits"):
        list(label_chunks(head, make_chunks([1] * 5, [2]), NAMES))


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    labeler = video_labeler(HEADS["bidirectional"], NAMES)
    for chunk in make_chunks([1] * 20, [7]):
        labeler.add(chunk)
    open_files = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else None
    labeler.close()
    assert os.listdir(tmp_path) == []
    assert open_files is None or len(os.listdir("/proc/self/fd")) == open_files - 3


def test_no_room_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(
        OutputError, match=r"could not be written; No such file or directory; make room there"
    ) as caught:
        video_labeler(HEADS["bidirectional"], NAMES)
    assert "\n" not in str(caught.value)


PROGRAM = """
import sys
from tests.support.heads import FEATURES, make_bidirectional
from videoseq.annotations.types import ClassNames
from videoseq.features.extraction import FeatureChunk
from videoseq.inference.whole_video import label_chunks
import numpy as np, torch

def chunks():
    for start in range(0, int(sys.argv[1]), 500):
        index = np.arange(start, start + 500)
        yield FeatureChunk(index, index / 10, index % 3, np.ones(500, np.int64), torch.randn(500, FEATURES))

print(sum(len(part) for part in label_chunks(make_bidirectional(), chunks(), ClassNames('abc'))))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_two_passes_over_hours_take_the_memory_of_minutes():
    found = []
    for num_frames in (4_000, 300_000):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(num_frames)], capture_output=True, text=True, check=True
        )
        assert done.stdout.split()[0] == str(num_frames)
        found.append(int(done.stdout.split()[1]))
    assert found[1] <= 1.1 * found[0], f"peak resident size: {found[0]} KiB, of hours {found[1]} KiB"

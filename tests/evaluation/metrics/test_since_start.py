"""Accuracy by time since the start, against a plain loop."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.evaluation.metrics import LabeledVideo
from videoseq.evaluation.metrics.since_start import EDGES_SECONDS, accuracy_since_start

LABELS = st.sampled_from([IGNORE_INDEX, 0, 1])
VIDEOS = st.lists(
    st.tuples(st.floats(0, 9), st.lists(st.tuples(st.floats(0, 400), LABELS, st.sampled_from([0, 1])), max_size=20)),
    max_size=4,
)


@given(VIDEOS)
def test_each_labeled_frame_counts_in_the_span_it_falls_into(drawn):
    videos, expected = [], [[0, 0] for _ in EDGES_SECONDS]
    for offset, frames in drawn:
        seconds = offset + np.cumsum([step for step, _, _ in frames])
        targets = np.array([target for _, target, _ in frames], np.int64)
        labels = np.array([label for _, _, label in frames], np.int64)
        videos.append(LabeledVideo("a", "a", seconds, float(seconds[-1]) if frames else 0.0, targets, labels))
        for second, target, label in zip(seconds, targets, labels, strict=True):
            span = max(i for i, edge in enumerate(EDGES_SECONDS) if second - seconds[0] >= edge)
            if target != IGNORE_INDEX:
                expected[span][0] += 1
                expected[span][1] += int(target == label)
    while expected and not expected[-1][0]:
        expected.pop()
    found = accuracy_since_start(videos)
    assert [(span.num_frames, span.accuracy) for span in found] == [
        (frames, right / frames if frames else None) for frames, right in expected
    ]
    assert [span.from_seconds for span in found] == list(EDGES_SECONDS[: len(found)])
    assert [span.to_seconds for span in found] == [*EDGES_SECONDS[1:], None][: len(found)]

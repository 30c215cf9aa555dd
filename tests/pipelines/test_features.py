"""videoseq features: vectors with their frames, and wrong options."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest

from tests.support.commands import check_one_line


def test_features_writes_vectors_and_their_frames(call, clip, tmp_path):
    ended = call(
        "features", clip, "gone.mp4", "--out", tmp_path / "out", "--cache", tmp_path / "cache", "--sample-hz", "5"
    )
    assert (ended.status, ended.out) == (3, "")
    assert ended.err.splitlines() == [
        f"complete: {clip}: 6 rows of 3860",
        "failed: not_found: gone.mp4: expected a video file, found nothing there",
        "2 videos: 1 complete, 0 degraded, 1 failed",
    ]
    assert sorted(os.listdir(tmp_path / "out")) == [
        "clip.mp4.features.csv", "clip.mp4.features.npy", "failures.jsonl", "results.jsonl", "run.json"
    ]  # fmt: skip
    vectors = np.load(tmp_path / "out" / "clip.mp4.features.npy", allow_pickle=False)
    with (tmp_path / "out" / "clip.mp4.features.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert vectors.shape == (len(rows), 3860) == (6, 3860)
    assert [float(row["time_s"]) for row in rows] == [int(row["frame"]) / 20 for row in rows]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--sample-hz", "-1"], ["sample_hz", "greater than 0"]),
        (["--sample-hz", "nan"], ["sample_hz"]),
        (
            ["--backbone", "eficientnet_lite0"],
            ["backbone.name: unknown backbone", "did you mean 'efficientnet_lite0'?"],
        ),
    ],
)
def test_features_with_a_wrong_option_is_one_line(args, words, call, clip, tmp_path):
    check_one_line(call("features", clip, "--out", tmp_path / "out", "--cache", tmp_path, *args), 2, *words)
    assert os.listdir(tmp_path) == []

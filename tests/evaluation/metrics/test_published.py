"""Our metrics on the published predictions of Lea et al. (CVPR 2017) are the numbers that were published.

They averaged accuracy, edit score and F1@k over the videos of a split, then over splits; MS-TCN's tables quote them.
Background is class 0 and has no segments. Of GTEA, three of the four splits are there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from videoseq.evaluation.metrics.frames import accuracy, confusion_matrix
from videoseq.evaluation.metrics.segments import edit_score, segment_counts, segment_f1, segment_video

NUM_CLASSES = 20  # no fewer than any of the data sets has


def splits(data: Path, model: str) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """(targets, labels) of each test video of each split."""
    folder = data / "tcn_frame_scores" / "predictions" / model
    if not folder.is_dir():
        pytest.skip(f"published predictions: none at {folder} (set VIDEOSEQ_DATA)")
    found = []
    for file in sorted(folder.glob("*.mat")):
        values = loadmat(file)
        pairs = zip(values["Y"].ravel(), values["P"].ravel(), strict=True)
        found.append([(y.ravel().astype(np.int64), p.ravel().astype(np.int64)) for y, p in pairs])
    return found


def over_videos_and_splits(number_of, videos) -> np.ndarray:
    """A number in percent, averaged over the videos of a split, then over splits."""
    return 100 * np.mean([np.mean([number_of(*video) for video in split], axis=0) for split in videos], axis=0)


def video_accuracy(targets, labels) -> float:
    return accuracy(confusion_matrix(targets, labels, NUM_CLASSES)[None])[0]


def video_edit(targets, labels) -> float:
    return edit_score(segment_video(targets, labels, background=0))


def counts(targets, labels) -> np.ndarray:
    return segment_counts(segment_video(targets, labels, background=0), NUM_CLASSES).sum(axis=1)


@pytest.mark.parametrize(
    ("model", "num_videos", "published"),
    [
        ("50Salads/eval/eval_video_ED-TCN_L2_C18", 50, 73.4),
        ("50Salads/mid/mid_video_ED-TCN_L2_C15", 50, 64.7),
        ("50Salads/mid/mid_video_DilatedTCN_B3_L5", 50, 59.3),
    ],
)
def test_accuracy(data, model, num_videos, published):
    videos = splits(data, model)
    assert sum(map(len, videos)) == num_videos
    assert over_videos_and_splits(video_accuracy, videos) == pytest.approx(published, abs=0.05)


@pytest.mark.parametrize(
    ("model", "edit", "f1"),
    [
        ("50Salads/mid/mid_video_ED-TCN_L2_C15", 59.8, [68.0, 63.9, 52.6]),
        ("50Salads/mid/mid_video_DilatedTCN_B3_L5", 43.1, [52.2, 47.6, 37.4]),
    ],
)
def test_edit_and_f1_at_10_25_and_50(data, model, edit, f1):
    videos = splits(data, model)
    assert over_videos_and_splits(video_edit, videos) == pytest.approx(edit, abs=0.051)
    found = over_videos_and_splits(lambda *video: segment_f1(counts(*video)), videos)
    assert found.tolist() == pytest.approx(f1, abs=0.051)


def test_f1_at_10_of_gtea_with_counts_summed_over_the_videos_of_a_split(data):
    videos = splits(data, "GTEA/video_ED-TCN_L2_C25")
    found = [segment_f1(sum(counts(*video) for video in split)) for split in videos]
    assert 100 * np.mean(found, axis=0)[0] == pytest.approx(72.2, abs=0.05)

"""The longest wrong spans, and the very frame in their middle."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.index_videos import read_spelled, write_spelled, write_video
from tests.support.report_builders import labeled
from videoseq.annotations.types import IGNORE_INDEX
from videoseq.report.mistakes import read_images, wrong_spans
from videoseq.video.access import open_videos
from videoseq.video.frames import FrameReader
from videoseq.video.reader import VideoReader


def decoded(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def wrong_at(path: Path, *middles: int, num_frames: int = 40):
    """A video that is labeled wrongly at frames around each of the middles."""
    targets, labels = [0] * num_frames, [0] * num_frames
    for middle in middles:
        labels[middle - 1 : middle + 2] = [1, 1, 1]
    return labeled(path.name, targets, labels, path=path)


def test_spans_end_where_truth_or_label_changes_and_the_longest_come_first():
    videos = [
        labeled("a", [0, 0, 1, 1, 1, 2], [0, 1, 2, 2, 2, 2]),
        labeled("b", [0, 0, 0, 0, IGNORE_INDEX, 0], [1, 1, 2, 2, 2, 2]),
    ]
    found = [(one.video, one.start_frame, one.stop_frame, one.target, one.label) for one in wrong_spans(videos)]
    assert found == [(0, 2, 5, 1, 2), (1, 0, 2, 0, 1), (1, 2, 4, 0, 2), (0, 1, 2, 0, 1), (1, 5, 6, 0, 2)]
    longest = wrong_spans(videos, limit=1)[0]
    assert (longest.start_seconds, longest.stop_seconds, longest.middle_frame) == (0.4, 1.0, 3)
    assert longest.confidence == pytest.approx(0.7)
    assert wrong_spans(videos) == wrong_spans(videos)
    assert not wrong_spans([labeled("right", [0, 1], [0, 1])])


def test_an_image_is_of_the_frame_in_the_middle(tmp_path):
    videos = [
        wrong_at(write_spelled(tmp_path / "a.mp4", 40), 7, 23),
        wrong_at(write_spelled(tmp_path / "b.mp4", 40), 31),
    ]
    spans = wrong_spans(videos)
    images = read_images(spans, videos)
    assert [read_spelled(decoded(images[span])) for span in spans] == [7, 23, 31]


def test_images_come_from_the_isolated_decoder_too(tmp_path):
    videos = [wrong_at(write_spelled(tmp_path / f"{name}.mp4", 40), 9, 33) for name in "ab"]
    spans = wrong_spans(videos)
    with open_videos() as access:
        images = read_images(spans, videos, access.open)
    assert [read_spelled(decoded(images[span])) for span in spans] == [9, 33, 9, 33]


def test_videos_are_read_in_sequence_no_further_than_needed(tmp_path):
    seen = []

    class Watched(VideoReader):
        def sampled(self, *args, **options):
            for frame in super().sampled(*args, **options):
                seen.append(frame.stamp.index)
                yield frame

    video = wrong_at(write_spelled(tmp_path / "a.mp4", 40), 7)
    assert len(read_images(wrong_spans([video]), [video], Watched)) == 1
    assert seen == list(range(8))


def test_what_cannot_be_read_has_no_image(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    paths = [tmp_path / "gone.mp4", tmp_path / "text.mp4", write_spelled(tmp_path / "short.mp4", 10)]
    videos = [wrong_at(path, 30) for path in paths] + [wrong_at(write_spelled(tmp_path / "whole.mp4", 40), 30)]
    spans = wrong_spans([*videos, labeled("without a path", [0], [1])])
    assert [span.video for span in read_images(spans, [*videos, labeled("without a path", [0], [1])])] == [3]


def test_late_frames_are_not_waited_for(tmp_path):
    opened = []

    def open_video(path: Path) -> FrameReader:
        opened.append(path.name)
        return VideoReader(path)

    early, late = write_spelled(tmp_path / "early.mp4", 40), write_spelled(tmp_path / "late.mp4", 40)
    videos = [wrong_at(late, 30), wrong_at(early, 5)]
    found = read_images(wrong_spans(videos), videos, open_video, max_frames=20)
    assert [span.video for span in found] == [1]
    assert opened == ["early.mp4"]


@pytest.mark.parametrize(("width", "height"), [(1920, 64), (64, 480), (32, 32)])
def test_images_are_small_and_keep_their_proportions(width, height, tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    video = wrong_at(write_video(tmp_path / "a.avi", [image] * 3, fourcc="MJPG"), 1, num_frames=3)
    shown = decoded(next(iter(read_images(wrong_spans([video]), [video]).values())))
    assert shown.shape[0] <= 120
    assert shown.shape[1] <= 240
    assert shown.shape[1] / shown.shape[0] == pytest.approx(width / height, rel=0.1)

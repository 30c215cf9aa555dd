"""Frames → features with the real backbone: in order, once each, overlapped, shared by equal pictures, kept."""

from __future__ import annotations

import contextlib
import csv
import gc
import os
import shutil
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.index_videos import read_spelled, write_spelled, write_timed, write_video
from tests.support.odd_videos import CASES
from videoseq.config.runtime import RuntimeChoice
from videoseq.config.schema import BackboneSettings
from videoseq.errors import OutputError, VideoError
from videoseq.features.backbones import load_backbone
from videoseq.features.extraction import FeatureChunk, stream_features
from videoseq.features.motion import MOTION_SIZE, MotionTracker
from videoseq.features.runtimes import Runtime, select_runtime
from videoseq.features.store import FeatureStore
from videoseq.video.reader import VideoReader, read_frames


class WatchedRuntime(Runtime):
    """Counts the images that another runtime is given, and may fail once it has had enough."""

    def __init__(self, inner: Runtime, fail_after: int | None = None) -> None:
        self.identity, self.description, self.precision = inner.identity, inner.description, inner.precision
        self.num_streams, self.batch_images = inner.num_streams, inner.batch_images
        self.num_images = 0
        self._inner, self._fail_after = inner, fail_after

    def __call__(self, images: Tensor) -> Tensor:
        self.num_images += len(images)
        if self._fail_after is not None and self.num_images > self._fail_after:
            raise RuntimeError("device lost")
        return self._inner(images)


@pytest.fixture(scope="module")
def backbone_runtime() -> Runtime:
    return select_runtime(load_backbone(BackboneSettings()), RuntimeChoice(device="cpu"))


@pytest.fixture
def runtime(backbone_runtime) -> WatchedRuntime:
    return WatchedRuntime(backbone_runtime)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """22 frames at 20 a second: batches do not come out even."""
    return write_spelled(tmp_path_factory.mktemp("video") / "clip.mp4", 22)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> Path:
    """It opens, and not one frame is in it."""
    return CASES["no_samples_mp4"](tmp_path_factory.mktemp("damaged")).path


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory) -> Path:
    """Its header claims 3 seconds, of which less than one is there."""
    path = write_spelled(tmp_path_factory.mktemp("cut") / "cut.avi", 60, fourcc="MJPG")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])
    return path


def streamed(video: Path, runtime: Runtime, sample_hz: float | None, **options: Callable) -> list[FeatureChunk]:
    with VideoReader(video) as reader:
        return list(stream_features(reader, runtime, sample_hz, **options))


def joined(chunks: list[FeatureChunk]) -> tuple[list[int], np.ndarray, np.ndarray, Tensor]:
    return (
        np.concatenate([chunk.index for chunk in chunks]).tolist(),
        np.concatenate([chunk.seconds for chunk in chunks]),
        np.concatenate([chunk.steps for chunk in chunks]),
        torch.cat([chunk.features for chunk in chunks]),
    )


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir()]


def decoding_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("videoseq")]


# stream_features


def test_every_frame_comes_once_in_order_with_the_features_of_itself_alone(video, runtime):
    index, seconds, steps, features = joined(streamed(video, runtime, None))
    frames = list(read_frames(video))
    assert [read_spelled(frame.image) for frame in frames] == list(range(22))
    assert index == list(range(22))
    assert steps.tolist() == [1] * 22
    np.testing.assert_array_equal(seconds, [frame.seconds for frame in frames])
    resize = runtime.identity.preprocessing.resize
    alone = torch.cat([runtime(resize(frame.image)[None]) for frame in frames])
    torch.testing.assert_close(features[:, :-MOTION_SIZE], alone, rtol=0, atol=1e-4)
    tracker = MotionTracker()
    motion = torch.stack([tracker.step(resize(frame.image), frame.seconds) for frame in frames])
    assert torch.equal(features[:, -MOTION_SIZE:], motion)
    distance = torch.cdist(alone, alone) + torch.eye(22) * 1e9
    assert distance.min() > 1e-2  # the frames differ by more than the tolerance, so that a swap would be seen


def test_only_sampled_frames_reach_the_cnn(video, runtime):
    index, _, steps, features = joined(streamed(video, runtime, 5.0))
    assert index == list(range(22))
    assert np.flatnonzero(steps).tolist()[0] == 0
    assert runtime.num_images == len(features) == np.count_nonzero(steps) == 6  # 1.1 s of 5 a second
    assert set(np.diff(np.flatnonzero(steps))) <= {3, 4, 5}


def test_frames_that_are_not_sampled_are_grabbed_and_not_converted(video, runtime):
    class CountingReader(VideoReader):
        num_retrieved = 0

        def retrieve(self, out: np.ndarray | None = None) -> np.ndarray:
            self.num_retrieved += 1
            return super().retrieve(out)

    with CountingReader(video) as reader:
        chunks = list(stream_features(reader, runtime, 5.0))
        assert reader.num_retrieved == 6
    assert sum(len(chunk.index) for chunk in chunks) == 22


def test_sampled_features_are_those_of_their_frames(video, runtime):
    _, _, steps, sampled = joined(streamed(video, runtime, 5.0))
    _, _, _, every = joined(streamed(video, runtime, None))
    of_the_same = every[np.flatnonzero(steps)]
    torch.testing.assert_close(sampled[:, :-MOTION_SIZE], of_the_same[:, :-MOTION_SIZE], rtol=0, atol=1e-4)


def test_a_clock_faster_than_the_video_takes_every_frame_and_catches_up(video, runtime):
    _, _, steps, _ = joined(streamed(video, runtime, 40.0))
    assert runtime.num_images == 22
    assert steps.tolist() == [1] + [2] * 21


def test_times_are_the_containers(runtime, tmp_path):
    times = [0, 40, 120, 130, 500, 540, 900]
    path = write_timed(tmp_path / "variable.mkv", times)
    _, seconds, steps, _ = joined(streamed(path, runtime, 5.0))
    np.testing.assert_allclose(seconds, np.array(times) / 1000, atol=1e-6)
    assert steps.tolist() == [1, 0, 1, 0, 1, 1, 1]  # ticks are due at 0, 0.11, 0.31, 0.51 and 0.71 s


def write_pictures(path: Path, levels: list[int]) -> Path:
    """Gray pictures without loss, so that equal ones stay equal."""
    random = np.random.default_rng(0)
    texture = random.integers(0, 20, (72, 96, 3), dtype=np.uint8)
    return write_video(path, [texture + np.uint8(level) for level in levels], fps=10, fourcc="FFV1")


def test_equal_pictures_share_their_features_bit_for_bit(runtime, tmp_path):
    levels = [0] * 5 + [50] * 3 + [0, 50, 50, 100] + [100] * 9
    path = write_pictures(tmp_path / "still.avi", levels)
    index, _, steps, features = joined(streamed(path, runtime, None))
    assert runtime.num_images == 5  # 0, 50, 0, 50, 100
    assert (index, steps.tolist()) == (list(range(21)), [1] * 21)
    for before, after in pairwise(range(21)):
        is_equal = torch.equal(features[before, :-MOTION_SIZE], features[after, :-MOTION_SIZE])
        assert is_equal == (levels[before] == levels[after])
    resize = runtime.identity.preprocessing.resize
    alone = torch.cat([runtime(resize(frame.image)[None]) for frame in read_frames(path)])
    torch.testing.assert_close(features[:, :-MOTION_SIZE], alone, rtol=0, atol=1e-4)


def test_nearly_equal_pictures_share_features_only_if_asked(runtime, tmp_path):
    path = write_pictures(tmp_path / "drift.avi", [0, 1, 2, 3, 4, 5, 6, 7])
    *_, exact = joined(streamed(path, runtime, None))
    assert runtime.num_images == 8
    *_, shared = joined(streamed(path, runtime, None, reuse_threshold=2.0))
    assert runtime.num_images == 8 + 3  # a slow drift is seen: it is compared with the picture computed last
    for row, computed in enumerate([0, 0, 0, 3, 3, 3, 6, 6]):
        assert torch.equal(shared[row, :-MOTION_SIZE], exact[computed, :-MOTION_SIZE])
    assert torch.equal(shared[:, -MOTION_SIZE:], exact[:, -MOTION_SIZE:])  # a drift is no stillness


def test_a_still_video_that_never_fills_a_batch_comes_whole(runtime, tmp_path):
    path = write_pictures(tmp_path / "black.avi", [0] * 600)
    chunks = streamed(path, runtime, None)
    index, _, _, features = joined(chunks)
    assert runtime.num_images == 1
    assert index == list(range(600))
    assert len(chunks) > 1
    assert torch.equal(features, features[:1].expand(600, -1))


def test_progress_grows_to_the_last_frame(video, runtime):
    told: list[tuple[int, float]] = []
    streamed(video, runtime, 5.0, on_progress=lambda frames, fraction: told.append((frames, fraction)))
    assert told[-1][0] == 22
    assert all(left[0] < right[0] and left[1] <= right[1] for left, right in pairwise(told))
    assert all(0.0 < fraction <= 1.0 for _, fraction in told)


def test_an_error_of_the_decoding_thread_is_raised_here(damaged, runtime):
    with pytest.raises(VideoError, match=r"no_samples\.mp4: expected frames, got none that decode") as caught:
        streamed(damaged, runtime, None)
    assert caught.value.code == "no_frames"
    assert decoding_threads() == []


@pytest.mark.parametrize("abandon", [lambda chunks: chunks.close(), lambda chunks: None], ids=["close", "forget"])
def test_abandoning_the_stream_leaves_no_thread(abandon, runtime, tmp_path):
    num_threads = torch.get_num_threads()
    with VideoReader(write_spelled(tmp_path / "long.mp4", 300)) as reader:
        chunks = stream_features(reader, runtime, None)
        next(chunks)
        assert len(decoding_threads()) == 1 + runtime.num_streams
        abandon(chunks)
        del chunks
        gc.collect()
        assert decoding_threads() == []
    assert 64 <= runtime.num_images < 300
    assert torch.get_num_threads() == num_threads


def test_a_failing_cnn_leaves_no_thread(video, backbone_runtime):
    with pytest.raises(RuntimeError, match="device lost"):
        streamed(video, WatchedRuntime(backbone_runtime, fail_after=4), None)
    gc.collect()
    assert decoding_threads() == []


class SlowReader(VideoReader):
    """Still decoding when the test looks."""

    def retrieve(self) -> np.ndarray:
        time.sleep(0.05)
        return super().retrieve()


def test_closing_a_reader_that_a_thread_still_reads_is_safe(video):
    """An interrupt may leave the thread decoding; OpenCV crashes when a capture is released under it."""

    def read_all(reader: VideoReader) -> None:
        with contextlib.suppress(VideoError):  # a picture that was found before the reader was closed
            for _ in reader:
                reader.retrieve()

    with SlowReader(video) as reader:
        thread = threading.Thread(target=read_all, args=[reader])
        thread.start()
        time.sleep(0.12)
    thread.join(timeout=10)
    assert not thread.is_alive()


# FeatureChunk


@pytest.mark.parametrize(("lengths", "num_rows"), [((3, 3, 3), 2), ((3, 3, 3), 4), ((3, 2, 3), 3), ((2, 3, 3), 3)])
def test_a_chunk_that_does_not_add_up_is_refused(lengths, num_rows):
    index, seconds, steps = (np.ones(length, dtype=int) for length in lengths)
    with pytest.raises((ValueError, TypeError), match=r"expected (3 feature rows|equal lengths)|Type-check error"):
        FeatureChunk(index, seconds.astype(float), np.zeros_like(index), steps, torch.zeros(num_rows, 8))


# FeatureStore


@pytest.mark.parametrize("sample_hz", [None, 5.0])
def test_stored_features_are_the_streamed_ones(sample_hz, video, runtime, tmp_path):
    stored = FeatureStore(tmp_path).get(video, runtime, sample_hz)
    index, seconds, steps, features = joined(streamed(video, runtime, sample_hz))
    np.testing.assert_array_equal(stored.seconds, seconds)
    np.testing.assert_array_equal(stored.steps, steps)
    np.testing.assert_array_equal(stored.features, features)
    assert stored.features.dtype == np.float32
    assert stored.duration_seconds == pytest.approx(1.1)
    assert stored.notices == ()
    for size in (1, 5, 22, 1000):
        again = joined(list(stored.chunks(size)))
        assert again[0] == index
        np.testing.assert_array_equal(again[1], seconds)
        np.testing.assert_array_equal(again[2], steps)
        torch.testing.assert_close(again[3], features, rtol=0, atol=0)


def test_what_is_stored_is_not_computed_again(video, runtime, tmp_path):
    first = FeatureStore(tmp_path / "store").get(video, runtime, 5.0)
    assert runtime.num_images == 6
    copied = Path(shutil.copy(video, tmp_path / "another name.mkv"))
    for path in (video, copied):
        again = FeatureStore(tmp_path / "store").get(path, runtime, 5.0)
        np.testing.assert_array_equal(again.features, first.features)
        assert again.video_sha256 == first.video_sha256
    assert runtime.num_images == 6
    assert isinstance(again.features, np.memmap)


def test_other_content_and_other_sampling_are_other_entries(video, runtime, tmp_path):
    store = FeatureStore(tmp_path / "store")
    path = Path(shutil.copy(video, tmp_path / "clip.mp4"))
    store.get(path, runtime, 5.0)
    store.get(path, runtime, 2.5)
    assert runtime.num_images == 6 + 4
    write_spelled(path, 12)
    assert len(store.get(path, runtime, 5.0).seconds) == 12
    assert runtime.num_images == 6 + 4 + 4
    store.get(path, runtime, None)
    assert runtime.num_images == 6 + 4 + 4 + 12
    assert len(list((tmp_path / "store").glob("*/*/features.npy"))) == 4


def test_another_backbone_is_another_entry(video, runtime, tmp_path):
    store = FeatureStore(tmp_path)
    store.get(video, runtime, 5.0)
    other = WatchedRuntime(runtime)
    other.identity = runtime.identity.model_copy(update={"weights_sha256": "0" * 64})
    store.get(video, other, 5.0)
    assert other.num_images == 6


def test_an_interrupted_computation_leaves_nothing_and_is_done_again(video, backbone_runtime, tmp_path):
    store = FeatureStore(tmp_path)
    with pytest.raises(RuntimeError, match="device lost"):
        store.get(video, WatchedRuntime(backbone_runtime, fail_after=10), None)
    assert files_below(tmp_path) == []
    assert list(tmp_path.glob("*/*")) == list(tmp_path.glob("*/.*")) == []
    runtime = WatchedRuntime(backbone_runtime)
    assert len(store.get(video, runtime, None).features) == 22
    assert runtime.num_images == 22


def test_a_video_that_does_not_decode_leaves_nothing(damaged, runtime, tmp_path):
    with pytest.raises(VideoError, match="got none that decode"):
        FeatureStore(tmp_path).get(damaged, runtime, None)
    assert files_below(tmp_path) == []


def test_a_missing_video_is_said_so(runtime, tmp_path):
    with pytest.raises(VideoError, match=r"gone\.mp4: expected a video file, found nothing there") as caught:
        FeatureStore(tmp_path).get(tmp_path / "gone.mp4", runtime, None)
    assert caught.value.code == "not_found"


def test_what_reading_brought_to_light_is_kept(cut_off, runtime, tmp_path):
    store = FeatureStore(tmp_path)
    first, again = (store.get(cut_off, runtime, 5.0) for _ in range(2))
    assert [notice.code for notice in first.notices] == ["truncated"]
    assert first.notices == again.notices
    assert first.duration_seconds == again.duration_seconds


def test_notices_name_the_video_that_was_asked_for(cut_off, runtime, tmp_path):
    store = FeatureStore(tmp_path / "store")
    store.get(cut_off, runtime, 5.0)
    copied = Path(shutil.copy(cut_off, tmp_path / "copied.avi"))
    (notice,) = store.get(copied, runtime, 5.0).notices
    assert "copied.avi" in notice.message
    assert str(cut_off) not in notice.message


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("features.npy", Path.unlink),
        ("features.npy", lambda file: os.truncate(file, 1000)),
        ("seconds.npy", lambda file: os.truncate(file, 0)),
        ("entry.json", lambda file: os.truncate(file, 0)),
    ],
    ids=["lost", "cut off", "emptied", "not described"],
)
def test_an_entry_that_was_damaged_is_computed_again(name, damage, video, runtime, tmp_path):
    store = FeatureStore(tmp_path)
    before = np.array(store.get(video, runtime, 5.0).features)
    (file,) = tmp_path.rglob(name)
    damage(file)
    np.testing.assert_array_equal(store.get(video, runtime, 5.0).features, before)


def test_a_store_that_cannot_be_written_is_named(video, runtime, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match="could not be written; Not a directory") as caught:
        FeatureStore(tmp_path / "file").get(video, runtime, 5.0)
    assert str(tmp_path / "file") in str(caught.value)
    assert runtime.num_images == 0


# export


@pytest.mark.parametrize("sample_hz", [None, 5.0])
def test_export_writes_features_and_their_frames_and_times(sample_hz, video, runtime, tmp_path):
    stored = FeatureStore(tmp_path / "store").get(video, runtime, sample_hz)
    stored.export(tmp_path / "out" / "clip.mp4")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "clip.mp4.features.csv",
        "clip.mp4.features.npy",
    ]
    features = np.load(tmp_path / "out" / "clip.mp4.features.npy", allow_pickle=False)
    with (tmp_path / "out" / "clip.mp4.features.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["row", "frame", "time_s"]
    assert [int(row["row"]) for row in rows] == list(range(len(features)))
    frames = [int(row["frame"]) for row in rows]
    assert frames == np.flatnonzero(stored.steps).tolist()
    assert [row["time_s"] for row in rows] == [f"{stored.seconds[frame]:.6f}" for frame in frames]
    images = [frame.image for frame in read_frames(video)]
    resize = runtime.identity.preprocessing.resize
    for row, frame in list(enumerate(frames))[::4]:
        alone = runtime(resize(images[frame])[None])[0]
        np.testing.assert_allclose(features[row, :-MOTION_SIZE], alone, atol=1e-4)

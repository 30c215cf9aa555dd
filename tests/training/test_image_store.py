"""Images kept on disk are those that the CNN is given, by their numbers, and what it makes of them is the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.support.small_backbone import SAMPLE_HZ, make_clips, on_one_thread, small_images, store_images
from videoseq.config.schema import BackboneSettings
from videoseq.errors import ModelError, OutputError
from videoseq.features.backbones import load_backbone
from videoseq.training.image_store import ImageStore, rows_of
from videoseq.video.reader import VideoReader, read_frames


@pytest.fixture(scope="module")
def backbone():
    with small_images():
        yield load_backbone(BackboneSettings())


@pytest.fixture(scope="module")
def clips(backbone, tmp_path_factory):
    return make_clips(tmp_path_factory.mktemp("clips"), backbone)


@pytest.fixture
def images(backbone, clips, tmp_path):
    with ImageStore(tmp_path / "new" / "folder", backbone.identity.preprocessing) as store:
        store_images(store, clips)
        yield store


def test_images_are_the_resized_frames_in_order(backbone, clips, images):
    resize = backbone.identity.preprocessing.resize
    expected = torch.stack([resize(frame.image) for clip in clips for frame in read_frames(clip.entry.video)])
    assert images.num_images == len(expected) == 24
    order = torch.from_numpy(np.random.default_rng(0).permutation(24))
    assert torch.equal(images.read(order + 1), expected[order])


def test_numbers_name_the_clip(clips, images):
    numbers = [torch.from_numpy(images.numbered(clip).features.features[:, 0]).long() for clip in clips]
    assert torch.equal(torch.cat(numbers), torch.arange(1, 25))
    for index, of_clip in enumerate(numbers):
        assert set(images.clip_indices(of_clip)) == {index}


def test_features_of_images_are_those_of_the_video(backbone, clips, images):
    for clip in clips:
        seen = images.seen_by(on_one_thread(backbone), clip)
        assert np.array_equal(seen.features.features, clip.features.features)
        assert seen.features.steps is clip.features.steps


def test_what_a_network_makes_of_images_is_kept(images):
    kept = images.passed_through(lambda images: images.float().mean(dim=(2, 3)))
    numbers = torch.tensor([24, 1, 7])
    assert torch.equal(rows_of(kept, numbers), images.read(numbers).float().mean(dim=(2, 3)))


def test_a_video_with_other_frames_than_its_features_is_refused(backbone, clips, tmp_path):
    expected = r"expected 8 sampled frames of .*clip0\.mp4, got 4; name another cache folder"
    with (
        ImageStore(tmp_path, backbone.identity.preprocessing) as store,
        VideoReader(clips[0].entry.video) as reader,
        pytest.raises(ModelError, match=expected),
    ):
        store.add(clips[0], reader, SAMPLE_HZ / 2)


def test_a_folder_that_cannot_be_written_is_one_line(backbone, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        OutputError,
        match=r"images of the clips could not be written; .*; make room there, or name another cache folder",
    ):
        ImageStore(tmp_path / "file", backbone.identity.preprocessing)


def test_nothing_is_left_in_the_folder(backbone, clips, tmp_path):
    with ImageStore(tmp_path, backbone.identity.preprocessing) as store:
        store_images(store, clips[:1])
        store.seen_by(on_one_thread(backbone), clips[0])
    assert list(tmp_path.iterdir()) == []

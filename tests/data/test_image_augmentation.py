"""Images are changed as they should be, all of a clip in the same way, and only where it was asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from videoseq.data.image_augmentation import ImageAugmentation, ImageChange


def plain_images(*levels: int) -> torch.Tensor:
    """Evenly colored images of 4 × 4."""
    return torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4).contiguous()


def test_mirrored_left_to_right():
    images = torch.arange(2 * 3 * 2 * 3, dtype=torch.uint8).view(2, 3, 2, 3)
    assert torch.equal(ImageChange(is_mirrored=True)(images), torch.from_numpy(images.numpy()[..., ::-1].copy()))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"brightness": 1.5}, (0, 150, 255)),
        ({"contrast": 0.0}, (128, 128, 128)),
        ({"contrast": 2.0}, (0, 72, 255)),
        ({"saturation": 3.0}, (0, 100, 200)),  # gray has no color to be changed
        ({"contrast": 0.5, "brightness": 2.0}, (128, 228, 255)),  # 2 · (127.5 + (x − 127.5) / 2)
    ],
    ids=str,
)
def test_light_by_hand(change, expected):
    assert torch.equal(ImageChange(**change)(plain_images(0, 100, 200)), plain_images(*expected))


def test_without_saturation_a_color_is_its_gray():
    red = torch.tensor([200, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1)
    assert ImageChange(saturation=0.0)(red).flatten().tolist() == [60, 60, 60]  # 0.299 · 200


def test_a_window_is_stretched_over_the_whole_image():
    image = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    image[..., 4:, :4] = 90
    assert torch.equal(ImageChange(window=(0.5, 0.0, 0.5, 0.5))(image), torch.full_like(image, 90))


@given(st.booleans(), st.floats(0, 0.99), st.floats(0, 0.99), st.integers(0, 1 << 16))
def test_what_is_drawn_lies_within_what_was_asked_for(flip, jitter, crop, seed):
    change = ImageAugmentation(flip, jitter, crop).draw(np.random.default_rng(seed))
    assert flip or not change.is_mirrored
    for factor in (change.brightness, change.contrast, change.saturation):
        assert 1 - jitter <= factor <= 1 + jitter
    top, left, height, width = change.window
    assert min(height, width) >= 1 - crop - 1e-9
    assert min(top, left) >= 0
    assert max(top + height, left + width) <= 1 + 1e-9
    images = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (2, 3, 7, 5), dtype=np.uint8))
    before = images.clone()
    changed = change(images)
    assert (changed.shape, changed.dtype) == (images.shape, torch.uint8)
    assert torch.equal(images, before)


def test_every_second_clip_is_mirrored():
    draws = [ImageAugmentation(flip=True).draw(np.random.default_rng(seed)).is_mirrored for seed in range(400)]
    assert 160 < sum(draws) < 240


def test_nothing_asked_for_is_nothing_changed():
    images = plain_images(3, 200)
    assert ImageAugmentation().draw(np.random.default_rng(0))(images) is images

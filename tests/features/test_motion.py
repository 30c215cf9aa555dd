"""Motion says what moves, where and how fast, looks at the past only, and is the same however a video is read."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videoseq.features.motion import MOTION_SIZE, MotionTracker

SHARE, LEFT, MIDDLE, RIGHT, TOP, CENTER, BOTTOM, ASPECT = range(8)
SPEED, FASTEST, TO_RIGHT, DOWN = range(4)


def image(x: float | None = None, y: float = 112.0, size: tuple[int, int] = (50, 50), shade: int = 210) -> torch.Tensor:
    """A textured wall, with a rectangle whose center lies at (x, y) of 224 × 224 pixels."""
    wall = np.random.default_rng(0).integers(90, 110, (224, 224, 3), dtype=np.uint8)
    if x is not None:
        left, top = round(x - size[0] / 2), round(y - size[1] / 2)
        texture = np.random.default_rng(1).integers(0, 40, (size[1], size[0], 3), dtype=np.uint8)
        wall[top : top + size[1], left : left + size[0]] = shade + texture[: 224 - top, : 224 - left]
    return torch.from_numpy(cv2.blur(wall, (3, 3))).permute(2, 0, 1)


def track(images: list[torch.Tensor], rate: float = 10.0) -> torch.Tensor:
    tracker = MotionTracker()
    return torch.stack([tracker.step(one, number / rate) for number, one in enumerate(images)])


def band(numbers: torch.Tensor, which: int) -> torch.Tensor:
    return numbers[8 + 4 * which : 12 + 4 * which]


def test_where_nothing_moves_there_is_no_motion():
    numbers = track([image(100)] * 5)
    expected = torch.tensor([0.0, *[0.5] * 6, 0.0, *[0.0] * 12])
    torch.testing.assert_close(numbers, expected.expand(5, MOTION_SIZE), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("x", "y", "size"), [(60, 60, (40, 90)), (160, 150, (90, 40)), (112, 112, (50, 50))])
def test_the_silhouette_is_what_differs_from_the_background(x, y, size):
    numbers = track([*[image()] * 5, image(x, y, size)])[-1]
    width, height = size
    assert numbers[SHARE] == pytest.approx(np.sqrt(width * height) / 224, abs=0.02)
    assert [numbers[MIDDLE], numbers[CENTER]] == pytest.approx([x / 224, y / 224], abs=0.02)
    assert numbers[RIGHT] - numbers[LEFT] == pytest.approx(0.9 * width / 224, abs=0.03)
    assert numbers[BOTTOM] - numbers[TOP] == pytest.approx(0.9 * height / 224, abs=0.03)
    assert numbers[ASPECT] == pytest.approx(np.log(height / width), abs=0.15)


@pytest.mark.parametrize(
    ("step", "number", "sign"), [((6, 0), TO_RIGHT, 1), ((-6, 0), TO_RIGHT, -1), ((0, 6), DOWN, 1), ((0, -6), DOWN, -1)]
)
def test_velocities_have_their_direction(step, number, sign):
    numbers = track([image(112 + k * step[0], 112 + k * step[1], (70, 70)) for k in range(4)])[-1]
    velocity = band(numbers, 1)
    assert sign * velocity[number] > 0.05
    assert abs(velocity[TO_RIGHT + DOWN - number]) < abs(velocity[number]) / 2


@pytest.mark.parametrize("which", [0, 1, 2])
def test_speed_is_that_of_the_band_in_which_something_moves(which):
    numbers = track([image(80 + 5 * k, 37 + 75 * which, (50, 40)) for k in range(4)])[-1]
    speeds = [float(band(numbers, one)[SPEED]) for one in range(3)]
    assert np.argmax(speeds) == which
    assert float(band(numbers, which)[FASTEST]) >= speeds[which] > 0.05


def test_speed_is_per_second_and_not_per_step():
    """The same movement in seconds, seen ten and five times a second, has about the same speed."""
    fast = track([image(60 + 3 * k, size=(70, 70)) for k in range(9)])[-1]
    slow = track([image(60 + 6 * k, size=(70, 70)) for k in range(5)], rate=5.0)[-1]
    assert float(band(slow, 1)[SPEED]) == pytest.approx(float(band(fast, 1)[SPEED]), rel=0.35)


def test_what_stays_becomes_background():
    numbers = track([*[image()] * 20, *[image(112)] * 400])
    assert numbers[20, SHARE] > 0.15
    assert numbers[-1, SHARE] == 0.0


def test_a_camera_that_pans_gives_numbers_that_are_bounded():
    wide = np.random.default_rng(0).integers(0, 255, (224, 1200, 3), dtype=np.uint8)
    wide = cv2.blur(wide, (9, 9))
    images = [torch.from_numpy(wide[:, 20 * k : 20 * k + 224].copy()).permute(2, 0, 1) for k in range(40)]
    numbers = track(images)
    assert torch.isfinite(numbers).all()
    assert numbers.abs().max() < 10.0


SHAPES = st.lists(st.tuples(st.integers(40, 180), st.integers(40, 180)), min_size=1, max_size=12)


@settings(max_examples=15)
@given(SHAPES, st.integers(0, 12))
def test_a_tracker_goes_on_from_its_state_with_the_same_bytes(places, cut):
    images = [image(x, y) for x, y in places]
    whole = track(images)
    first, second = MotionTracker(), MotionTracker()
    numbers = [first.step(one, k / 10) for k, one in enumerate(images[:cut])]
    second.load_state_dict(first.state_dict())
    numbers += [second.step(one, (len(numbers) + k) / 10) for k, one in enumerate(images[cut:])]
    assert torch.equal(torch.stack(numbers), whole)


@settings(max_examples=15)
@given(SHAPES, st.integers(0, 11))
def test_a_step_depends_on_no_later_image(places, changed):
    images = [image(x, y) for x, y in places]
    others = [image(30, 30, shade=20) if k > changed else one for k, one in enumerate(images)]
    assert torch.equal(track(images)[: changed + 1], track(others)[: changed + 1])


def test_the_bytes_do_not_depend_on_the_number_of_threads():
    images, before = [image(60 + 9 * k, 60 + 7 * k) for k in range(10)], cv2.getNumThreads()
    try:
        found = []
        for num_threads in (1, 2, 5):
            cv2.setNumThreads(num_threads)
            found.append(track(images))
    finally:
        cv2.setNumThreads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])

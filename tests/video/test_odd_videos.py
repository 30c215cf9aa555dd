"""The odd videos are what they are said to be, by the word of an independent decoder."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.index_videos import read_spelled
from tests.support.odd_videos import CASES, ROTATED_DEGREES


def decode(path: Path, turns: int) -> tuple[list[int], list[float | None]]:
    """What the frames of the first video stream spell after ``turns`` quarters clockwise, and their times."""
    try:
        container = av.open(str(path))
    except av.FFmpegError:
        return [], []
    spelled, seconds = [], []
    with container:
        for frame in container.decode(video=0) if container.streams.video else ():
            spelled.append(read_spelled(np.rot90(frame.to_ndarray(format="rgb24"), -turns)))
            seconds.append(frame.time)
            assert frame.rotation % 360 == -90 * turns % 360
    return spelled, seconds


@pytest.mark.parametrize("name", CASES)
def test_an_independent_decoder_reads_what_is_promised(tmp_path, name):
    odd = CASES[name](tmp_path)
    assert odd.path.is_file()
    if odd.spelled is None:
        assert odd.seconds is None
        return
    spelled, seconds = decode(odd.path, ROTATED_DEGREES.get(name, 0) // 90)
    assert tuple(spelled) == odd.spelled
    if odd.seconds is not None:
        assert len(odd.seconds) == len(odd.spelled)
        np.testing.assert_allclose([s - seconds[0] for s in seconds], odd.seconds, atol=1e-6)

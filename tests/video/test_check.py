"""What a video claims, what it holds, and how far they differ."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.index_videos import write_timed
from tests.support.odd_videos import CASES
from videoseq.video.check import VideoCheck, check_video
from videoseq.video.isolation import DecoderProcess


@pytest.fixture(scope="module")
def decoder():
    with DecoderProcess() as process:
        yield process


def test_a_variable_rate_is_measured(decoder, tmp_path):
    times = [0, 40, 80, 120, 500, 540, 1200, 1240]
    found = check_video(write_timed(tmp_path / "clip.mkv", times), decoder)
    assert found.fps_measured == pytest.approx(7 / 1.24)
    assert found.is_constant_rate is False
    drift = np.arange(8) / found.info.fps_from_header - np.array(times) / 1000
    np.testing.assert_allclose(found.drift_seconds, drift, atol=1e-9)
    assert found.num_lost == 0
    assert found.packets.num_packets == 8


@pytest.mark.parametrize(
    "name", ["mp4", "mkv", "webm_vp9", "ts", "avi_mjpeg", "rate_ntsc", "rate_1", "rate_1000", "gif"]
)
def test_a_constant_rate_is_seen_as_one(name, decoder, tmp_path):
    found = check_video(CASES[name](tmp_path).path, decoder)
    assert found.is_constant_rate
    assert found.fps_measured == pytest.approx(found.info.fps_from_header, rel=2e-3)
    assert abs(found.drift_seconds[-1]) < 0.002


def test_a_single_frame_has_no_rate(decoder, tmp_path):
    found = check_video(CASES["one_frame"](tmp_path).path, decoder)
    assert (found.fps_measured, found.is_constant_rate, found.state) == (None, None, "complete")


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("damaged", "truncated", "gap"))])
def test_what_is_lost_is_what_packets_and_frames_differ_by(name, decoder, tmp_path):
    found = check_video(CASES[name](tmp_path).path, decoder)
    if found.state == "failed":
        assert found.num_lost is None
        return
    assert found.state == "degraded"
    if found.packets is not None:
        assert found.num_lost == max(0, found.packets.num_packets - found.report.num_frames)


def test_without_pyav_failed_reads_are_counted(decoder, tmp_path):
    found = check_video(CASES["damaged_mp4"](tmp_path).path, decoder)
    alone = VideoCheck(found.path, found.info, found.report, None, found.seconds)
    assert found.num_lost == alone.num_lost == 5

"""A decoder that crashes, hangs or bloats costs one file, and what comes out of it is what this process would read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.index_videos import read_spelled, spell, write_spelled, write_timed, write_video
from tests.support.odd_videos import CASES, bomb, lying_bomb
from videoseq.errors import VideoError
from videoseq.video import isolation
from videoseq.video.frames import FrameReader
from videoseq.video.isolation import DecoderProcess, Limits
from videoseq.video.reader import VideoReader


@pytest.fixture(scope="module")
def decoder():
    """For all tests here; those that end its process leave the next one a new one."""
    with DecoderProcess() as process:
        yield process


def spelled(reader: FrameReader, sample_hz: float | None = None) -> list[int]:
    return [read_spelled(frame.image) for frame in reader.sampled(sample_hz) if frame.image is not None]


def number_of(decoder: DecoderProcess) -> int:
    assert decoder._process is not None
    return decoder._process.pid


def kept(reader: FrameReader, sample_hz: float | None) -> list[tuple]:
    """Stamps, steps and copies of the images."""
    return [(f.stamp, f.steps, None if f.image is None else f.image.copy()) for f in reader.sampled(sample_hz)]


def read_and_signal(decoder: DecoderProcess, video: Path, number: int) -> None:
    """Reads a video, and in its middle sends its decoder a signal."""
    with decoder.open(video) as reader:
        for frame in reader.sampled(None):
            if frame.stamp.index == 5:
                os.kill(number_of(decoder), number)


@pytest.mark.parametrize("sample_hz", [None, 7.0, 0.1, 100.0])
def test_images_and_steps_are_those_of_this_process(decoder, tmp_path, sample_hz):
    video = CASES["variable_mp4"](tmp_path).path
    with VideoReader(video) as reader:
        here = kept(reader, sample_hz)
        report = reader.report()
    with decoder.open(video) as isolated:
        there = [
            (f.stamp, f.steps, f.image if f.image is None else f.image.copy()) for f in isolated.sampled(sample_hz)
        ]
        assert isolated.report() == report
        assert isolated.info == reader.info
        assert isolated.fraction_read == 1.0
    assert [(stamp, steps) for stamp, steps, _ in here] == [(stamp, steps) for stamp, steps, _ in there]
    for (_, steps, own), (_, _, other) in zip(here, there, strict=True):
        assert (own is None) == (other is None) == (steps == 0)
        np.testing.assert_array_equal(own, other)


def test_an_image_stays_until_the_next_frame_is_taken(decoder, tmp_path):
    """The decoder is many images ahead by then; it must not write into the one that is being looked at."""
    video = write_spelled(tmp_path / "clip.avi", 80, fourcc="MJPG")
    with decoder.open(video) as reader:
        for index, frame in enumerate(reader.sampled(None)):
            if index % 20 == 3:
                time.sleep(0.2)
            assert read_spelled(frame.image) == index


def test_one_process_reads_many_videos_of_any_size(decoder, tmp_path):
    sizes = [(128, 96), (640, 360), (16, 16), (256, 192)]
    for number, (width, height) in enumerate(sizes):
        images = (spell(k, width, height) for k in range(25))
        video = write_video(tmp_path / f"{number}.avi", images, fourcc="MJPG")
        with decoder.open(video) as reader:
            assert spelled(reader) == list(range(25))
        process = number_of(decoder)
    assert number_of(decoder) == process


def test_a_crash_costs_one_file(decoder, tmp_path):
    video = write_spelled(tmp_path / "clip.avi", 300, fourcc="MJPG")
    with pytest.raises(VideoError, match=r"clip\.avi: the decoder was killed by SIGSEGV$") as caught:
        read_and_signal(decoder, video, signal.SIGSEGV)
    assert caught.value.code == "decoder_crashed"
    with decoder.open(video) as reader:
        assert len(spelled(reader)) == 300


def test_a_crash_while_opening_is_a_crash_too(tmp_path):
    video = write_spelled(tmp_path / "clip.avi", 3, fourcc="MJPG")
    with DecoderProcess() as decoder:
        decoder.open(video).close()
        decoder._prepare(video)
        os.kill(number_of(decoder), signal.SIGKILL)
        with pytest.raises(VideoError) as caught:
            decoder.open(video)
        assert caught.value.code == "decoder_crashed"
        with decoder.open(video) as reader:
            assert spelled(reader) == [0, 1, 2]


def test_a_decoder_that_hangs_is_given_up(tmp_path):
    video = write_spelled(tmp_path / "clip.avi", 300, fourcc="MJPG")
    with DecoderProcess(Limits(frame_seconds=2.0)) as decoder:
        start = time.monotonic()
        with pytest.raises(VideoError, match="did not answer in time") as caught:
            read_and_signal(decoder, video, signal.SIGSTOP)
        assert caught.value.code == "timeout"
        assert time.monotonic() - start < 30  # far from for ever
        with decoder.open(video) as reader:
            assert len(spelled(reader)) == 300


def test_a_video_has_a_limit_of_its_own(tmp_path):
    """Many short waits add up."""
    video = write_spelled(tmp_path / "clip.avi", 200, fourcc="MJPG")
    with DecoderProcess(Limits(video_seconds=1e-4)) as decoder:
        with pytest.raises(
            VideoError, match=r"clip\.avi: took longer than the 0\.0001 s that a video may take"
        ) as caught:
            read_and_signal(decoder, video, 0)
        assert caught.value.code == "timeout"


def test_what_is_done_with_frames_counts_against_the_limit_of_a_video(tmp_path):
    video = write_spelled(tmp_path / "clip.avi", 200, fourcc="MJPG")

    def read_slowly(decoder: DecoderProcess) -> None:
        with decoder.open(video) as reader:
            for _ in reader.sampled(None):
                time.sleep(0.02)

    with DecoderProcess(Limits(video_seconds=0.5)) as decoder:
        with pytest.raises(VideoError, match=r"took longer than the 0\.5 s"):
            read_slowly(decoder)
        decoder.limits = Limits()
        with decoder.open(video) as reader:  # a fresh process, which knows nothing of the one before
            assert len(spelled(reader)) == 200


def test_a_header_is_read_without_a_frame(tmp_path):
    video = write_spelled(tmp_path / "clip.avi", 200, fourcc="MJPG")
    (tmp_path / "text.mp4").write_text("no video " * 99)
    with DecoderProcess() as decoder:
        first = decoder.pids
        with pytest.raises(VideoError) as caught:
            decoder.read_info(tmp_path / "text.mp4")
        assert caught.value.code == "not_video"
        assert decoder.read_info(video).num_frames_from_header == 200
        with decoder.open(video) as reader:
            assert reader.info == VideoReader(video).info
            assert len(spelled(reader)) == 200
        assert decoder.pids == first


def test_frames_that_need_too_much_are_refused_before_the_decoder_sees_them(decoder, tmp_path):
    with pytest.raises(VideoError, match="8192x8192") as caught:
        decoder.open(bomb(tmp_path).path)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_header_that_lies_about_the_size_meets_the_cap_on_memory(suffix, tmp_path):
    if sys.platform != "linux":
        pytest.skip("only Linux keeps count of a process's memory")
    path = lying_bomb(tmp_path, suffix).path
    with DecoderProcess(Limits(memory_bytes=150_000_000, max_pixels=10**9)) as decoder:
        with pytest.raises(VideoError) as caught, decoder.open(path) as reader:
            spelled(reader)
        assert caught.value.code in ("too_large", "no_frames", "unsupported", "decoder_crashed")
        video = write_spelled(tmp_path / "clip.avi", 3, fourcc="MJPG")
        with decoder.open(video) as reader:
            assert spelled(reader) == [0, 1, 2]
    with DecoderProcess() as decoder, pytest.raises(VideoError, match="8192x8192") as caught:
        decoder.open(path)
    assert caught.value.code == "too_large"


def test_a_reader_left_in_the_middle_does_not_disturb_the_next(decoder, tmp_path):
    video = write_spelled(tmp_path / "clip.avi", 300, fourcc="MJPG")
    with decoder.open(video) as reader:
        next(reader.sampled(None))
    with pytest.raises(RuntimeError, match="after the last frame"):
        reader.report()
    decoder.open(video).close()
    with decoder.open(video) as reader:
        assert len(spelled(reader)) == 300


def test_a_reader_that_was_forgotten_is_closed_by_the_next(decoder, tmp_path):
    video = write_spelled(tmp_path / "clip.avi", 300, fourcc="MJPG")
    forgotten = decoder.open(video)
    next(forgotten.sampled(None))
    with decoder.open(video) as reader:
        frames = reader.sampled(None)
        next(frames)
        forgotten.close()  # late, and no concern of the other
        assert len(list(frames)) == 299
    assert decoder.read_packets(video).num_packets == 300


def test_the_process_is_renewed_now_and_then(decoder, tmp_path, monkeypatch):
    monkeypatch.setattr(isolation, "_VIDEOS_PER_PROCESS", 2)
    video = write_spelled(tmp_path / "clip.avi", 3, fourcc="MJPG")
    decoder.stop()
    processes = []
    for _ in range(4):
        with decoder.open(video) as reader:
            assert spelled(reader) == [0, 1, 2]
        processes.append(number_of(decoder))
    assert processes[0] == processes[1] != processes[2] == processes[3]


def test_nothing_is_left_behind(tmp_path):
    video = write_timed(tmp_path / "clip.mp4", [40 * i for i in range(5)])
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for _ in range(3):
        with DecoderProcess() as decoder:
            with decoder.open(video) as reader:
                spelled(reader)
            process = number_of(decoder)
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == before


ORPHAN = """
import os, signal, sys
from pathlib import Path
from videoseq.video.isolation import DecoderProcess
decoder = DecoderProcess()
reader = decoder.open(Path(sys.argv[1]))
next(iter(reader.sampled(None)))
print(decoder._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_process_ends_when_its_parent_is_killed(tmp_path):
    video = write_spelled(tmp_path / "clip.avi", 300, fourcc="MJPG")
    done = subprocess.run([sys.executable, "-c", ORPHAN, video], capture_output=True, text=True, check=False)
    process = int(done.stdout)
    for _ in range(200):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{process}/stat").exists() and ") Z " in Path(f"/proc/{process}/stat").read_text():
            return  # dead, and waiting for an init that collects it
        time.sleep(0.05)
    pytest.fail(f"process {process} still runs")


def test_nothing_is_imported_from_the_folder_one_stands_in(tmp_path):
    """The current folder may be the recordings' own."""
    video = write_spelled(tmp_path / "clip.avi", 3, fourcc="MJPG")
    for name in ("cv2", "numpy", "json", "videoseq"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    code = (
        "import sys; sys.path = [p for p in sys.path if p]\n"
        "from pathlib import Path; from videoseq.video.isolation import DecoderProcess\n"
        "with DecoderProcess() as decoder, decoder.open(Path('clip.avi')) as reader:\n"
        "    print(len(list(reader.sampled(None))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3"
    assert not (tmp_path / "ran").exists()
    assert video.exists()


def test_packets_are_counted_in_the_other_process(decoder, tmp_path):
    packets = decoder.read_packets(CASES["two_videos_mkv"](tmp_path).path)
    assert packets.num_packets == 30
    assert [line.split()[:3] for line in packets.streams] == [["0", "video", "h264"], ["1", "video", "h264"]]
    assert decoder.read_packets(CASES["edit_list_mp4"](tmp_path).path).num_packets == 25
    assert decoder.read_packets(CASES["late_start_mkv"](tmp_path).path).start_seconds == pytest.approx(10.0)
    with pytest.raises(VideoError) as caught:
        decoder.read_packets(CASES["text"](tmp_path).path)
    assert caught.value.code == "unsupported"


def test_an_image_that_is_kept_does_no_harm(decoder, tmp_path):
    """It shows whatever came later; touching it must not end this process."""
    large = write_video(tmp_path / "large.avi", [spell(k, 1280, 720) for k in range(3)], fourcc="MJPG")
    small = write_video(tmp_path / "small.avi", [spell(k, 64, 48) for k in range(3)], fourcc="MJPG")
    with decoder.open(large) as reader:
        kept_images = [frame.image for frame in reader.sampled(None)]
    with decoder.open(small) as reader:
        assert spelled(reader) == [0, 1, 2]
    assert all(image.mean() >= 0 for image in kept_images)

"""Frame k is the k-th decodable frame, upright, at the container's own time; every file has its right state."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.support import odd_videos
from tests.support.index_videos import read_spelled, spell, write_spelled, write_timed, write_video
from tests.support.odd_videos import CASES, ROTATED_DEGREES
from tests.support.outcomes import outcomes
from videoseq.errors import VideoError
from videoseq.video import pyav_capture as av_capture
from videoseq.video.info import ReadReport, VideoInfo
from videoseq.video.isolation import DecoderProcess
from videoseq.video.reader import VideoReader, content_sha256, probe, read_frames
from videoseq.video.safe_file import FileWatch


@pytest.fixture(scope="module")
def decoder():
    with DecoderProcess() as process:
        yield process


def read_whole(decoder: DecoderProcess, path: Path) -> tuple[list[tuple], ReadReport, VideoInfo]:
    """Index, time, flags and spelling of every frame."""
    with decoder.open(path) as reader:
        frames = [
            (f.stamp.index, f.stamp.seconds, f.stamp.flags.text, read_spelled(f.image)) for f in reader.sampled(None)
        ]
        return frames, reader.report(), reader.info


@pytest.mark.parametrize("name", CASES)
def test_every_odd_file_has_its_frames_times_state_and_code(name, decoder, tmp_path):
    odd = CASES[name](tmp_path)
    state, codes = outcomes()[name]
    if state == "failed":
        with pytest.raises(VideoError) as caught:
            read_whole(decoder, odd.path)
        assert caught.value.code == codes
        assert str(odd.path) in str(caught.value)
        assert "\n" not in str(caught.value)
        return
    frames, report, _ = read_whole(decoder, odd.path)
    index, seconds, flags, spelled = (list(column) for column in zip(*frames, strict=True))
    assert index == list(range(report.num_frames))
    assert np.all(np.diff(seconds) > 0)
    assert report.state == state
    assert ",".join(notice.code for notice in report.notices) == codes
    assert (report.coverage == 1.0) == (state == "complete")
    if odd.spelled is not None:
        # OpenCV 4.12 repeats the last picture after a change of size; those frames are marked.
        wrong = [k for k, (got, true) in enumerate(zip(spelled, odd.spelled, strict=True)) if got != true]
        assert wrong == [] or (av_capture.CAN_CONVERT_INTERLACED and all("suspect" in flags[k] for k in wrong))
    if odd.seconds is not None:
        own = [k for k, flag in enumerate(flags) if "time_estimated" not in flag]
        np.testing.assert_allclose([seconds[k] for k in own], [odd.seconds[k] for k in own], atol=1e-3)
    if odd.spelled is None:  # damaged: a frame that is not marked shows what it should at its time
        trusted = [k for k, flag in enumerate(flags) if not flag]
        slips = 1 if name == "damaged_mpg" else 0  # a program stream has a time for some pictures only
        assert all(abs(spelled[k] - round(25 * seconds[k])) <= slips for k in trusted)
        assert len(trusted) > 10
    assert {"time_estimated" in flag for flag in flags} == {False} or report.num_estimated_times > 0
    assert report.time_source == expected_source(odd.path, report)
    if state == "complete":  # as many packets as frames, says another library
        assert decoder.read_packets(odd.path).num_packets == report.num_frames


def expected_source(path: Path, report: ReadReport) -> str:
    if path.suffix in (".avi", ".h264"):
        return "frame_rate"
    return "container_repaired" if report.num_estimated_times else "container"


@pytest.mark.parametrize("name", [name for name, (state, _) in outcomes().items() if state == "complete"])
def test_in_this_process_and_in_another_a_good_file_reads_alike(name, decoder, tmp_path):
    path = CASES[name](tmp_path).path
    isolated, there, _ = read_whole(decoder, path)
    with VideoReader(path) as reader:
        frames = [(s.index, s.seconds, s.flags.text, read_spelled(reader.retrieve())) for s in reader]
        here = reader.report()
    assert frames == isolated
    assert here == there


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_made_upright_and_recorded(degrees, decoder, tmp_path):
    name = f"rotated_{degrees}"
    _, report, info = read_whole(decoder, CASES[name](tmp_path).path)
    assert report.rotation_degrees == info.rotation_degrees == ROTATED_DEGREES[name]
    assert (info.width, info.height) == (128, 96)


def test_two_streams_of_pictures_give_the_first(decoder, tmp_path):
    for name in ("two_videos_mkv", "two_videos_mp4"):
        frames, _, info = read_whole(decoder, CASES[name](tmp_path).path)
        assert (info.width, info.height) == (128, 96)
        assert frames[0][3] == 0


@pytest.mark.parametrize("name", ["late_start_mkv", "late_start_ts", "late_start_mp4"])
def test_a_late_start_is_kept(name, decoder, tmp_path):
    frames, report, _ = read_whole(decoder, CASES[name](tmp_path).path)
    assert frames[0][1] == 0.0
    assert report.start_offset_seconds == pytest.approx(10.0, abs=1e-6)


def test_spans_say_where(decoder, tmp_path):
    odd = CASES["damaged_mp4"](tmp_path)
    frames, report, _ = read_whole(decoder, odd.path)
    (span,) = report.spans
    suspect = [index for index, _, flags, _ in frames if "suspect" in flags]
    assert suspect == list(range(span.start_frame, span.stop_frame))
    assert span.num_failed_reads == 100 - report.num_frames
    missing = sorted(set(range(100)) - {spelled for *_, spelled in frames})
    assert span.start_seconds < missing[0] / 25 <= missing[-1] / 25 < span.stop_seconds
    assert report.coverage == pytest.approx(1 - (span.stop_seconds - span.start_seconds) / 4.0, abs=1e-3)


PARTS = [part / 24 for part in range(1, 24)]


@pytest.mark.parametrize("part", PARTS)
def test_a_file_cut_anywhere_gives_what_is_there_and_says_so(part, decoder, tmp_path):
    path = odd_videos.truncated(odd_videos.whole("mp4", tmp_path).path, part, tmp_path / "cut.mp4")
    frames, report, _ = read_whole(decoder, path)
    assert report.state == "degraded"
    assert report.notices[0].code == "truncated"
    assert all(index == spelled for index, _, flags, spelled in frames if not flags)
    assert 100 * part - 12 < report.num_frames < 100 * part + 12
    assert report.coverage < part + 0.12


@pytest.mark.parametrize("part", PARTS)
def test_without_its_index_a_file_says_what_is_missing(part, decoder, tmp_path):
    path = odd_videos.truncated(odd_videos.whole("mp4_moov_last", tmp_path).path, part, tmp_path / "cut.mp4")
    with pytest.raises(VideoError) as caught:
        decoder.open(path)
    assert caught.value.code == "moov_missing"


def test_colors_are_rgb(tmp_path):
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 230
    image = next(read_frames(write_video(tmp_path / "red.avi", [red], fourcc="MJPG"))).image
    assert image[..., 0].mean() > 200
    assert image[..., 2].mean() < 40


def test_a_single_frame_lasts_one_frame(tmp_path):
    with VideoReader(write_spelled(tmp_path / "one.avi", 1, fps=4.0, fourcc="MJPG")) as reader:
        assert len(list(reader)) == 1
        assert reader.report().duration_seconds == pytest.approx(0.25)


def test_a_picture_too_large_is_refused_before_it_is_decoded(tmp_path):
    big = write_video(tmp_path / "big.avi", [spell(0, 320, 240)], fourcc="MJPG")
    assert VideoReader(big, max_pixels=320 * 240).info.width == 320
    with pytest.raises(VideoError, match=r"expected frames of at most 76799 pixels, got 320x240") as caught:
        VideoReader(big, max_pixels=320 * 240 - 1)
    assert caught.value.code == "too_large"


def test_interlaced_video_without_pyav_is_refused_and_not_garbled(tmp_path, monkeypatch):
    odd = CASES["interlaced_ts"](tmp_path)
    if av_capture.CAN_CONVERT_INTERLACED:
        assert [read_spelled(frame.image) for frame in read_frames(odd.path)] == list(odd.spelled)
        return
    monkeypatch.setattr("videoseq.video.capture.is_available", lambda: False)
    monkeypatch.setattr("videoseq.video.pyav_capture.is_available", lambda: False)
    with pytest.raises(VideoError, match=r'interlaced, which OpenCV .* pip install "videoseq\[check\]"') as caught:
        VideoReader(odd.path)
    assert caught.value.code == "unsupported"


def test_what_is_no_file_is_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    codes = {
        "missing.mp4": "not_found",
        "pipe.mp4": "not_a_regular_file",
        ".": "not_a_regular_file",
        "/dev/zero": "not_a_regular_file",
        "http://127.0.0.1:1/x.mp4": "refused_url",
        "rtsp://camera/1": "refused_url",
        "file:///etc/passwd": "refused_url",
        "concat:a.mp4|b.mp4": "refused_url",
        "subfile,,start,0,end,9,,:a.mp4": "refused_url",
        "data:video/mp4;base64,AAAA": "refused_url",
        "pipe:0": "refused_url",
    }
    for name, code in codes.items():
        with pytest.raises(VideoError) as caught:
            list(read_frames(name))
        assert caught.value.code == code, name
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["a b.avi", "-v.avi", "%03d.avi", "a:b.avi", "http:x.avi", "new\nline.avi", "🎬é.avi", "e\u0301.avi"]
    + [b"\xff\xfe.avi", "n" * 251 + ".avi"],
)
def test_any_file_name_opens(tmp_path, name, decoder):
    plain = write_spelled(tmp_path / "plain.avi", 3, fourcc="MJPG")
    odd = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), os.fsencode(name))))
    plain.rename(odd)
    assert [read_spelled(frame.image) for frame in read_frames(odd)] == [0, 1, 2]
    assert [frame[3] for frame in read_whole(decoder, odd)[0]] == [0, 1, 2]


def test_hostile_files_open_no_socket_and_no_second_file(tmp_path, decoder):
    """Playlists of every kind, under their own name and disguised: no connection arrives, and no descriptor appears."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        before = set(os.listdir("/proc/self/fd")) if sys.platform == "linux" else set()
        for path in odd_videos.playlists(tmp_path, server.getsockname()[1]):
            for read in (lambda path: list(read_frames(path)), lambda path: read_whole(decoder, path)):
                with pytest.raises(VideoError) as caught:
                    read(path)
                assert caught.value.code in ("refused_playlist", "not_video"), path.name
        if sys.platform == "linux":
            assert len(set(os.listdir("/proc/self/fd")) - before) <= 1  # the decoder process's pipe
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_playlist_that_is_not_recognized_still_reaches_nothing(tmp_path, monkeypatch):
    """The lists of protocols and formats hold on their own, were our look at the first bytes to fail."""
    from videoseq.video.containers import Container

    monkeypatch.setattr("videoseq.video.safe_file.read_container", lambda file: Container("unknown"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        for path in odd_videos.playlists(tmp_path, server.getsockname()[1]):
            with pytest.raises(VideoError) as caught:
                list(read_frames(path))
            assert caught.value.code == "not_video", path.name
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_file_that_stops_giving_bytes_is_an_error_and_no_crash(tmp_path):
    video = write_spelled(tmp_path / "clip.avi", 200, fourcc="MJPG")
    with VideoReader(video) as reader:
        frames = iter(reader)
        next(frames)
        reader._source._file.close()  # as if the disk had gone
        with pytest.raises(VideoError, match="could not be read to its end") as caught:
            list(frames)
    assert caught.value.code == "io_error"


def test_opening_in_threads_leaves_the_environment_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "mine;1")
    video = write_spelled(tmp_path / "clip.avi", 3, fourcc="MJPG")
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(len(list(read_frames(video))))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [3] * 8
    assert os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == "mine;1"


def test_damage_is_reported_in_words_of_ours_alone(tmp_path):
    """FFmpeg's own complaints stay off stdout and stderr."""
    video = CASES["damaged_avi"](tmp_path).path
    code = "import sys, videoseq; print(sum(1 for _ in videoseq.read_frames(sys.argv[1])))"
    done = subprocess.run([sys.executable, "-c", code, video], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 10
    assert done.stderr == ""


FORKED = """
import os, sys, videoseq.video.reader as video
reader = video.VideoReader(sys.argv[1])
frames = iter(reader)
next(frames)
if (child := os.fork()) == 0:
    own = len(list(video.read_frames(sys.argv[1])))
    try:
        next(frames)
    except RuntimeError as error:
        os._exit(0 if own == 20 and "before a fork" in str(error) else 2)
    os._exit(3)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_after_a_fork_a_reader_is_refused_and_a_new_one_is_safe(tmp_path):
    video = write_timed(tmp_path / "clip.mp4", [40 * i for i in range(20)])
    done = subprocess.run([sys.executable, "-c", FORKED, video], timeout=60, check=False)
    assert done.returncode == 0


def test_pixels_do_not_depend_on_the_number_of_threads(tmp_path):
    """The decoder's threads are pinned; OpenCV's own number is the caller's."""
    paths = [CASES[name](tmp_path).path for name in ("b_frames_mp4", "damaged_mp4", "webm_vp9")]
    code = (
        "import sys, hashlib, cv2, videoseq; cv2.setNumThreads(int(sys.argv[1]));"
        "print([hashlib.sha256(b''.join(f.image.tobytes() for f in videoseq.read_frames(p))).hexdigest()"
        " for p in sys.argv[2:]])"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, threads, *paths],
            capture_output=True, text=True, check=True,
            env={**os.environ, "OPENCV_FFMPEG_THREADS": threads},
        ).stdout
        for threads in ("1", "3")
    }  # fmt: skip
    assert len(digests) == 1


@pytest.mark.slow
def test_opening_a_file_five_hundred_times_leaks_nothing(tmp_path):
    code = """
import os, resource, sys, videoseq
def size(): return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
for k in range(600):
    next(videoseq.read_frames(sys.argv[1]))
    if k == 100: start = size(), len(os.listdir("/proc/self/fd"))
print(size() - start[0], len(os.listdir("/proc/self/fd")) - start[1])
"""
    if sys.platform != "linux":
        pytest.skip("sizes are read from /proc")
    video = write_timed(tmp_path / "clip.mp4", [40 * i for i in range(4)])
    done = subprocess.run([sys.executable, "-c", code, video], capture_output=True, text=True, check=True)
    grown, descriptors = map(int, done.stdout.split())
    assert descriptors == 0
    assert grown < 10_000_000, f"{grown} bytes in 500 files"


def test_a_file_that_changes_is_said_to(tmp_path):
    path = write_spelled(tmp_path / "clip.avi", 3, fourcc="MJPG")
    for change in (
        lambda: path.write_bytes(path.read_bytes() + b"more"),
        lambda: os.utime(path, ns=(1, 1)),
        lambda: path.with_name("other").write_bytes(path.read_bytes()) and path.with_name("other").replace(path),
        path.unlink,
    ):
        watch = FileWatch(path)
        watch.check()
        change()
        with pytest.raises(VideoError, match=r"was changed while it was read") as caught:
            watch.check()
        assert caught.value.code == "changed_while_reading"


def test_a_frame_is_checked():
    """In a process of its own, where no test checker stands before the constructor."""
    code = "import numpy as np, videoseq; videoseq.Frame(0, 0.0, np.zeros((4, 4, 4), np.uint8))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "expected an RGB image of shape (height, width, 3) and dtype uint8, got (4, 4, 4) uint8" in done.stderr


def test_digest_is_of_the_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert content_sha256(tmp_path / "x").startswith("ba7816bf8f01cfea")
    with pytest.raises(VideoError, match="found nothing"):
        content_sha256(tmp_path / "y")


def test_real_clips_have_their_known_number_of_frames(data, decoder):
    counts = {"one-by-one-person-detection": 1394, "bottle-detection": 1189, "car-detection": 377}
    for name, count in counts.items():
        path = data / "intel" / "videos" / f"{name}.mp4"
        with decoder.open(path) as reader:
            stamps = [frame.stamp for frame in reader.sampled(0.001)]
            report = reader.report()
        assert (report.state, report.notices, report.time_source) == ("complete", (), "container")
        assert [stamp.index for stamp in stamps] == list(range(count))
        assert np.all(np.diff([stamp.seconds for stamp in stamps]) > 0)
        assert probe(path).num_frames_from_header == count


def test_a_file_that_may_not_be_read_is_said_so(tmp_path):
    """As root, who may read everything, another user runs the test."""
    video = write_spelled(tmp_path / "clip.avi", 3, fourcc="MJPG")
    video.chmod(0)
    code = (
        "import os, sys; from videoseq.errors import VideoError; from videoseq.video.reader import VideoReader\n"
        "os.geteuid() or os.seteuid(65534)\n"
        "try: VideoReader(sys.argv[1])\n"
        "except VideoError as error: print(error.code, error)"
    )
    done = subprocess.run([sys.executable, "-c", code, video], capture_output=True, text=True, check=True)
    assert done.stdout == f"permission {video}: may not be read; check its permissions\n"

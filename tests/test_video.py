"""Frame k is the k-th decodable frame, upright, with its own time from the container."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from tests.spelling import read_spelled, spell, write_spelled, write_timed, write_video
from videoseq.errors import VideoError
from videoseq.video import VideoReader, content_sha256, probe, read_frames


def read_all(path: Path) -> tuple[list[int], list[float], list[int]]:
    frames = list(read_frames(path))
    return [f.index for f in frames], [f.seconds for f in frames], [read_spelled(f.image) for f in frames]


def facts_of(path: Path):
    with VideoReader(path) as reader:
        for _ in reader:
            pass
        return reader.facts()


@pytest.mark.parametrize(("suffix", "fourcc"), [(".mp4", "mp4v"), (".avi", "MJPG"), (".mkv", "MJPG")])
@pytest.mark.parametrize("fps", [1.0, 12.5, 29.97])
def test_every_frame_once_in_order_at_its_time(tmp_path, suffix, fourcc, fps):
    video = write_spelled(tmp_path / f"clip{suffix}", 37, fps=fps, fourcc=fourcc)
    index, seconds, spelled = read_all(video)
    assert index == spelled == list(range(37))
    np.testing.assert_allclose(seconds, np.arange(37) / fps, atol=1e-3)
    assert facts_of(video).state == "complete"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("bframes", ["0", "3"])
def test_variable_rate_has_the_containers_times(tmp_path, suffix, bframes):
    times = np.cumsum([0, *np.random.default_rng(0).integers(10, 400, size=39)]).tolist()
    video = write_timed(tmp_path / f"vfr{suffix}", times, bf=bframes, g="12")
    index, seconds, spelled = read_all(video)
    assert index == spelled == list(range(40))
    np.testing.assert_allclose(seconds, np.array(times) / 1000, atol=1e-3)


def test_times_that_jump_back_are_repaired_and_reported(tmp_path):
    """Two transport streams one after the other: the clock starts again in the middle."""
    halves = [write_timed(tmp_path / f"{part}.ts", [40 * i for i in range(20)], bf="0") for part in "ab"]
    video = tmp_path / "joined.ts"
    video.write_bytes(b"".join(half.read_bytes() for half in halves))
    with VideoReader(video) as reader:
        stamps = [(read_spelled(reader.retrieve()), stamp.seconds) for stamp in reader]
        facts = reader.facts()
    assert [spelled for spelled, _ in stamps] == [*range(20), *range(20)]
    np.testing.assert_allclose([seconds for _, seconds in stamps], np.arange(40) * 0.04, atol=1e-6)
    assert facts.num_repaired_times == 20
    assert [notice.code for notice in facts.notices] == ["times_repaired"]


def test_rotation_is_made_upright_and_recorded(tmp_path):
    upright = write_timed(tmp_path / "plain.mp4", [40 * i for i in range(5)])
    # The rotation matrix in a track header: 16.16 numbers a b u c d v x y w, the identity turned into 90 degrees.
    identity = b"".join(v.to_bytes(4, "big") for v in (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000))
    turned = b"".join((v & 0xFFFFFFFF).to_bytes(4, "big") for v in (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000))
    stored = upright.read_bytes()
    track = stored.index(b"tkhd")
    at = stored.index(identity, track)
    video = tmp_path / "turned.mp4"
    video.write_bytes(stored[:at] + turned + stored[at + len(turned) :])
    assert probe(upright).rotation_degrees == 0
    info = probe(video)
    assert info.rotation_degrees in (90, 270)
    image = next(read_frames(video)).image
    assert image.shape[:2] == (128, 96) == (info.height, info.width)
    plain = next(read_frames(upright)).image
    assert any(np.abs(np.rot90(plain, turns).astype(int) - image).mean() < 3 for turns in (1, 3))


def test_colours_are_rgb(tmp_path):
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 230
    image = next(read_frames(write_video(tmp_path / "red.avi", [red], fourcc="MJPG"))).image
    assert image[..., 0].mean() > 200
    assert image[..., 2].mean() < 40


@pytest.mark.parametrize("size", [(16, 16), (33, 17), (98, 50)])
def test_small_and_odd_sizes(tmp_path, size):
    width, height = size
    video = write_video(tmp_path / "small.avi", [spell(i, width, height) for i in range(3)], fourcc="MJPG")
    frames = list(read_frames(video))
    assert len(frames) == 3
    assert frames[0].image.shape[1] in (width, width - 1)  # OpenCV's encoder rounds odd widths down


def test_a_single_frame_lasts_one_frame(tmp_path):
    facts = facts_of(write_spelled(tmp_path / "one.avi", 1, fps=4.0, fourcc="MJPG"))
    assert facts.num_frames == 1
    assert facts.duration_seconds == pytest.approx(0.25)


def test_a_damaged_middle_is_not_the_end(tmp_path):
    """Frames after the damage keep coming, and the video is not called complete."""
    video = write_spelled(tmp_path / "clip.avi", 120, fourcc="MJPG")
    stored = bytearray(video.read_bytes())
    pictures = [match.start() for match in re.finditer(b"00dc", stored)][1:]  # the first is in the header
    for at in pictures[50:56]:
        stored[at + 8 : at + 200] = bytes(192)  # the payload, not the chunk's header
    video.write_bytes(stored)
    with VideoReader(video) as reader:
        spelled = [read_spelled(reader.retrieve()) for _ in reader]
        facts = reader.facts()
    assert spelled[:50] == list(range(50))
    assert spelled[-64:] == list(range(56, 120))
    assert 114 <= len(spelled) < 120
    assert facts.num_failed_grabs > 0
    assert (facts.state, facts.notices[0].code) == ("degraded", "corrupt_span")


def test_a_truncated_file_says_so(tmp_path):
    video = write_spelled(tmp_path / "clip.avi", 100, fourcc="MJPG")
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    facts = facts_of(video)
    assert 0 < facts.num_frames < 60
    assert (facts.state, facts.notices[0].code) == ("degraded", "truncated")


def test_what_is_no_video_is_told_apart(tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("not a video\n" * 100)
    os.mkfifo(tmp_path / "pipe.mp4")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    codes = {}
    for name in ("missing.mp4", "empty.mp4", "text.mp4", "pipe.mp4", "sound.mp4", "."):
        with pytest.raises(VideoError) as caught:
            list(read_frames(tmp_path / name))
        codes[name] = caught.value.code
        assert "\n" not in str(caught.value)
        assert name in str(caught.value) or name == "."
    assert codes == {
        "missing.mp4": "not_found",
        "empty.mp4": "empty",
        "text.mp4": "not_video",
        "pipe.mp4": "not_a_regular_file",
        "sound.mp4": "not_video",
        ".": "not_a_regular_file",
    }


@pytest.mark.parametrize(
    "name", ["a b.avi", "-v.avi", "%03d.avi", "a:b.avi", "new\nline.avi", "🎬é.avi", b"\xff\xfe.avi"]
)
def test_any_file_name_opens(tmp_path, name):
    plain = write_spelled(tmp_path / "plain.avi", 3, fourcc="MJPG")
    odd = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), os.fsencode(name))))
    plain.rename(odd)
    assert read_all(odd)[2] == [0, 1, 2]


def test_a_playlist_reaches_no_second_file(tmp_path):
    """Renamed playlists that name a sibling or a loopback address are refused, and nobody knocks."""
    import socket

    write_timed(tmp_path / "sibling.ts", [40 * i for i in range(10)])
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.ts"
        texts = {
            "sibling.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsibling.ts\n#EXT-X-ENDLIST\n",
            "remote.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n",
            "list.ffconcat": "ffconcat version 1.0\nfile sibling.ts\n",
            "call.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
            "a=rtpmap:96 H264/90000\n",
        }
        for name, text in texts.items():
            for suffix in ("", ".mp4"):
                path = tmp_path / (name + suffix)
                path.write_text(text)
                before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
                with pytest.raises(VideoError, match="no decoder recognises"):
                    list(read_frames(path))
                if sys.platform == "linux":
                    assert len(os.listdir("/proc/self/fd")) == before
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_file_that_stops_giving_bytes_is_an_error_and_no_crash(tmp_path, monkeypatch):
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
    """FFmpeg's own complaints stay off stderr."""
    video = write_spelled(tmp_path / "clip.avi", 60, fourcc="MJPG")
    stored = bytearray(video.read_bytes())
    stored[len(stored) // 2 : len(stored) // 2 + 3000] = bytes(3000)
    video.write_bytes(stored)
    code = "import sys, videoseq; print(sum(1 for _ in videoseq.read_frames(sys.argv[1])))"
    done = subprocess.run([sys.executable, "-c", code, video], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 10
    assert done.stderr == ""


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


def test_real_clips_have_their_known_number_of_frames(data):
    counts = {"one-by-one-person-detection": 1394, "bottle-detection": 1189, "car-detection": 377}
    for name, count in counts.items():
        with VideoReader(data / "intel" / "videos" / f"{name}.mp4") as reader:
            stamps = list(reader)
            assert reader.facts().state == "complete"
        assert [stamp.index for stamp in stamps] == list(range(count))
        assert np.all(np.diff([stamp.seconds for stamp in stamps]) > 0)

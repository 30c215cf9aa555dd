"""A thousand damaged files: none takes this process down, none is called complete with a wrong frame, none hangs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.index_videos import read_spelled
from tests.support.odd_videos import CASES, Odd
from videoseq.errors import VideoError
from videoseq.video.isolation import DecoderProcess, Limits

SOURCES = ["mp4", "b_frames_mp4", "fragmented_mp4", "mkv", "variable_mkv", "avi_mpeg4", "avi_mjpeg", "ts", "mpg", "gif"]
STATES = {"complete", "degraded", "empty", "not_video", "no_video_stream", "no_frames", "moov_missing", "truncated"}
STATES |= {"unsupported", "too_large", "timeout", "decoder_crashed", "refused_playlist"}
FRAME_SECONDS = 20.0


def overwrite(data: bytearray, random: np.random.Generator) -> None:
    """Up to 400 random bytes in one place."""
    at, length = int(random.integers(len(data))), int(random.integers(1, 400))
    length = min(length, len(data) - at)
    data[at : at + length] = random.integers(0, 256, length, dtype=np.uint8).tobytes()


def scatter(data: bytearray, random: np.random.Generator) -> None:
    """A few bytes here and there."""
    for at in random.integers(len(data), size=int(random.integers(1, 12))):
        data[at] = int(random.integers(256))


def remove(data: bytearray, random: np.random.Generator) -> None:
    """A piece cut out."""
    at = int(random.integers(len(data)))
    del data[at : at + int(random.integers(1, 2000))]


def blank(data: bytearray, random: np.random.Generator) -> None:
    """A piece of zeros, as of a disk that lost a block."""
    at = int(random.integers(len(data)))
    stop = min(len(data), at + int(random.integers(1, 2000)))
    data[at:stop] = bytes(stop - at)


def cut(data: bytearray, random: np.random.Generator) -> None:
    """The end is missing."""
    del data[int(random.integers(len(data))) :]


def repeat(data: bytearray, random: np.random.Generator) -> None:
    """A piece that stands there twice."""
    at = int(random.integers(len(data)))
    data[at:at] = data[at : at + int(random.integers(1, 1000))]


MUTATIONS: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    overwrite, scatter, remove, blank, cut, repeat,
)  # fmt: skip


def mutants(folder: Path, number: int) -> Iterator[tuple[str, Odd, Path]]:
    """Damaged copies, each with what it was."""
    originals = {name: CASES[name](folder) for name in SOURCES}
    random = np.random.default_rng(20260101)
    for index in range(number):
        name = SOURCES[index % len(SOURCES)]
        mutation = MUTATIONS[int(random.integers(len(MUTATIONS)))]
        data = bytearray(originals[name].path.read_bytes())
        mutation(data, random)
        path = folder / f"mutant{originals[name].path.suffix}"
        path.write_bytes(data)
        yield f"{index} {name} {mutation.__name__}", originals[name], path


def outcome(decoder: DecoderProcess, path: Path) -> tuple[str, list[int]]:
    """A file's state, or the code of its failure, and what its frames spell."""
    try:
        with decoder.open(path) as reader:
            spelled = [read_spelled(frame.image) for frame in reader.sampled(None)]
            return reader.report().state, spelled
    except VideoError as error:
        return error.code, []


@pytest.mark.slow
def test_no_damaged_file_is_called_complete_with_a_wrong_frame(tmp_path):
    states: Counter[str] = Counter()
    wrong: list[str] = []
    with DecoderProcess(Limits(frame_seconds=FRAME_SECONDS, memory_bytes=1 << 30)) as decoder:
        for what, odd, path in mutants(tmp_path, 1000):
            start = time.monotonic()
            state, spelled = outcome(decoder, path)
            states[state] += 1
            assert state in STATES, what
            assert time.monotonic() - start < 2 * FRAME_SECONDS, what
            if state == "complete" and spelled != list(odd.spelled):
                wrong.append(f"{what}: {spelled}")
    assert states["complete"] > 50  # damage in what is not looked at, or not seen
    assert states["degraded"] > 300
    assert not wrong, f"{states}: {len(wrong)} are wrong:\n" + "\n".join(wrong)

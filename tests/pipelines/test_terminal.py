"""What a person sees on a terminal: a bar while it works, whole lines when something has happened."""

from __future__ import annotations

import re

from tests.support.index_videos import write_video
from tests.support.light_clips import light_frames
from tests.support.terminal import on_terminal


def test_labelling_shows_a_bar_and_leaves_whole_lines(model_folder, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("one.mp4", "two.mp4"):
        write_video(tmp_path / "in" / name, light_frames(60, 30, seed=4), fps=20)
    (tmp_path / "in" / "bad.mp4").write_text("no video")
    status, shown, data = on_terminal("label", tmp_path / "in", "--model", model_folder, "--out", tmp_path / "out")
    assert (status, data) == (3, "")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert re.search(r"labels\s+[━╸╺ ]+\s+\d+% [0-2]/3 files, \d+ frames, \d+ fps, (1 failed, )?0:0\d:\d\d left", plain)
    assert all(len(line) <= 100 for line in plain.replace("\r", "\n").splitlines() if "%" in line)
    lines = [line.split("\r")[-1].strip() for line in plain.splitlines()]
    assert len([line for line in lines if line.startswith("complete: ") and "60 frames, 3.00 s" in line]) == 2
    assert len([line for line in lines if line.startswith("failed: not_video: ")]) == 1


def test_quiet_is_quiet_on_a_terminal_too(model_folder, tmp_path):
    video = write_video(tmp_path / "one.mp4", light_frames(20, 10, seed=4), fps=20)
    assert on_terminal("label", video, "--model", model_folder, "--out", tmp_path / "out", "-q") == (0, "", "")

"""What a person sees on a terminal: a bar while it works, whole lines when something has happened."""

from __future__ import annotations

import re

from tests.support.index_videos import write_video
from tests.support.light_clips import light_frames
from tests.support.terminal import on_terminal


def test_labeling_shows_a_bar_and_leaves_whole_lines(model_folder, tmp_path):
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


def test_tables_fit_80_columns(model_folder, light_dataset, cache, tmp_path):
    """With a previous model, which has the widest one."""
    out, options = tmp_path / "model", ("--cache", cache, "--precision", "float32")
    small = ("--set", "training.max_epochs=1", "--set", "head.hidden_size=16")
    status, trained, _ = on_terminal("train", light_dataset, "--out", out, *options, *small, columns=80)
    assert status == 0, trained
    status, evaluated, _ = on_terminal("evaluate", model_folder, light_dataset, "--baseline", out, *options, columns=80)
    assert status == 0, evaluated
    for shown in (trained, evaluated):
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
        lines = [line.split("\r")[-1].rstrip() for line in plain.splitlines()]
        table = [line for line in lines if " to " in line or " %" in line.split("  ")[0] or "majority" in line]
        assert len([line for line in table if line.startswith("macro F1 %")]) == 1
        assert max(map(len, table)) <= 80
        assert not [line for line in table if line.endswith("…")]

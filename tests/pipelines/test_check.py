"""videoseq check: one screen per file, exact numbers, and annotations that fit or are said not to."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

from tests.support.index_videos import write_spelled
from tests.support.odd_videos import CASES
from tests.support.terminal import on_terminal


def values(screen: str) -> dict[str, str]:
    """The named lines of a screen."""
    rows = (re.match(r"  (\S[\w ]*?)  +(.*)", line) for line in screen.splitlines())
    return {row[1]: row[2] for row in rows if row}


def test_the_screen_says_what_a_person_asks(cli, tmp_path):
    video = CASES["rotated_90"](tmp_path).path
    done = cli("check", video)
    assert done.returncode == 0
    screen = values(done.stdout)
    assert done.stdout.startswith(f"{video}: complete\n")
    assert screen["container"] == "mp4 (QuickTime / MOV), h264, 128×96, turned by 90° to stand upright"
    assert screen["streams"] == "0 video h264 96x128 yuv420p"
    assert screen["frame rate"] == "25 claimed, 25 measured, constant"
    assert screen["frames"] == "30 claimed, 30 decoded, 30 packets, 0 lost"
    assert screen["times"] == "0 to 1.200 s, from the container"
    assert screen["coverage"] == "100.0 % of the time is there and sound"
    assert "index / claimed rate is off by +0.0 ms at the end" in screen["drift"]


def test_damage_is_on_the_screen_and_in_the_exit_status(call, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    damaged = CASES["damaged_mp4"](tmp_path).path.rename(folder / "a.mp4")
    CASES["empty"](tmp_path).path.rename(folder / "b.mp4")
    write_spelled(folder / "c.avi", 20, fourcc="MJPG")
    done = call("check", folder)
    assert done.status == 3
    screens = done.out.split("\n\n")
    first = values(screens[0])
    assert screens[0].startswith(f"{damaged}: degraded")
    assert re.match(r"corrupt_span: \d\.\d+–\d\.\d+ s, frames \d+–\d+, 5 failed reads$", first["damage"])
    assert first["frames"] == "100 claimed, 95 decoded, 100 packets, 5 lost"
    assert values(screens[1])["error"].startswith("empty: ")
    assert screens[2].startswith(f"{folder / 'c.avi'}: complete")
    assert call("check", folder / "b.mp4").status == 4
    (tmp_path / "none").mkdir()
    assert call("check", tmp_path / "none").status == 5
    quiet = call("check", folder, "--quiet")
    assert (quiet.status, quiet.out, quiet.err) == (3, "", "")


def test_json_has_everything(call, tmp_path):
    videos = [CASES[name](tmp_path).path for name in ("hdr_mp4", "late_start_mkv", "text", "damaged_avi")]
    done = call("check", *videos, "--json")
    assert done.status == 3
    hdr, late, text, avi = json.loads(done.out)
    assert [hdr["state"], late["state"], text["state"], avi["state"]] == ["complete", "complete", "failed", "degraded"]
    assert [notice["code"] for notice in hdr["notices"]] == ["bit_depth_reduced", "hdr"]
    assert late["start_offset_seconds"] == 10.0
    assert late["packets"]["start_seconds"] == 10.0
    assert (text["code"], text["path"]) == ("not_video", str(videos[2]))
    assert avi["time_source"] == "frame_rate"
    assert avi["spans"][0]["code"] == "corrupt_span"
    for found in (hdr, late, avi):
        assert {"fps_measured", "is_constant_rate", "num_lost", "drift_ms_at_end", "coverage", "codec"} <= found.keys()


def write_rows(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_an_annotation_that_fits_is_said_to(call, tmp_path):
    video = write_spelled(tmp_path / "clip.avi", 40, fps=20, fourcc="MJPG")
    rows = write_rows(tmp_path / "clip.csv", "start_frame,stop_frame,label", "0,20,a", "20,40,b")
    done = call("check", video, "--annotations", rows, "--fix", tmp_path / "fixed")
    assert done.status == 0
    assert f"annotation   {rows}: fits" in done.out
    assert not (tmp_path / "fixed").exists()


def test_an_annotation_is_repaired_into_a_copy(call, tmp_path):
    video = write_spelled(tmp_path / "clip.avi", 40, fps=20, fourcc="MJPG")
    rows = write_rows(tmp_path / "clip.csv", "start_frame,stop_frame,label,who", "1,21,a,me", "21,41,b,you")
    before = rows.read_bytes()
    done = call("check", video, "--annotations", rows, "--fix", tmp_path / "fixed.csv")
    assert done.status == 3
    assert "does not fit" in done.out
    assert "frames_from_one: " in done.out
    assert "; fix: subtract 1" in done.out
    assert rows.read_bytes() == before
    with (tmp_path / "fixed.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1:] == [["0", "20", "a", "me"], ["20", "40", "b", "you"]]
    assert call("check", video, "--annotations", tmp_path / "fixed.csv").status == 0
    refused = call("check", video, "--annotations", rows, "--fix", rows)
    assert refused.status == 2
    assert "the original is kept" in refused.err
    assert rows.read_bytes() == before


def test_a_folder_of_annotations_goes_with_a_folder_of_videos(call, tmp_path):
    videos, notes = tmp_path / "videos", tmp_path / "notes"
    for folder in (videos / "day", notes / "day"):
        folder.mkdir(parents=True)
    write_spelled(videos / "day" / "a.avi", 40, fps=20, fourcc="MJPG")
    write_spelled(videos / "b.avi", 40, fps=20, fourcc="MJPG")
    write_spelled(videos / "none.avi", 10, fps=20, fourcc="MJPG")
    write_rows(notes / "day" / "a.csv", "start_s,stop_s,label", "0,1,x", "3,4,y")
    write_rows(notes / "b.csv", "begin,end,label", "0,1,x")
    done = call("check", videos, "--annotations", notes, "--json")
    by_name = {Path(found["path"]).name: found for found in json.loads(done.out)}
    assert done.status == 3
    assert by_name["a.avi"]["annotation"]["findings"][0]["code"] == "rows_past_end"
    assert by_name["b.avi"]["annotation"]["error"].startswith(f"{notes / 'b.csv'}: expected the columns")
    assert "annotation" not in by_name["none.avi"]
    fixed = call("check", videos, "--annotations", notes, "--fix", tmp_path / "fixed")
    assert fixed.status == 3
    assert (tmp_path / "fixed" / "day" / "a.csv").read_text(encoding="utf-8").splitlines()[1:] == ["0,1,x"]


def test_options_that_do_not_go_together_are_usage(call, tmp_path):
    video = write_spelled(tmp_path / "a.avi", 3, fourcc="MJPG")
    assert "--annotations too" in call("check", video, "--fix", tmp_path / "out").err
    other = write_spelled(tmp_path / "b.avi", 3, fourcc="MJPG")
    rows = write_rows(tmp_path / "a.csv", "frame,label", "0,x")
    done = call("check", video, other, "--annotations", rows)
    assert done.status == 2
    assert f"annotations: expected a folder for 2 videos, got {rows}" in done.err


def test_a_terminal_shows_a_bar_and_then_the_screens(tmp_path):
    video = write_spelled(tmp_path / "a.avi", 600, fourcc="MJPG")
    status, shown, data = on_terminal("check", video)
    assert status == 0
    assert "checking" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert values(data)["frames"].startswith("600 claimed, 600 decoded")

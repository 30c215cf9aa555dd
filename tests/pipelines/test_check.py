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


def test_damage_is_on_the_screen_and_in_the_exit_status(cli, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    damaged = CASES["damaged_mp4"](tmp_path).path.rename(folder / "a.mp4")
    CASES["empty"](tmp_path).path.rename(folder / "b.mp4")
    write_spelled(folder / "c.avi", 20, fourcc="MJPG")
    done = cli("check", folder)
    assert done.returncode == 3
    screens = done.stdout.split("\n\n")
    first = values(screens[0])
    assert screens[0].startswith(f"{damaged}: degraded")
    assert re.match(r"corrupt_span: \d\.\d+–\d\.\d+ s, frames \d+–\d+, 5 failed reads$", first["damage"])
    assert first["frames"] == "100 claimed, 95 decoded, 100 packets, 5 lost"
    assert values(screens[1])["error"].startswith("empty: ")
    assert screens[2].startswith(f"{folder / 'c.avi'}: complete")
    assert cli("check", folder / "b.mp4").returncode == 4
    (tmp_path / "none").mkdir()
    assert cli("check", tmp_path / "none").returncode == 5
    quiet = cli("check", folder, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (3, "", "")


def test_json_has_everything(cli, tmp_path):
    videos = [CASES[name](tmp_path).path for name in ("hdr_mp4", "late_start_mkv", "text", "damaged_avi")]
    done = cli("check", *videos, "--json")
    assert done.returncode == 3
    hdr, late, text, avi = json.loads(done.stdout)
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


def test_an_annotation_that_fits_is_said_to(cli, tmp_path):
    video = write_spelled(tmp_path / "clip.avi", 40, fps=20, fourcc="MJPG")
    rows = write_rows(tmp_path / "clip.csv", "start_frame,stop_frame,label", "0,20,a", "20,40,b")
    done = cli("check", video, "--annotations", rows, "--fix", tmp_path / "fixed")
    assert done.returncode == 0
    assert f"annotation   {rows}: fits" in done.stdout
    assert not (tmp_path / "fixed").exists()


def test_an_annotation_is_repaired_into_a_copy(cli, tmp_path):
    video = write_spelled(tmp_path / "clip.avi", 40, fps=20, fourcc="MJPG")
    rows = write_rows(tmp_path / "clip.csv", "start_frame,stop_frame,label,who", "1,21,a,me", "21,41,b,you")
    before = rows.read_bytes()
    done = cli("check", video, "--annotations", rows, "--fix", tmp_path / "fixed.csv")
    assert done.returncode == 3
    assert "does not fit" in done.stdout
    assert "frames_from_one: " in done.stdout
    assert "; fix: subtract 1" in done.stdout
    assert rows.read_bytes() == before
    with (tmp_path / "fixed.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1:] == [["0", "20", "a", "me"], ["20", "40", "b", "you"]]
    assert cli("check", video, "--annotations", tmp_path / "fixed.csv").returncode == 0
    refused = cli("check", video, "--annotations", rows, "--fix", rows)
    assert refused.returncode == 2
    assert "the original is kept" in refused.stderr
    assert rows.read_bytes() == before


def test_a_folder_of_annotations_goes_with_a_folder_of_videos(cli, tmp_path):
    videos, notes = tmp_path / "videos", tmp_path / "notes"
    for folder in (videos / "day", notes / "day"):
        folder.mkdir(parents=True)
    write_spelled(videos / "day" / "a.avi", 40, fps=20, fourcc="MJPG")
    write_spelled(videos / "b.avi", 40, fps=20, fourcc="MJPG")
    write_spelled(videos / "none.avi", 10, fps=20, fourcc="MJPG")
    write_rows(notes / "day" / "a.csv", "start_s,stop_s,label", "0,1,x", "3,4,y")
    write_rows(notes / "b.csv", "begin,end,label", "0,1,x")
    done = cli("check", videos, "--annotations", notes, "--json")
    by_name = {Path(found["path"]).name: found for found in json.loads(done.stdout)}
    assert done.returncode == 3
    assert by_name["a.avi"]["annotation"]["findings"][0]["code"] == "rows_past_end"
    assert by_name["b.avi"]["annotation"]["error"].startswith(f"{notes / 'b.csv'}: expected the columns")
    assert "annotation" not in by_name["none.avi"]
    fixed = cli("check", videos, "--annotations", notes, "--fix", tmp_path / "fixed")
    assert fixed.returncode == 3
    assert (tmp_path / "fixed" / "day" / "a.csv").read_text(encoding="utf-8").splitlines()[1:] == ["0,1,x"]


def test_options_that_do_not_go_together_are_usage(cli, tmp_path):
    video = write_spelled(tmp_path / "a.avi", 3, fourcc="MJPG")
    assert "--annotations too" in cli("check", video, "--fix", tmp_path / "out").stderr
    other = write_spelled(tmp_path / "b.avi", 3, fourcc="MJPG")
    rows = write_rows(tmp_path / "a.csv", "frame,label", "0,x")
    done = cli("check", video, other, "--annotations", rows)
    assert done.returncode == 2
    assert f"--annotations: expected a folder for 2 videos, got {rows}" in done.stderr


def test_a_terminal_shows_a_bar_and_then_the_screens(tmp_path):
    video = write_spelled(tmp_path / "a.avi", 600, fourcc="MJPG")
    status, shown, data = on_terminal("check", video)
    assert status == 0
    assert "checking" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert values(data)["frames"].startswith("600 claimed, 600 decoded")

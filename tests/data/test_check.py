"""A video and its annotation are checked together: what fits, what does not, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.index_videos import write_spelled
from videoseq.data.check import check_clip
from videoseq.errors import ConfigError
from videoseq.video.isolation import DecoderProcess


@pytest.fixture(scope="module")
def decoder():
    with DecoderProcess() as process:
        yield process


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return write_spelled(tmp_path_factory.mktemp("check") / "clip.avi", 40, fps=20, fourcc="MJPG")


def write_rows(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_video_without_annotation_is_ok_if_it_is_complete(decoder, video):
    heard = []
    found = check_clip(video, None, decoder, lambda *step: heard.append(step))
    assert (found.is_ok, found.annotation, found.fit) == (True, None, None)
    assert heard[0][0] == 0
    assert "annotation" not in found.as_dict()


def test_an_annotation_that_fits_is_ok_and_nothing_is_repaired(decoder, video, tmp_path):
    rows = write_rows(tmp_path / "clip.csv", "start_frame,stop_frame,label", "0,20,a", "20,40,b")
    found = check_clip(video, rows, decoder)
    assert found.is_ok
    found.write_repaired(tmp_path / "fixed.csv")
    assert not (tmp_path / "fixed.csv").exists()


def test_an_annotation_that_does_not_fit_is_repaired_elsewhere(decoder, video, tmp_path):
    rows = write_rows(tmp_path / "clip.csv", "start_frame,stop_frame,label", "1,21,a", "21,41,b")
    found = check_clip(video, rows, decoder)
    assert not found.is_ok
    described = json.loads(json.dumps(found.as_dict()))["annotation"]
    assert [finding["code"] for finding in described["findings"]] == ["frames_from_one"]
    with pytest.raises(ConfigError, match="the original is kept"):
        found.write_repaired(rows)
    found.write_repaired(tmp_path / "new" / "fixed.csv")
    assert check_clip(video, tmp_path / "new" / "fixed.csv", decoder).is_ok


def test_overlaps_fit_where_classes_may_be_together(decoder, video, tmp_path):
    rows = write_rows(tmp_path / "clip.csv", "start_frame,stop_frame,label", "0,30,a", "10,40,b")
    assert not check_clip(video, rows, decoder).is_ok
    assert check_clip(video, rows, decoder, is_multilabel=True).is_ok


def test_what_cannot_be_read_cannot_be_compared(decoder, video, tmp_path):
    found = check_clip(video, write_rows(tmp_path / "clip.csv", "begin,end,label", "0,1,x"), decoder)
    assert (found.is_ok, found.fit) == (False, None)
    assert "expected the columns" in found.annotation_error
    (tmp_path / "text.avi").write_text("no video")
    found = check_clip(tmp_path / "text.avi", tmp_path / "clip.csv", decoder)
    assert (found.is_ok, found.fit, found.annotation_error, found.video.state) == (False, None, "", "failed")
    found.write_repaired(tmp_path / "fixed.csv")
    assert not (tmp_path / "fixed.csv").exists()

"""Which videos two annotators have in common: by path, by content, by name; and no video is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from videoseq.errors import AnnotationError
from videoseq.evaluation import annotator_matching as matching
from videoseq.evaluation.annotator_matching import Matched, match_annotators

LABELS = "frame,label\n0,a\n"


def write(path: Path, text: str = LABELS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def manifest(path: Path, *rows: str, columns: str = "video,annotation") -> Path:
    return write(path, "\n".join((columns, *rows)) + "\n")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Three videos of different content, annotated; nothing here decodes them."""
    for name in ("a", "b", "c"):
        write(tmp_path / "clips" / f"{name}.mp4", f"video {name} " * 9)
        write(tmp_path / "clips" / f"{name}.csv")
    return tmp_path / "clips"


def found(matched: Matched) -> list[tuple[str, str, str]]:
    """Video, targets and labels of every pair, the last with its folder."""
    return [
        (pair.entry.video.name, pair.entry.annotation.name, f"{pair.labels.parent.name}/{pair.labels.name}")
        for pair in matched.pairs
    ]


def test_videos_are_matched_by_path_whatever_the_annotations_are_called(clips, tmp_path, monkeypatch):
    """Without reading them, which takes long where there are hours of video."""
    monkeypatch.delattr(matching, "content_sha256")
    write(tmp_path / "ben" / "one.csv")
    (tmp_path / "link.mp4").symlink_to(clips / "c.mp4")
    ben = manifest(tmp_path / "ben.csv", "clips/b.mp4,ben/one.csv", "link.mp4,ben/one.csv")
    matched = match_annotators(clips, ben)
    assert found(matched) == [("b.mp4", "b.csv", "ben/one.csv"), ("c.mp4", "c.csv", "ben/one.csv")]
    assert (matched.only_targets, matched.only_labels) == ((clips / "a.mp4",), ())


def test_copies_are_matched_by_content_under_any_name(clips, tmp_path):
    shutil.copytree(clips, tmp_path / "copy")
    (tmp_path / "copy" / "a.mp4").rename(tmp_path / "copy" / "z.mp4")
    (tmp_path / "copy" / "a.csv").rename(tmp_path / "copy" / "z.csv")
    (tmp_path / "copy" / "b.mp4").write_text("another video, of the same name")
    matched = match_annotators(clips, tmp_path / "copy")
    assert found(matched) == [("a.mp4", "a.csv", "copy/z.csv"), ("c.mp4", "c.csv", "copy/c.csv")]
    assert (matched.only_targets, matched.only_labels) == ((clips / "b.mp4",), (tmp_path / "copy" / "b.mp4",))


def test_annotations_alone_are_matched_by_name_in_either_place(clips, tmp_path):
    for name in ("a", "c", "d"):
        write(tmp_path / "ben" / "deep" / f"{name}.csv")
    there, back = match_annotators(clips, tmp_path / "ben"), match_annotators(tmp_path / "ben", clips)
    assert found(there) == [("a.mp4", "a.csv", "deep/a.csv"), ("c.mp4", "c.csv", "deep/c.csv")]
    assert found(back) == [("a.mp4", "a.csv", "clips/a.csv"), ("c.mp4", "c.csv", "clips/c.csv")]
    assert back.pairs[0].entry.annotation == tmp_path / "ben" / "deep" / "a.csv"
    left = (clips / "b.mp4",), (tmp_path / "ben" / "deep" / "d.csv",)
    assert (there.only_targets, there.only_labels) == left == (back.only_labels, back.only_targets)


def test_a_name_in_two_folders_needs_its_folder(tmp_path):
    for day in ("mon", "tue"):
        write(tmp_path / "clips" / day / "a.mp4", f"video of {day}")
        write(tmp_path / "clips" / day / "a.csv")
        write(tmp_path / "ben" / day / "a.csv")
    assert [label for *_, label in found(match_annotators(tmp_path / "clips", tmp_path / "ben"))] == [
        "mon/a.csv",
        "tue/a.csv",
    ]


def test_one_annotation_belongs_to_the_only_video(tmp_path):
    write(tmp_path / "clips" / "a.mp4", "video")
    write(tmp_path / "clips" / "a.csv")
    ben = write(tmp_path / "ben-of-monday.csv")
    assert found(match_annotators(tmp_path / "clips", ben))[0][2].endswith("/ben-of-monday.csv")


def test_annotations_beside_which_only_some_videos_lie_are_all_used(clips, tmp_path):
    for name in ("a", "b"):
        write(tmp_path / "ben" / f"{name}.csv")
    shutil.copy(clips / "a.mp4", tmp_path / "ben")
    write(tmp_path / "ben" / "c.mp4", "a video without an annotation")
    matched = match_annotators(clips, tmp_path / "ben")
    assert [name for name, *_ in found(matched)] == ["a.mp4", "b.mp4"]
    assert matched.only_labels == ()


def test_a_split_is_that_of_the_targets(clips, tmp_path):
    rows = ("clips/a.mp4,clips/a.csv,train", "clips/b.mp4,clips/b.csv,test", "clips/c.mp4,clips/c.csv,test")
    ann = manifest(tmp_path / "ann.csv", *rows, columns="video,annotation,split")
    ben = manifest(tmp_path / "ben.csv", "clips/a.mp4,clips/a.csv", "clips/b.mp4,clips/b.csv")
    matched = match_annotators(ann, ben, "test")
    assert [name for name, *_ in found(matched)] == ["b.mp4"]
    assert [path.name for path in matched.only_targets] == ["c.mp4"]
    with pytest.raises(AnnotationError, match="expected clips of the split val that both annotated, got none"):
        match_annotators(ann, ben, "val")


def test_nothing_in_common_names_one_of_each(clips, tmp_path):
    write(tmp_path / "ben" / "x.mp4", "x")
    write(tmp_path / "ben" / "x.csv")
    with pytest.raises(AnnotationError, match=r"the same videos in both, got none in common.*x\.mp4.*a\.mp4"):
        match_annotators(clips, tmp_path / "ben")


def test_annotations_alone_on_both_sides_are_refused(tmp_path):
    ann, ben = write(tmp_path / "ann" / "a.csv").parent, write(tmp_path / "ben" / "a.csv")
    with pytest.raises(AnnotationError, match="expected videos in one of the two, got only annotations"):
        match_annotators(ann, ben)


def test_two_annotations_of_one_name_are_refused(clips, tmp_path):
    for suffix in (".csv", ".tsv"):
        write(tmp_path / "ben" / f"a{suffix}")
    with pytest.raises(AnnotationError, match=r"a\.csv and a\.tsv: expected one annotation per name"):
        match_annotators(clips, tmp_path / "ben")


def test_what_is_neither_is_refused(clips, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(AnnotationError, match=r"empty: expected annotated clips, a manifest\.csv or annotations"):
        match_annotators(clips, tmp_path / "empty")
    with pytest.raises(AnnotationError, match="expected a folder of clips or a manifest CSV, found nothing there"):
        match_annotators(clips, tmp_path / "gone")
    bad = write(tmp_path / "bad.csv", "vidoe,annotation\na,b\n")
    with pytest.raises(AnnotationError, match="did you mean 'video'"):
        match_annotators(clips, bad)

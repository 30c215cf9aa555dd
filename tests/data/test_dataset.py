"""Datasets: what pairs with what, what must not be divided, and what is refused before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.dataset_entries import entry, features
from videoseq.annotations.types import IGNORE_INDEX, Annotation, ClassNames, Interval
from videoseq.data.dataset import Clip, Dataset, load_clips, load_dataset
from videoseq.data.manifest import ClipEntry, find_clips
from videoseq.errors import AnnotationError, Notice, VideoError
from videoseq.features.store import VideoFeatures

CLASSES = ClassNames(["rest", "walk"])

Manifest = Callable[..., Path]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Writes a manifest next to the empty files a.mp4, a.csv, … d.mp4, d.csv."""
    touch(tmp_path, *(f"{stem}{suffix}" for stem in "abcd" for suffix in (".mp4", ".csv")))

    def write(*lines: str) -> Path:
        path = tmp_path / "list.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def test_a_folder_pairs_each_video_with_the_annotation_of_its_name(tmp_path):
    touch(
        tmp_path, "b.mp4", "b.csv", "room 1/A.AVI", "room 1/A.tsv", "alone.mp4", "alone2.csv", "notes.txt", "notes.csv"
    )
    touch(tmp_path, "b.mp4.frames.csv", "c.mp4", "c.mp4.segments.csv")
    (tmp_path / "folder.mp4").mkdir()
    touch(tmp_path, "folder.csv")
    found = find_clips(tmp_path)
    assert [(e.video.relative_to(tmp_path).as_posix(), e.annotation.name) for e in found] == [
        ("b.mp4", "b.csv"),
        ("room 1/A.AVI", "A.tsv"),
    ]
    assert {e.split for e in found} == {None}
    assert len({e.group for e in found}) == 2


def test_a_manifest_in_the_folder_decides(tmp_path):
    touch(tmp_path, "a.mp4", "a.csv", "b.mp4", "b.csv")
    (tmp_path / "manifest.csv").write_text("video,annotation\nb.mp4,a.csv\n", encoding="utf-8")
    assert [(e.video.name, e.annotation.name) for e in find_clips(tmp_path)] == [("b.mp4", "a.csv")]


def test_a_manifest_has_paths_relative_to_itself_splits_and_groups(tmp_path):
    touch(tmp_path, "videos/a.mp4", "videos/b.mp4", "videos/c.mp4", "list/labels/a.csv")
    (tmp_path / "list" / "list.csv").write_text(
        "annotation;video;split;group;subject;note\n"
        f"labels/a.csv;../videos/a.mp4;train;room;mouse 1;x\n"
        f"labels/a.csv;{tmp_path}/videos/b.mp4;val;;mouse 2;\n"
        "labels/a.csv;../videos/c.mp4;test\n",
        encoding="utf-8",
    )
    entries = find_clips(tmp_path / "list" / "list.csv")
    assert [e.video.resolve() for e in entries] == [tmp_path / "videos" / f"{name}.mp4" for name in "abc"]
    assert [e.annotation for e in entries] == [tmp_path / "list" / "labels" / "a.csv"] * 3
    assert [e.split for e in entries] == ["train", "val", "test"]
    assert [e.group for e in entries[:2]] == ["room", "mouse 2"]
    assert entries[2].group not in ("room", "mouse 2", "")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["videos,annotation", "a.mp4,a.csv"],
            r"expected the columns video,annotation, got videos,.* \(did you mean 'video'\?",
        ),
        (["video,labels", "a.mp4,a.csv"], r"expected the columns video,annotation, got video,labels$"),
        (["video,annotation", "a.mp4,a.csv", "e.mp4,b.csv"], r"row 3: video: expected a file, found none at .*e\.mp4$"),
        (["video,annotation", "a.mp4,e.csv"], r"row 2: annotation: expected a file, found none at .*e\.csv$"),
        (["video,annotation", "a.mp4,"], r"row 2: annotation: expected a file"),
        (
            ["video,annotation,split", "a.mp4,a.csv,train", "b.mp4,b.csv,tran"],
            r"row 3: split: expected train, val, test, got 'tran' \(did you mean 'train'\?\)$",
        ),
        (["video,annotation", "a.mp4,a.csv", "./a.mp4,b.csv"], r".*a\.mp4 is listed twice; "),
        (
            ["video,annotation,split", "a.mp4,a.csv,train", "a.mp4,a.csv,test"],
            r".*a\.mp4 is listed in the splits train and test; ",
        ),
        (
            ["video,annotation,split,group", "a.mp4,a.csv,train,m1", "b.mp4,b.csv,val,m2", "c.mp4,c.csv,val,m1"],
            r"group 'm1' is in the splits train and val; ",
        ),
        (
            ["video,annotation,split,subject", "a.mp4,a.csv,train,m1", "b.mp4,b.csv,test,m1"],
            r"group 'm1' is in the splits train and test; ",
        ),
        (
            ["video,annotation,split", "a.mp4,a.csv,train", "b.mp4,b.csv,"],
            r"split: expected a value in every row or in none$",
        ),
        (["video,annotation"], r"expected annotated clips .*, got none$"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_an_error(manifest, lines, message):
    with pytest.raises(AnnotationError, match=rf"list\.csv: {message}"):
        find_clips(manifest(*lines))


def test_a_video_under_two_names_is_the_same_video(manifest):
    path = manifest("video,annotation,split", "a.mp4,a.csv,train", "link.mp4,b.csv,val")
    os.symlink(path.parent / "a.mp4", path.parent / "link.mp4")
    with pytest.raises(AnnotationError, match=r"link\.mp4 is listed in the splits train and val"):
        find_clips(path)


def test_nothing_to_read_is_an_error(tmp_path):
    with pytest.raises(AnnotationError, match=r"expected annotated clips \(clip\.mp4 with clip\.csv next to it"):
        find_clips(tmp_path)
    with pytest.raises(AnnotationError, match=r"no_such: expected a folder of clips or a manifest CSV, found nothing"):
        find_clips(tmp_path / "no_such")


def dataset(entries: list[ClipEntry], annotations: list[Annotation], background: str | None = None) -> Dataset:
    return Dataset(tuple(entries), tuple(annotations), CLASSES, background)


def walking(stem: str, start: float = 0.0, stop: float = 0.5, label: str = "walk") -> Annotation:
    return Annotation(Path(f"{stem}.csv"), "seconds", (Interval(start, stop, label, 2),))


def test_clips_have_a_target_for_every_frame_and_say_what_was_noticed():
    damaged, entries = Notice("video_damaged", "a.mp4: one frame is missing"), [entry("a"), entry("b")]
    videos = {Path("a.mp4"): features(10, "1", (damaged,)), Path("b.mp4"): features(4, "2")}
    clips, notices = load_clips(dataset(entries, [walking("a"), walking("b", 0, 9)]), videos.__getitem__)
    assert [clip.entry for clip in clips] == entries
    assert [clip.targets.tolist() for clip in clips] == [[1] * 5 + [IGNORE_INDEX] * 5, [1] * 4]
    assert notices[0] == damaged
    assert [notice.code for notice in notices[1:]] == ["labels_past_end"]
    assert clips[0].class_counts(3).tolist() == [0, 5, 0]
    clips, _ = load_clips(dataset(entries, [walking("a"), walking("b")], "rest"), videos.__getitem__)
    assert clips[0].targets.tolist() == [1] * 5 + [0] * 5


def test_a_label_that_does_not_fit_stops_the_loading():
    with pytest.raises(AnnotationError, match=r"a\.csv: row 2: unknown class 'wlak' \(did you mean 'walk'"):
        load_clips(dataset([entry("a")], [walking("a", label="wlak")]), lambda _: features())
    with pytest.raises(AnnotationError, match=r"a\.csv: row 2: 'walk' starts at 2 seconds, the video ends at 1; "):
        load_clips(dataset([entry("a")], [walking("a", 2, 3)]), lambda _: features())


@pytest.mark.parametrize(("group", "split"), [("other", "train"), ("mouse", "val")])
def test_the_same_content_in_two_groups_or_splits_is_an_error(group, split):
    entries = [entry("a", "mouse", "train"), entry("b", group, split)]
    with pytest.raises(AnnotationError, match=r"b\.mp4 and a\.mp4 are the same video in two splits or groups"):
        load_clips(dataset(entries, [walking("a"), walking("b")]), lambda _: features(content="same"))


def test_the_same_content_in_one_group_is_said():
    entries = [entry("a", "mouse", "train"), entry("b", "mouse", "train")]
    clips, (notice,) = load_clips(dataset(entries, [walking("a"), walking("b")]), lambda _: features(content="same"))
    assert len(clips) == 2
    assert notice == Notice("duplicate_video", "b.mp4 and a.mp4 are the same video")


def test_a_clip_without_labels_is_left_out_and_said():
    videos = {Path("a.mp4"): features(content="1"), Path("b.mp4"): features(content="2")}
    empty = Annotation(Path("a.csv"), "frames", ())
    clips, notices = load_clips(dataset([entry("a"), entry("b")], [empty, walking("b")]), videos.__getitem__)
    assert [clip.entry.video.name for clip in clips] == ["b.mp4"]
    assert notices == [Notice("clip_without_labels", "a.csv: labels no frame of a.mp4")]


def test_a_clip_needs_a_target_for_every_frame():
    with pytest.raises(ValueError, match="expected 10 targets, got 9"):
        Clip(entry("a"), features(10), np.zeros(9, dtype=np.int64))


def test_two_videos_beside_one_annotation_are_an_error(tmp_path):
    """A transcoded copy would land on both sides of a split unseen."""
    for name in ("clip.mp4", "clip.avi", "clip.csv"):
        (tmp_path / name).write_text("x")
    with pytest.raises(AnnotationError, match=r"clip\.avi and clip\.mp4 share the annotation clip\.csv; keep one"):
        find_clips(tmp_path)


def unreadable(path: Path) -> VideoFeatures:
    if path.stem in "bd":
        raise VideoError("not_video", f"{path}: expected a video, got something else")
    return features(content=path.stem)


def test_all_clips_that_cannot_be_read_are_named_before_anything_is_trained():
    entries = [entry(name) for name in "abcd"]
    expected = r"^2 of 4 clips cannot be read: .*b\.mp4: exp.*; .*d\.mp4: .*on_bad_clip=skip$"
    with pytest.raises(VideoError, match=expected):
        load_clips(dataset(entries, [walking(name) for name in "abcd"]), unreadable)


def test_clips_that_cannot_be_read_are_left_out_on_request_and_said_to_be():
    entries, annotations = [entry(name) for name in "abcd"], [walking(name) for name in "abcd"]
    clips, notices = load_clips(dataset(entries, annotations), unreadable, "skip")
    assert [clip.entry.video.stem for clip in clips] == ["a", "c"]
    assert [notice.code for notice in notices] == ["clip_skipped"] * 2
    assert all("its clip is left out" in notice.message for notice in notices)
    with pytest.raises(VideoError, match="1 of 1 clips"):
        load_clips(dataset([entry("b")], [walking("b")]), unreadable, "skip")


def write_annotations(folder: Path, **labels: str) -> None:
    for stem, label in labels.items():
        touch(folder, f"{stem}.mp4")
        (folder / f"{stem}.csv").write_text(f"start_s,stop_s,label\n0,1,{label}\n", encoding="utf-8")


def test_a_dataset_is_read_without_opening_a_video(tmp_path):
    write_annotations(tmp_path, a="walk", b="rest")
    found = load_dataset(tmp_path)
    assert found.classes == ("rest", "walk")
    assert found.videos == [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    assert repr(found) == "Dataset(2 videos, 2 groups, classes: rest, walk)"
    assert load_dataset(tmp_path, background="other").classes == ("other", "rest", "walk")
    assert load_dataset(tmp_path, classes=["walk", "rest", "groom"]).classes == ("walk", "rest", "groom")


def test_what_annotations_alone_can_tell_is_an_error_before_any_video_is_opened(tmp_path):
    write_annotations(tmp_path, a="walk", b="wlak")
    with pytest.raises(AnnotationError, match=r"b\.csv: row 2: unknown class 'wlak' \(did you mean 'walk'"):
        load_dataset(tmp_path, classes=["walk", "rest"])
    with pytest.raises(AnnotationError, match=r"data\.background: unknown class 'other'"):
        load_dataset(tmp_path, classes=["walk", "wlak"], background="other")
    with pytest.raises(AnnotationError, match="expected clips of the split test, got none"):
        load_dataset(tmp_path, split="test")

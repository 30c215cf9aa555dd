"""Annotations that overlap → a 0 or 1 for each class of every frame, and the way from files and back to them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoseq.annotations.formats import read_annotation
from videoseq.annotations.multilabel import check_separable, make_multilabel_targets, split_labels
from videoseq.annotations.targets import find_classes, make_targets
from videoseq.annotations.types import IGNORE_INDEX, Annotation, ClassNames, Interval
from videoseq.config.yaml_file import load_settings
from videoseq.errors import AnnotationError, ConfigError
from videoseq.inference.frame_labels import FrameLabelSets
from videoseq.inference.paths import label_paths
from videoseq.inference.segments import MultilabelSegmentBuilder
from videoseq.inference.writer import LabelWriter

CLASSES = ClassNames(["groom", "rear", "sit"])
TENTHS = np.arange(10) / 10.0
NO = IGNORE_INDEX


def annotation(*spans: tuple[float, float, str], unit: str = "frames") -> Annotation:
    rows = (Interval(start, stop, label, row) for row, (start, stop, label) in enumerate(spans, start=2))
    return Annotation(Path("clip.csv"), unit, tuple(rows))


def targets_of(one: Annotation) -> list[list[int]]:
    targets, notices = make_multilabel_targets(split_labels(one), TENTHS, 1.0, CLASSES)
    assert notices == []
    return targets.T.tolist()


def read(folder: Path, *rows: str) -> Annotation:
    (folder / "clip.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return read_annotation(folder / "clip.csv", "multilabel")


def test_overlapping_intervals_by_hand():
    """Grooming while sitting; what no row covers has no class."""
    found = targets_of(annotation((0.1, 0.5, "sit"), (0.3, 0.8, "groom"), unit="seconds"))
    assert found == [[0, 0, 0, 1, 1, 1, 1, 1, 0, 0], [0] * 10, [0, 1, 1, 1, 1, 0, 0, 0, 0, 0]]


def test_a_label_names_several_classes_and_blanks_beside_them_do_not_count():
    assert targets_of(annotation((0, 2, "sit | groom"), (2, 4, "sit"))) == [
        [1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [0] * 10, [1, 1, 1, 1, 0, 0, 0, 0, 0, 0],
    ]  # fmt: skip
    assert targets_of(annotation((0, 1, "sit|sit"))) == targets_of(annotation((0, 1, "sit")))


def test_in_a_file_with_a_row_per_frame_no_label_is_no_class_and_no_row_is_unlabeled(tmp_path):
    found = targets_of(read(tmp_path, "frame,label", "1,sit|groom", "2,", "3,rear", "7,", "6,sit"))
    assert found == [
        [NO, 1, 0, 0, NO, NO, 0, 0, NO, NO], [NO, 0, 0, 1, NO, NO, 0, 0, NO, NO], [NO, 1, 0, 0, NO, NO, 1, 0, NO, NO],
    ]  # fmt: skip


def test_nothing_happens_in_a_clip_without_rows(tmp_path):
    assert targets_of(read(tmp_path, "start_s,stop_s,label")) == [[0] * 10] * 3


def test_rows_of_one_class_that_overlap_are_joined_and_said():
    spans = split_labels(annotation((0, 5, "sit"), (2, 6, "groom|sit"), (5, 9, "groom")))
    targets, notices = make_multilabel_targets(spans, TENTHS, 1.0, CLASSES)
    assert targets.T.tolist() == [[0, 0, 1, 1, 1, 1, 1, 1, 1, 0], [0] * 10, [1] * 6 + [0] * 4]
    assert [(one.code, one.message) for one in notices] == [
        ("intervals_overlap", "clip.csv: rows 3 and 4: two intervals of 'groom' overlap; taken as one"),
        ("intervals_overlap", "clip.csv: rows 2 and 3: two intervals of 'sit' overlap; taken as one"),
    ]


def test_one_class_a_frame_says_how_to_have_more():
    with pytest.raises(AnnotationError, match=r"rows 2 and 3: .*; a frame has one label, or several with data\.task="):
        make_targets(annotation((0, 5, "sit"), (2, 6, "groom")), TENTHS, 1.0, CLASSES)


@pytest.mark.parametrize("label", ["sit|", "|sit", "sit||groom", "|"])
def test_a_blank_class_is_an_error_that_names_the_row(label):
    with pytest.raises(AnnotationError) as caught:
        split_labels(annotation((0, 1, label)))
    assert str(caught.value) == f"clip.csv: row 2: expected classes with '|' between them, got {label!r}"


def test_an_unknown_class_within_a_label_is_an_error_that_names_the_nearest():
    one = split_labels(annotation((0, 2, "sit"), (2, 4, "sit|grom")))
    with pytest.raises(AnnotationError, match=r"^clip\.csv: row 3: unknown class 'grom' \(did you mean 'groom'\?\)"):
        make_multilabel_targets(one, TENTHS, 1.0, CLASSES)


def test_classes_are_found_within_labels_and_hold_no_separator():
    assert find_classes([split_labels(annotation((0, 2, "sit|groom"), (2, 4, "rear")))]) == CLASSES
    with pytest.raises(AnnotationError, match=r"^classes: 'a\|b' has a '\|' in it"):
        check_separable(ClassNames(["a|b", "c"]))


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("decoding.method=lag", "decoding.method: expected none with data.task=multilabel"),
        ("data.background=rest", "data.background: expected none with data.task=multilabel"),
    ],
)
def test_settings_without_meaning_are_refused_in_one_line(setting, text):
    with pytest.raises(ConfigError) as caught:
        load_settings(overrides=["data.task=multilabel", setting])
    assert str(caught.value).startswith(f"--set: {text}")
    assert "\n" not in str(caught.value)


def labels_of(is_active: np.ndarray) -> FrameLabelSets:
    """At four frames a second; a class that is there has a probability of 0.8, another of 0.3."""
    num_frames = len(is_active)
    index = np.arange(num_frames)
    probabilities = np.where(is_active, 0.8, 0.3)
    return FrameLabelSets(CLASSES, index, index / 4, np.zeros(num_frames, np.int64), probabilities, is_active)


def write(folder: Path, labels: FrameLabelSets, borders: list[int]) -> tuple[Path, Path]:
    edges = [0, *sorted(borders), len(labels)]
    with LabelWriter(folder / "clip.mp4") as writer:
        for start, stop in pairwise(edges):
            part = slice(start, stop)
            writer.add(
                FrameLabelSets(
                    CLASSES, labels.index[part], labels.seconds[part], labels.flags[part], labels.probabilities[part],
                    labels.is_active[part],
                )
            )  # fmt: skip
        writer.finish(len(labels) / 4)
    return label_paths(folder / "clip.mp4")


def test_files_by_hand(tmp_path):
    is_active = np.array([[0, 0, 1], [1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 0, 1]], bool)
    frames, segments = write(tmp_path, labels_of(is_active), [2])
    assert frames.read_text(encoding="utf-8").splitlines() == [
        "frame,time_s,label,confidence,p_groom,p_rear,p_sit,flags",
        "0,0.000000,sit,0.7000,0.3000,0.3000,0.8000,",
        "1,0.250000,groom|sit,0.7000,0.8000,0.3000,0.8000,",
        "2,0.500000,groom,0.7000,0.8000,0.3000,0.3000,",
        "3,0.750000,,0.7000,0.3000,0.3000,0.3000,",
        "4,1.000000,groom|sit,0.7000,0.8000,0.3000,0.8000,",
    ]
    assert segments.read_text(encoding="utf-8").splitlines() == [
        "start_s,stop_s,start_frame,stop_frame,label,confidence",
        "0.000000,0.500000,0,2,sit,0.8000",
        "0.250000,0.750000,1,3,groom,0.8000",
        "1.000000,1.250000,4,5,groom,0.8000",
        "1.000000,1.250000,4,5,sit,0.8000",
    ]


sets_of_frames = st.integers(1, 30).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=n, max_size=n)
)


@settings(max_examples=15)
@given(sets_of_frames, st.lists(st.integers(0, 30), max_size=4))
def test_both_files_are_read_back_as_the_targets_they_say_however_the_frames_came(tmp_path_factory, rows, borders):
    folder = tmp_path_factory.mktemp("files")
    labels = labels_of(np.array(rows, bool))
    whole = [path.read_bytes() for path in write(folder, labels, [])]
    paths = write(folder, labels, [min(border, len(labels)) for border in borders])
    assert [path.read_bytes() for path in paths] == whole
    for path in paths:
        written = read_annotation(path, "multilabel")
        targets, notices = make_multilabel_targets(written, labels.seconds, len(labels) / 4, CLASSES)
        assert np.array_equal(targets, labels.answers)
        assert notices == []
    starts = [
        (s.start_frame, CLASSES.index(s.label)) for s in replace(labels, duration_seconds=len(labels) / 4).segments()
    ]
    assert starts == sorted(starts)


def test_a_long_class_holds_back_those_that_began_after_it_and_nothing_else():
    is_active = np.zeros((6, 3), bool)
    is_active[0:1, 1] = is_active[1:6, 0] = is_active[2:3, 2] = True
    labels, builder = labels_of(is_active), MultilabelSegmentBuilder()
    assert [segment.label for segment in builder.add(labels)] == ["rear"]
    assert [segment.label for segment in builder.finish(1.5)] == ["groom", "sit"]

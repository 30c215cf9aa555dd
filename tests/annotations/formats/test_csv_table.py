"""Annotation CSV as people and tools write it: both kinds, every dialect of a spreadsheet, errors that name the row."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from videoseq.annotations.formats import read_annotation, write_annotation
from videoseq.annotations.segments import Segment
from videoseq.annotations.targets import find_classes, make_targets
from videoseq.annotations.types import IGNORE_INDEX, Annotation, ClassNames, Interval
from videoseq.errors import AnnotationError, OutputError
from videoseq.inference.frame_labels import FrameLabels
from videoseq.inference.paths import label_paths
from videoseq.inference.writer import LabelWriter

Reader = Callable[..., Annotation]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    def write_and_read(content: str | bytes, name: str = "clip.csv") -> Annotation:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_annotation(path)

    return write_and_read


def spans(annotation: Annotation) -> list[tuple[float, float, str, int]]:
    return [(i.start, i.stop, i.label, i.row) for i in annotation.intervals]


def write_csv(path: Path, rows: Iterable[Iterable[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_the_header_tells_the_kinds_apart(read):
    seconds = read("start_s,stop_s,label\n0,1.5,walk\n1.5,2,rest\n")
    assert (seconds.unit, spans(seconds)) == ("seconds", [(0, 1.5, "walk", 2), (1.5, 2, "rest", 3)])
    frames = read("label,stop_frame,start_frame\nwalk,30,0\n")
    assert (frames.unit, spans(frames)) == ("frames", [(0, 30, "walk", 2)])
    per_frame = read("frame,label\n0,walk\n1,walk\n2,rest\n4,rest\n")
    assert per_frame.unit == "frames"
    assert spans(per_frame) == [(0, 2, "walk", 2), (2, 3, "rest", 4), (4, 5, "rest", 5)]


def test_frames_win_over_seconds_where_both_are_there(read):
    both = read("start_s,stop_s,start_frame,stop_frame,label\n0,1,0,29,walk\n")
    assert (both.unit, spans(both)) == ("frames", [(0, 29, "walk", 2)])


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\xef\xbb\xbfstart_s,stop_s,label\n0,1.5,walk\n1.5,2,rest\n", "bom.csv"),
        (b"start_s,stop_s,label\r\n0,1.5,walk\r\n1.5,2,rest\r\n", "windows.csv"),
        (b"start_s,stop_s,label\r0,1.5,walk\r1.5,2,rest", "old_mac.csv"),
        (b"start_s;stop_s;label\n0;1.5;walk\n1.5;2;rest\n", "semicolons.csv"),
        (b"start_s\tstop_s\tlabel\n0\t1.5\twalk\n1.5\t2\trest\n", "tabs.TSV"),
        (b" start_s , stop_s, label \n 0, 1.5 ,walk \n1.50, 2e0, rest", "blanks.csv"),
        (b'"start_s","stop_s","label"\n"0","1.5","walk"\n"1.5","2","rest"\n', "quoted.csv"),
        (b'start_s,note,stop_s,label,\n0,"jumps, falls",1.5,walk,x\n1.5,,2,rest\n', "extra_columns.csv"),
    ],
)
def test_every_dialect_reads_alike(read, content, name):
    annotation = read(content, name)
    assert annotation.unit == "seconds"
    assert spans(annotation) == [(0, 1.5, "walk", 2), (1.5, 2, "rest", 3)]


def test_blank_lines_are_skipped_and_counted(read):
    assert spans(read("start_s,stop_s,label\n\n0,1,walk\n , ,\n\n1,2,rest\n\n")) == [
        (0, 1, "walk", 3),
        (1, 2, "rest", 6),
    ]
    assert spans(read("\n\nstart_s,stop_s,label\n0,1,walk\n")) == [(0, 1, "walk", 4)]


def test_semicolons_are_told_by_the_header_and_not_by_a_blank_line_before_it(read):
    assert spans(read("\nstart_s;stop_s;label\n0;1;walk\n")) == [(0, 1, "walk", 3)]


def test_columns_without_a_name_are_left_alone(read):
    """Spreadsheets write them where a cell was once formatted."""
    assert spans(read("start_s,stop_s,label,,\n0,1,walk,,\n")) == [(0, 1, "walk", 2)]


def test_a_quoted_comma_belongs_to_the_label(read):
    assert spans(read('frame,label\n0,"walk, slow"\n1,"say ""hi"""\n')) == [
        (0, 1, "walk, slow", 2),
        (1, 2, 'say "hi"', 3),
    ]


def test_delimiters_inside_a_quoted_column_name_count_for_nothing(read):
    content = 'start_s,stop_s,label,"notes; one; or; several; more"\n0,1,walk,\n'
    assert spans(read(content)) == [(0, 1, "walk", 2)]


def test_an_empty_label_is_unlabeled(read):
    assert spans(read("frame,label\n0,walk\n1,\n2,  \n3\n4,walk\n")) == [(0, 1, "walk", 2), (4, 5, "walk", 6)]
    assert spans(read("frame,label\n0,\n2,walk\n")) == [(2, 3, "walk", 3)]
    assert spans(read("start_s,stop_s,label\n0,1,\n,,\n1,2,walk\n")) == [(1, 2, "walk", 4)]
    assert spans(read("frame,label\n")) == []


def test_frames_may_stand_in_any_order(read):
    assert spans(read("frame,label\n2,walk\n0,rest\n1,walk\n")) == [(0, 1, "rest", 3), (1, 3, "walk", 4)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("frame,label\n0,walk\n1,rest\n0,rest\n", "row 4: frame 0 stands in row 2 already"),
        ("frame,label\n0,walk\nten,walk\n", "row 3: frame: expected a frame number, 0 or more, got 'ten'"),
        ("frame,label\n-1,walk\n", "row 2: frame: expected a frame number, 0 or more, got '-1'"),
        ("frame,label\n1_0,walk\n", "row 2: frame: expected a frame number, 0 or more, got '1_0'"),
        ("frame,label\n1.5,walk\n", "row 2: frame: expected a frame number, 0 or more, got '1.5'"),
        ("frame,label\n,walk\n", "row 2: frame: expected a frame number, 0 or more, got ''"),
        ("start_frame,stop_frame,label\n0,2.5,a\n", "row 2: stop_frame: expected a frame number, 0 or more, got '2.5'"),
        ("start_s,stop_s,label\n0,1,a\n1,nan,a\n", "row 3: stop_s: expected seconds as a number, 0 or more, got 'nan'"),
        ("start_s,stop_s,label\n0,inf,walk\n", "row 2: stop_s: expected seconds as a number, 0 or more, got 'inf'"),
        ("start_s,stop_s,label\n-0.5,1,walk\n", "row 2: start_s: expected seconds as a number, 0 or more, got '-0.5'"),
        ("start_s;stop_s;label\n0,5;1;walk\n", "row 2: start_s: expected seconds as a number, 0 or more, got '0,5'"),
        ("start_s,stop_s,label\n00:01,2,a\n", "row 2: start_s: expected seconds as a number, 0 or more, got '00:01'"),
        ("start_s,stop_s,label\n2,2,walk\n", "row 2: expected 0 <= start < stop, got 2 and 2"),
        ("start_s,stop_s,label\n0,1,walk, slow\n", "row 2: expected 3 cells, got 4; quote what holds a delimiter"),
        ("frame,label,label\n0,walk,rest\n", "expected each column once, got frame,label,label"),
        ("", "expected a header and rows, got an empty file"),
        (" \n,,\n\n", "expected a header and rows, got an empty file"),
        (b"frame,label\n0,caf\xe9\n", "expected UTF-8 text, got byte 0xe9 at 17"),
        ("frame,label\n0,walk\n".encode("utf-16"), "expected UTF-8 text, got byte 0xff at 0"),
        ('frame,label\n0,walk\n1,"rest\n', "row 3: not valid CSV; unexpected end of data"),
        ('frame,label\n0,"walk" fast\n', "row 2: not valid CSV; ',' expected after '\"'"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_an_error_that_names_the_row(read, tmp_path, content, message):
    with pytest.raises(AnnotationError) as caught:
        read(content)
    assert str(caught.value).startswith(f"{tmp_path / 'clip.csv'}: {message}")
    assert "\n" not in str(caught.value)


def test_an_unterminated_quote_is_named_where_it_opens(read):
    with pytest.raises(AnnotationError, match=r"clip\.csv: row 3: not valid CSV"):
        read('frame,label\n0,walk\n1,"rest\n2,rest\n3,rest\n4,rest\n')


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        ("frame,labels", r"'labels' \(did you mean 'label'\?\)"),
        ("start_s,stops_s,label", r"'stops_s' \(did you mean 'stop_s'\?\)"),
        ("note,start_frames,stop_frame,label", r"'start_frames' \(did you mean 'start_frame'\?\)"),
        ("Frame,label", r"'Frame' \(did you mean 'frame'\?\)"),
    ],
)
def test_a_wrong_column_is_an_error_that_names_the_nearest(read, header, hint):
    columns = "frame,label or start_s,stop_s,label or start_frame,stop_frame,label"
    with pytest.raises(AnnotationError, match=rf"clip\.csv: expected the columns {columns}, got {header}; {hint}$"):
        read(f"{header}\n0,walk\n")


def test_a_column_that_is_there_already_is_not_the_hint(read):
    with pytest.raises(AnnotationError, match=r"got labeler,label,start_s,stops_s; 'stops_s' \(did you mean 'stop_s'"):
        read("labeler,label,start_s,stops_s\nme,walk,0,1\n")


def test_columns_of_something_else_get_no_hint(read):
    with pytest.raises(AnnotationError, match=r"expected the columns frame,label or .*, got x,y$"):
        read("x,y\n1,2\n")


def test_a_file_that_is_not_there_or_of_no_known_kind_is_an_error(read, tmp_path):
    with pytest.raises(AnnotationError, match=r"none\.csv: expected an annotation file, found nothing there"):
        read_annotation(tmp_path / "none.csv")
    with pytest.raises(AnnotationError, match=r"clip\.docx: expected an annotation file \(\.csv, .*\), got \.docx"):
        read("x", "clip.docx")
    with pytest.raises(AnnotationError, match=r"clip: expected an annotation file \(\.csv, .*\), got no suffix"):
        read("x", "clip")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(AnnotationError, match=r"folder\.csv: could not be read; Is a directory"):
        read_annotation(tmp_path / "folder.csv")


LABELS = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=9).filter(
    lambda text: text == text.strip()
)
CLASS_LISTS = st.lists(
    LABELS, min_size=2, max_size=4, unique_by=lambda text: "".join(normalize("NFKC", text).casefold().split())
)


@settings(max_examples=150)
@given(CLASS_LISTS, st.data())
def test_per_frame_rows_and_intervals_of_the_same_labels_give_equal_targets(tmp_path_factory, names, data):
    labels = data.draw(st.lists(st.sampled_from([*names, ""]), min_size=1, max_size=30).filter(any))
    folder = tmp_path_factory.getbasetemp()
    runs = [list(run) for _, run in groupby(range(len(labels)), key=labels.__getitem__)]
    paths = [
        write_csv(folder / "frames.csv", [("frame", "label"), *enumerate(labels)]),
        write_csv(
            folder / "intervals.csv",
            [("start_frame", "stop_frame", "label"), *((run[0], run[-1] + 1, labels[run[0]]) for run in runs)],
        ),
        write_csv(
            folder / "seconds.csv",
            [
                ("start_s", "stop_s", "label"),
                *((f"{run[0] / 30:.3f}", f"{(run[-1] + 1) / 30:.3f}", labels[run[0]]) for run in runs),
            ],
        ),
    ]
    seconds, duration = np.arange(len(labels)) / 30, len(labels) / 30
    for path in paths:
        annotation = read_annotation(path)
        classes = find_classes([annotation])
        targets, notices = make_targets(annotation, seconds, duration, classes)
        assert notices == []
        assert [classes[t] if t != IGNORE_INDEX else "" for t in targets.tolist()] == labels


@settings(max_examples=100)
@given(CLASS_LISTS, st.lists(st.integers(0, 1), min_size=1, max_size=40), st.integers(1, 41))
@example(["a;b;c;d;e;f;g;h", "x"], [0, 1, 1], 2)
def test_videoseqs_own_files_read_back_exactly(tmp_path_factory, names, labels, chunk):
    target = tmp_path_factory.getbasetemp() / "clip.mp4"
    classes = ClassNames(names)
    probabilities = np.full((len(labels), len(classes)), 0.1)
    probabilities[np.arange(len(labels)), labels] = 0.9
    seconds, duration = np.arange(len(labels)) * 1001 / 30000, len(labels) * 1001 / 30000
    with LabelWriter(target) as writer:
        for start in range(0, len(labels), chunk):
            part = slice(start, start + chunk)
            index = np.arange(len(labels))[part]
            flags = np.zeros_like(index)
            writer.add(FrameLabels(classes, index, seconds[part], flags, probabilities[part], np.array(labels)[part]))
        writer.finish(duration)
    for path in label_paths(target):
        annotation = read_annotation(path)
        assert annotation.unit == "frames"
        targets, notices = make_targets(annotation, seconds, duration, classes)
        assert targets.tolist() == labels
        assert notices == []


# writing


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("unit", ["seconds", "frames"])
def test_what_is_written_is_read_back(unit, suffix, tmp_path):
    labels = ["walk", "a, b", 'say "hi"']
    intervals = tuple(Interval(2 * n, 2 * n + 1, label, n + 2) for n, label in enumerate(labels))
    path = tmp_path / f"clip{suffix}"
    write_annotation(path, Annotation(path, unit, intervals))
    assert read_annotation(path) == Annotation(path, unit, intervals)


def test_segments_are_written_in_seconds_and_no_file_is_replaced_unasked(tmp_path):
    path = tmp_path / "clip.csv"
    write_annotation(path, [Segment(0.0, 1 / 3, 0, 10, "rain", 0.9)])
    assert path.read_text() == "start_s,stop_s,label\n0.000000,0.333333,rain\n"
    with pytest.raises(OutputError, match=r"clip\.csv: expected a new file, got one that exists"):
        write_annotation(path, [])
    write_annotation(path, [Interval(0.5, 1.5, "sun", 0)], overwrite=True)
    assert path.read_text() == "start_s,stop_s,label\n0.500000,1.500000,sun\n"
    with pytest.raises(AnnotationError, match=r"expected an annotation file \(\.csv, \.tsv\), got \.txt"):
        write_annotation(tmp_path / "clip.txt", [])

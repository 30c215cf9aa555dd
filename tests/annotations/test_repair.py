"""Whether an annotation fits its video: each misfit is found and mended, and a good file is never accused."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby, pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from videoseq.annotations.formats import read_annotation
from videoseq.annotations.repair import Finding, Fit, check_fit, write_repaired
from videoseq.annotations.targets import find_classes, make_targets
from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.errors import AnnotationError

LABELS = ("groom", "rest", "walk")
KINDS = {
    "frames": ["start_frame", "stop_frame", "label", "note"],
    "seconds": ["start_s", "stop_s", "label", "note"],
    "per_frame": ["frame", "label", "note"],
}


@dataclass(frozen=True)
class Video:
    seconds: np.ndarray
    duration: float
    header_fps: float | None = None

    @classmethod
    def regular(cls, num_frames: int, fps: float, header_fps: float | None = None) -> Video:
        return cls(np.arange(num_frames) / fps, num_frames / fps, header_fps)

    def check(self, path: Path, *, is_multilabel: bool = False) -> Fit:
        return check_fit(path, self.seconds, self.duration, self.header_fps, is_multilabel=is_multilabel)

    @property
    def times(self) -> list[float]:
        return [*self.seconds.tolist(), self.duration]


TWENTY = Video.regular(20, 10)
TEN_SECONDS = Video.regular(250, 25)
VARIABLE = Video(np.array([0.0, 0.1, 0.2, 0.3, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), 8.0, 25.0)
HEADERS = {"i": "start_frame,stop_frame,label", "s": "start_s,stop_s,label", "f": "frame,label"}


def write(tmp_path: Path, kind: str, rows: str) -> Path:
    path = tmp_path / "clip.csv"
    path.write_text("\n".join([HEADERS[kind], *rows.split()]) + "\n", encoding="utf-8")
    return path


def brief(findings: tuple[Finding, ...]) -> list[str]:
    """Each code with ``!`` for an error and ``+`` for a fix; unlabeled gaps are left out."""
    return [f.code + "!" * f.is_error + "+" * bool(f.fix) for f in findings if f.code != "gap_unlabeled"]


def repaired_text(fit: Fit, path: Path) -> str:
    write_repaired(fit, path)
    return " ".join(path.read_text(encoding="utf-8").split("\n")[1:]).strip()


def targets_of(path: Path, video: Video) -> tuple[list[str], list[str]]:
    annotation = read_annotation(path)
    if not annotation.labels:
        return [""] * len(video.seconds), []
    classes = find_classes([annotation])
    targets, notices = make_targets(annotation, video.seconds, video.duration, classes)
    return [classes[t] if t != IGNORE_INDEX else "" for t in targets.tolist()], [n.message for n in notices]


@pytest.mark.parametrize(
    ("kind", "rows", "codes", "named", "repaired"),
    [
        ("i", "0,5,a 20,25,b 30,31,c", ["rows_past_end!+"], "rows 3 and 4:", "0,5,a"),
        ("f", "0,a 22,b 23,b 24,b 25,b 26,b", ["rows_past_end!+"], "rows 3, 4, 5 and 2 more:", "0,a"),
        ("i", "20,25,b 30,31,c", ["rows_past_end!"], "rows 2 and 3:", "20,25,b 30,31,c"),
        ("i", "0,5,a 5,22,b", ["rows_past_end+"], "row 3:", "0,5,a 5,20,b"),
        ("s", "0,1,a 1,2.3,b", ["rows_past_end+"], "row 3:", "0,1,a 1,2.0,b"),
        ("s", "0,1,a 1,2.09,b", [], "", "0,1,a 1,2.09,b"),
        ("s", "0.5,1,a 2,2.09,b", ["rows_past_end!+"], "row 3:", "0.5,1,a"),
        ("i", "1,6,a 6,21,b", ["frames_from_one!+"], "row 3:", "0,5,a 5,20,b"),
        ("i", "2,6,a 6,21,b", ["rows_past_end+"], "row 3:", "2,6,a 6,20,b"),
        ("f", "19,a 20,b", ["frames_from_one!+"], "row 3:", "18,a 19,b"),
        ("f", "0,a 20,b", ["rows_past_end!+"], "row 3:", "0,a"),
        ("i", "0,4,a 5,9,b 10,19,a", ["stop_inclusive!+"], "rows 2, 3 and 4:", "0,5,a 5,10,b 10,20,a"),
        ("i", "1,5,a 6,20,b", ["stop_inclusive!+", "frames_from_one!+"], "rows 2 and 3:", "0,5,a 5,20,b"),
        ("i", "3,4,a 5,7,b 8,8,a 9,12,b", ["stop_inclusive!+"], "rows 2, 3, 4 and 5:", "3,5,a 5,8,b 8,9,a 9,13,b"),
        ("i", "3,4,a 5,7,b", [], "", "3,4,a 5,7,b"),
        ("i", "0,4,a 5,9,b 11,19,a", [], "", "0,4,a 5,9,b 11,19,a"),
        ("i", "0,19,a", [], "", "0,19,a"),
        ("i", "0,,a 5,10,b", ["unpaired_start!+"], "row 2:", "0,5,a 5,10,b"),
        ("i", "5,10,b 12,,a", ["unpaired_start!+"], "row 3:", "5,10,b 12,20,a"),
        ("i", "0,,a 4,5, ,8,b", ["unpaired_start!+", "unpaired_start!+"], "row 2:", "0,4,a 4,5,"),
        ("s", "0.5,,a", ["unpaired_start!+"], "row 2:", "0.5,2.0,a"),
        ("i", "25,,a 0,1,b", ["unpaired_start!+", "rows_past_end!+"], "row 2:", "0,1,b"),
        ("i", "0,5,a ,9, 8,,", [], "", "0,5,a ,9, 8,,"),
        ("i", "9,3,a", ["reversed!+"], "row 2:", "3,9,a"),
        ("i", "3,3,a 4,9,b", ["empty_interval!+"], "row 2:", "4,9,b"),
        ("s", "0.11,0.15,a 0.5,1,b", ["empty_interval+"], "row 2:", "0.5,1,b"),
        ("i", "0,9,a 5,12,b", ["overlap!+"], "rows 2/3:", "0,5,a 5,12,b"),
        ("i", "0,9,a 3,5,b 4,6,c", ["overlap!+"], "rows 2/3 and 3/4:", "0,3,a 3,4,b 4,6,c"),
        ("i", "0,9,a 0,12,b", ["overlap!"], "rows 2/3:", "0,9,a 0,12,b"),
        ("i", "0,9,a 3,5,a 8,12,a", ["overlap+"], "rows 2/3 and 2/4:", "0,12,a"),
        ("s", "0.51,0.7,a 0.55,1,b", ["overlap!+", "empty_interval+"], "rows 2/3:", "0.55,1,b"),
        ("s", "0,x,a 1,-2,b 1.5,2,c ,,d", ["not_a_number!"], "rows 2, 3 and 5:", "0,x,a 1,-2,b 1.5,2,c ,,d"),
        ("i", "0,1.5,a", ["not_a_number!"], "row 2:", "0,1.5,a"),
        ("s", "0,x, 1.5,2,c", [], "", "0,x, 1.5,2,c"),
        ("f", "0,a x, ,b", ["not_a_number!"], "rows 3 and 4:", "0,a x, ,b"),
        ("f", "0,a 1,b 1,b", ["duplicate_frame!+"], "row 4:", "0,a 1,b"),
        ("f", "0,a 1,b 1,a 1,b", ["duplicate_frame!+", "duplicate_frame!"], "row 5:", "0,a 1,b 1,a"),
        ("f", "0,A 1,a 2,a 2,A", ["alike_labels!+", "duplicate_frame!+"], "rows 3 and 4:", "0,A 1,A 2,A"),
        ("i", "0,9,A 5,12,a", ["alike_labels!+", "overlap+"], "row 3:", "0,12,A"),
        ("f", "0,e\u0301 1,\u00e9 2,\u00e9", ["alike_labels!+"], "row 2:", "0,\u00e9 1,\u00e9 2,\u00e9"),
        ("f", "0,a 1, 2,", [], "", "0,a 1, 2,"),
    ],
)  # fmt: skip
def test_each_misfit_is_found_named_and_mended(tmp_path, kind, rows, codes, named, repaired):
    path = write(tmp_path, kind, rows)
    before = path.read_text(encoding="utf-8")
    fit = TWENTY.check(path)
    assert brief(fit.findings) == codes
    assert not codes or fit.findings[0].message.startswith(named)
    assert repaired_text(fit, tmp_path / "out.csv") == repaired
    assert fit.is_repaired == (rows != repaired)
    assert not TWENTY.check(tmp_path / "out.csv").is_repaired
    assert path.read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    ("video", "kind", "rows", "codes", "drift", "repaired"),
    [
        (TEN_SECONDS, "i", "0,150,a 150,300,b", ["rate_mismatch!+"], "2000 ms", "0,125,a 125,250,b"),
        (TEN_SECONDS, "i", "310,320,b 0,30,a", ["rows_past_end!+"], "", "0,30,a"),
        (TEN_SECONDS, "i", "30,60,a 290,300,b", ["rows_past_end!+"], "", "30,60,a"),
        (TEN_SECONDS, "i", "30,60,a 270,280,b 290,300,b", ["rate_mismatch!+"], "2000 ms",
         "25,50,a 225,233,b 242,250,b"),
        (TEN_SECONDS, "i", "60,30,a 270,280,b 290,,b 299,300,c", ["rate_mismatch!+", "unpaired_start!+", "reversed!+"],
         "2000 ms", "25,50,a 225,233,b 242,249,b 249,250,c"),
        (TEN_SECONDS, "i", "300,,b 0,1,a", ["unpaired_start!+", "rows_past_end!+"], "", "0,1,a"),
        (TEN_SECONDS, "s", "0,5.2083,a 5.2083,10.4167,b", ["rate_mismatch!+"], "417 ms",
         "0,4.999968,a 4.999968,10.000032,b"),
        (TEN_SECONDS, "s", "0,5,a 5,8.3333,b", ["rate_mismatch"], "1667 ms", "0,5,a 5,8.3333,b"),
        (TEN_SECONDS, "s", "0,5,a 5.1,8.3333,b", [], "", "0,5,a 5.1,8.3333,b"),
        (TEN_SECONDS, "i", "0,240,a", ["rate_mismatch"], "400 ms", "0,240,a"),
        (TEN_SECONDS, "s", "0,5,a 5,10.03,b", [], "", "0,5,a 5,10.03,b"),
        (TEN_SECONDS, "s", "0,5,a 5,10.045,b", ["rows_past_end+"], "", "0,5,a 5,10.0,b"),
        (Video.regular(250, 25, 12.0), "s", "0,20.8333,a", ["rate_mismatch!+"], "10833 ms", "0,9.999984,a"),
        (Video.regular(240, 24000 / 1001), "s", "0,10,a", [], "", "0,10,a"),
        (Video.regular(20, 25), "f", " ".join(f"{n},{'ab'[n > 8]}" for n in range(24)), ["rate_mismatch!+"], "160 ms",
         " ".join(f"{n},{'ab'[n > 7]}" for n in range(20))),
        (VARIABLE, "s", "0,0.4,a", ["rate_mismatch", "variable_rate_drift"], "7600 ms", "0,0.4,a"),
        (VARIABLE, "s", "0,4,a 4,8,b", ["variable_rate_drift"], "2100 ms", "0,4,a 4,8,b"),
        (VARIABLE, "i", "0,4,a 4,10,b", [], "", "0,4,a 4,10,b"),
        (VARIABLE, "i", "0,4,a 190,200,b 20,,a", ["rate_mismatch!", "unpaired_start!+"], "152000 ms",
         "0,4,a 190,200,b 20,190,a"),
    ],
)  # fmt: skip
def test_labels_counted_at_another_rate(tmp_path, video, kind, rows, codes, drift, repaired):
    fit = video.check(write(tmp_path, kind, rows))
    assert brief(fit.findings) == codes
    assert drift in " ".join(f.message for f in fit.findings if f.code != "gap_unlabeled")
    assert repaired_text(fit, tmp_path / "out.csv") == repaired


@pytest.mark.parametrize(
    ("video", "kind", "rows", "codes", "repaired"),
    [
        (Video.regular(2, 10), "f", "3,a 1,a 2,", ["rows_past_end!+", "frames_from_one!+"], "0,a 1,"),
        (TWENTY, "i", "0,4,a 5,19,b 30,31,c", ["rows_past_end!+", "stop_inclusive!+"], "0,5,a 5,20,b"),
        (TWENTY, "i", "4,0,a 5,19,b", ["reversed!+", "stop_inclusive!+"], "0,5,a 5,20,b"),
        (TEN_SECONDS, "i", "0,150,a 150,300, 900,901,b", ["rows_past_end!+", "rate_mismatch!+"], "0,125,a 125,250,"),
    ],
)
def test_a_mistake_that_another_one_hides_is_mended_as_well(tmp_path, video, kind, rows, codes, repaired):
    fit = video.check(write(tmp_path, kind, rows))
    assert brief(fit.findings) == codes
    assert repaired_text(fit, tmp_path / "out.csv") == repaired
    assert video.check(tmp_path / "out.csv").findings == tuple(f for f in fit.findings if not f.fix)


def test_gaps_are_counted_and_unlabeled_rows_fill_them(tmp_path):
    (gap,) = TWENTY.check(write(tmp_path, "i", "0,5,a 5,8, 12,20,b")).findings
    assert gap == Finding(
        "gap_unlabeled", "4 of 20 frames are in no row, the first is frame 8; they count as unlabeled", "", False
    )


def test_every_message_is_golden_for_one_bad_file(tmp_path):
    rows = "0,4,a 6,,b 9,7,A 8,10,b 12,12,a 14,x,a 15,40,b 50,60,b"
    fit = TWENTY.check(write(tmp_path, "i", rows))
    assert [f"{f.message} -> {f.fix}" for f in fit.findings] == [
        "row 7: expected frame numbers, 0 or more, got 'x'; correct the cells by hand -> ",
        "row 4: 'A' and 'a' differ by case, blanks or the encoding of accents alone -> "
        "write 'a', which is there more often or first",
        "row 3: a start without a stop -> stop where the next row starts, or else at the video's end",
        "row 4: stops before it starts -> swap start and stop",
        "row 9: starts after the video, which ends at 20 frames; is it another video's file? -> drop the rows",
        "row 8: stops after the video, which ends at 20 frames -> stop at the video's end",
        "row 6: stops where it starts -> drop the rows",
        "rows 3/4 and 4/5: different labels overlap, and a frame has one -> "
        "the later start wins, the earlier row stops there",
        "7 of 20 frames are in no row, the first is frame 4; they count as unlabeled -> ",
    ]
    assert repaired_text(fit, tmp_path / "out.csv") == "0,4,a 6,7,b 7,8,a 8,10,b 14,x,a 15,20,b"


def test_other_columns_blank_lines_and_dialects_survive(tmp_path):
    path = tmp_path / "clip.tsv"
    path.write_text(
        '\ufeffnote;start_frame; stop_frame;label;\n"a; b";1;8;x, y;\n\n;9;12;;\nlast;12;21;"q""";z\n', "utf-8"
    )
    fit = TWENTY.check(path)
    assert [f.message.split(":")[0] for f in fit.findings if f.code == "frames_from_one"] == ["row 5"]
    write_repaired(fit, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text("utf-8") == (
        'note,start_frame,stop_frame,label,\na; b,0,7,"x, y",\n,8,11,,\nlast,11,20,"q""",z\n'
    )


def test_frames_win_over_seconds_and_those_stay_as_they_are(tmp_path):
    path = tmp_path / "clip.csv"
    path.write_text("start_s,stop_s,start_frame,stop_frame,label\n0,99,1,21,a\n")
    fit = TWENTY.check(path)
    assert brief(fit.findings) == ["frames_from_one!+"]
    assert fit.rows == [{"start_s": "0", "stop_s": "99", "start_frame": "0", "stop_frame": "20", "label": "a"}]


@pytest.mark.parametrize(("content", "message"), [("a,b\n1,2\n", "expected the columns"), ("", "expected a header")])
def test_what_is_no_annotation_is_an_error(tmp_path, content, message):
    (tmp_path / "clip.csv").write_text(content)
    with pytest.raises(AnnotationError, match=message):
        TWENTY.check(tmp_path / "clip.csv")


def test_a_file_without_rows_has_only_a_gap(tmp_path):
    for kind in HEADERS:
        fit = TWENTY.check(write(tmp_path, kind, ""))
        assert [f.code for f in fit.findings] == ["gap_unlabeled"]
        assert not fit.is_repaired


# --- properties -------------------------------------------------------------------------------------------------

VIDEOS = st.one_of(
    st.builds(Video.regular, st.integers(1, 60), st.sampled_from([8.46, 24.0, 25.0, 30000 / 1001, 60.0])),
    st.lists(st.sampled_from([0.02, 0.04, 0.1, 1.5]), min_size=1, max_size=40).map(
        lambda steps: Video(np.cumsum([0.0, *steps[:-1]]), float(np.sum(steps)), 25.0)
    ),
)


def table_of(kind: str, labels: list[str | None], video: Video) -> list[list[str]]:
    """Rows for a label per frame; None is in no row."""
    if kind == "per_frame":
        return [[str(n), label, f"note {n}"] for n, label in enumerate(labels) if label is not None]
    runs = [list(run) for _, run in groupby(range(len(labels)), key=labels.__getitem__)]
    name = str if kind == "frames" else lambda n: f"{video.times[n]:.3f}"
    kept = [run for run in runs if labels[run[0]] is not None]
    return [[name(run[0]), name(run[-1] + 1), labels[run[0]], f"note {run[0]}"] for run in kept]


def save(path: Path, kind: str, rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([KINDS[kind], *rows])
    return path


@settings(max_examples=200)
@given(VIDEOS, st.sampled_from(list(KINDS)), st.data())
def test_a_good_file_is_never_accused(tmp_path_factory, video, kind, data):
    size = len(video.seconds)
    choices = data.draw(st.sampled_from([LABELS, (*LABELS, ""), (*LABELS, None), (*LABELS, "", None)]))
    changes = data.draw(st.lists(st.tuples(st.integers(1, 12), st.sampled_from(choices)), min_size=size, max_size=size))
    labels = [label for length, label in changes for _ in range(length)][:size]
    rows = table_of(kind, labels, video)
    if kind == "frames":  # a one-frame hole after every interval is what inclusive stops look like
        assume(len(rows) < 2 or any(int(b[0]) != int(a[1]) + 1 for a, b in pairwise(rows)))
    path = save(tmp_path_factory.getbasetemp() / "good.csv", kind, rows)
    fit = video.check(path)
    assert [f for f in fit.findings if f.is_error] == []
    assert not fit.is_repaired
    if None not in labels:
        assert [f.code for f in fit.findings if f.code != "variable_rate_drift"] == []
    else:
        gaps = [f.message for f in fit.findings if f.code == "gap_unlabeled"]
        assert [message.split(" of ")[0] for message in gaps] == [str(labels.count(None))]


def is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def damage(rows: list[list[str]], kind: str, video: Video, draw: Callable[[st.SearchStrategy], Any]) -> None:
    """One mistake that people and tools make, in a random place."""
    numbers = [0] if kind == "per_frame" else [0, 1]
    row, pick = draw(st.sampled_from(rows)), draw(st.sampled_from(numbers))
    value = draw(st.one_of(st.integers(0, 90), st.just(len(video.seconds)))) * (0.04 if kind == "seconds" else 1)
    ratio = draw(st.sampled_from([25 / 24, 1.2, 2.0, 0.5, 1.25, 25 / 8.46, 60 / 25]))

    def change(rows: list[list[str]], columns: list[int], new: Callable[[float], float]) -> None:
        for row, column in product(rows, columns):
            if is_number(row[column]):
                number = max(0, new(float(row[column])))
                row[column] = f"{number:.4f}" if kind == "seconds" else str(round(number))

    mistakes: dict[str, Callable[[], object]] = {
        "from_one": lambda: change(rows, numbers, lambda n: n + 1),
        "inclusive": lambda: change(rows, numbers[1:], lambda n: n - 1),
        "rate": lambda: change(rows, numbers, lambda n: n * ratio),
        "move": lambda: change([row], numbers, lambda n: n + value),
        "extend": lambda: change([row], [pick], lambda n: value),
        "swap": lambda: row.__setitem__(slice(0, 2), row[1::-1]) if kind != "per_frame" else None,
        "twice": lambda: rows.insert(draw(st.integers(0, len(rows))), list(row)),
        "blank": lambda: row.__setitem__(pick, ""),
        "respell": lambda: row.__setitem__(-2, row[-2].upper()),
        "relabel": lambda: row.__setitem__(-2, draw(st.sampled_from(LABELS))),
        "junk": lambda: row.__setitem__(pick, draw(st.sampled_from(["x", "-1", "0,5", "nan", "1.5"]))),
    }
    mistakes[draw(st.sampled_from(list(mistakes)))]()


@settings(max_examples=200)
@given(VIDEOS, st.sampled_from(list(KINDS)), st.integers(1, 4), st.booleans(), st.data())
def test_a_repaired_table_is_read_and_fits(tmp_path_factory, video, kind, num_damages, is_multilabel, data):
    size = len(video.seconds)
    changes = data.draw(
        st.lists(st.tuples(st.integers(1, 12), st.sampled_from([*LABELS, "", None])), min_size=size, max_size=size)
    )
    rows = table_of(kind, [label for length, label in changes for _ in range(length)][:size], video)
    assume(rows)
    for _ in range(num_damages):
        damage(rows, kind, video, data.draw)
    folder = tmp_path_factory.getbasetemp()
    fit = video.check(save(folder / "bad.csv", kind, rows), is_multilabel=is_multilabel)
    write_repaired(fit, folder / "mended.csv")

    assert all("\n" not in f.message and f.message for f in fit.findings)
    originals = [dict(zip(KINDS[kind], row, strict=True)) for row in rows]
    assert fit.is_repaired == (fit.rows != originals)
    assert not fit.is_repaired or any(f.fix for f in fit.findings)
    notes, kept = [row["note"] for row in originals], iter(row["note"] for row in originals)
    assert all(row["note"] in kept for row in fit.rows), "the rows that are left keep their order"
    assert len(fit.rows) <= len(notes)
    labeled = {i for i, row in enumerate(originals) if not row["label"]}
    if kind != "per_frame":
        assert sum(not row["label"] for row in fit.rows) == len(labeled), "unlabeled intervals stay"
    again = video.check(folder / "mended.csv", is_multilabel=is_multilabel)
    assert not again.is_repaired
    assert sorted(f.code for f in again.findings) == sorted(f.code for f in fit.findings if not f.fix)
    if not is_multilabel and all(f.fix for f in fit.findings if f.is_error):
        assert targets_of(folder / "mended.csv", video)[1] == []


@settings(max_examples=100)
@given(st.sampled_from([(25.0, 30.0), (25.0, 60.0), (24.0, 25.0), (30000 / 1001, 50.0)]), st.booleans(), st.data())
def test_another_rate_is_undone_to_within_a_frame(tmp_path_factory, rates, is_seconds, data):
    fps, other = (rates[1], rates[0]) if is_seconds else rates
    video = Video.regular(data.draw(st.integers(400, 900)), fps)
    size = len(video.seconds)
    cuts = sorted(data.draw(st.sets(st.integers(1, size - 1), max_size=6)) | {0, size})
    truth = [LABELS[n % 3] for n, (a, b) in enumerate(pairwise(cuts)) for _ in range(b - a)]
    name = (lambda n: f"{n / other:.6f}") if is_seconds else (lambda n: str(round(n * other / fps)))
    rows = [[name(a), name(b), LABELS[n % 3], ""] for n, (a, b) in enumerate(pairwise(cuts))]
    folder = tmp_path_factory.getbasetemp()
    fit = video.check(save(folder / "drifting.csv", "seconds" if is_seconds else "frames", rows))
    assert brief(fit.findings) == ["rate_mismatch!+"]
    write_repaired(fit, folder / "steady.csv")
    labels, notices = targets_of(folder / "steady.csv", video)
    assert notices == []
    # 30 and 29.97 frames a second are told apart by the last frame alone; either is right to within a frame
    assert sum(a != b for a, b in zip(labels, truth, strict=True)) <= len(cuts)


@settings(max_examples=100)
@given(st.sampled_from(["frames", "per_frame"]), st.booleans(), st.data())
def test_other_ways_to_count_frames_are_undone(tmp_path_factory, kind, is_inclusive, data):
    labels = data.draw(st.lists(st.sampled_from(LABELS), min_size=3, max_size=60))
    assume(len(set(labels)) > 1)
    video = Video.regular(len(labels), 25)
    rows = table_of(kind, labels, video)
    for row in rows:
        row[0] = str(int(row[0]) + 1)
        if kind == "frames":
            row[1] = str(int(row[1]) + (not is_inclusive))
    folder = tmp_path_factory.getbasetemp()
    fit = video.check(save(folder / "one.csv", kind, rows))
    write_repaired(fit, folder / "zero.csv")
    assert targets_of(folder / "zero.csv", video) == (labels, [])
    assert ClassNames(sorted({row["label"] for row in fit.rows})) == tuple(sorted(set(labels)))


@pytest.mark.parametrize(
    ("kind", "rows", "codes", "repaired"),
    [
        ("i", "0,9,a 5,12,b 5,9,c", [], "0,9,a 5,12,b 5,9,c"),
        ("i", "0,9,a 2,5,b 3,12,a", ["overlap+"], "0,12,a 2,5,b"),
        ("i", "0,9,A 5,12,a 6,8,b", ["alike_labels!+", "overlap+"], "0,12,A 6,8,b"),
        ("f", "0,a|b 1, 2,", ["gap_unlabeled"], "0,a|b 1, 2,"),
    ],
)
def test_behaviors_that_overlap_are_left_alone_and_what_no_interval_covers_is_no_gap(
    tmp_path, kind, rows, codes, repaired
):
    path = write(tmp_path, kind, rows)
    fit = TWENTY.check(path, is_multilabel=True)
    found = [f.code + "!" * f.is_error + "+" * bool(f.fix) for f in fit.findings]
    assert found == codes
    assert repaired_text(fit, tmp_path / "out.csv") == repaired

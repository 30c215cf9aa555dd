"""Annotations → targets: half-open by frame time, exact after rounding to milliseconds, and every misfit is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoseq.annotations.targets import find_classes, make_targets
from videoseq.annotations.types import IGNORE_INDEX, Annotation, ClassNames, Interval
from videoseq.errors import AnnotationError

CLASSES = ClassNames(["rest", "walk"])
TENTHS = np.arange(10) / 10.0  # frames at 0.0, 0.1, … 0.9; the video ends at 1.0


def annotation(*spans: tuple[float, float, str], unit: str = "seconds", path: str = "clip.csv") -> Annotation:
    """As read from a CSV file: the header is row 1."""
    rows = (Interval(start, stop, label, row) for row, (start, stop, label) in enumerate(spans, start=2))
    return Annotation(Path(path), unit, tuple(rows))


def targets_of(*spans: tuple[float, float, str], unit: str = "seconds", background: str | None = None) -> list[int]:
    """On the ten frames, where nothing is to be noticed."""
    targets, notices = make_targets(annotation(*spans, unit=unit), TENTHS, 1.0, CLASSES, background)
    assert notices == []
    return targets.tolist()


def notices_of(*spans: tuple[float, float, str], unit: str = "seconds") -> list[tuple[str, str]]:
    _, notices = make_targets(annotation(*spans, unit=unit), TENTHS, 1.0, CLASSES)
    return [(notice.code, notice.message) for notice in notices]


def test_intervals_are_half_open_by_frame_time():
    no = IGNORE_INDEX
    assert targets_of((0.2, 0.5, "walk")) == [no, no, 1, 1, 1, no, no, no, no, no]
    assert targets_of((0.15, 0.55, "walk")) == [no, no, 1, 1, 1, 1, no, no, no, no]
    assert targets_of((0.0, 0.3, "rest"), (0.3, 1.0, "walk")) == [0] * 3 + [1] * 7


def test_frames_are_half_open_and_need_no_times():
    assert targets_of((2, 5, "walk"), (5, 10, "rest"), unit="frames") == [IGNORE_INDEX] * 2 + [1] * 3 + [0] * 5


def test_background_fills_what_no_row_covers():
    assert targets_of((2, 5, "walk"), unit="frames", background="rest") == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
    with pytest.raises(AnnotationError, match=r"data\.background: unknown class 'rests' \(did you mean 'rest'\?\)"):
        targets_of((2, 5, "walk"), background="rests")


@pytest.mark.parametrize("rounding", ["half_up", "half_even", "as_text"])
@pytest.mark.parametrize(
    ("fps", "num_frames"),
    [((30000, 1001), 100_000), ((60000, 1001), 9_000), ((24000, 1001), 9_000), ((240, 1), 9_000), ((25, 1), 9_000)],
)
def test_times_rounded_to_milliseconds_give_exactly_the_intended_frames(fps, num_frames, rounding):
    """Every 30th frame at 29.97 fps lies on a half millisecond, and tools round those either way."""
    numerator, denominator = fps
    frames = np.arange(0, num_frames + 1)
    seconds = frames * denominator / numerator
    edges = frames[::3]  # all the half milliseconds are among them
    ticks = edges * denominator * 1000
    times = {
        "half_up": (2 * ticks + numerator) // (2 * numerator) / 1000,  # on integers: 0.5005 s is 501 ms
        "half_even": np.round(seconds[edges], 3),
        "as_text": np.array([float(f"{t:.3f}") for t in seconds[edges]]),
    }[rounding].tolist()
    labels = [CLASSES[i % 2] for i in range(len(edges) - 1)]
    targets, notices = make_targets(
        annotation(*zip(times[:-1], times[1:], labels, strict=True)), seconds[:-1], float(seconds[-1]), CLASSES
    )
    expected = np.arange(num_frames) // 3 % 2
    expected[edges[-1] :] = IGNORE_INDEX
    assert np.flatnonzero(targets != expected).tolist() == []
    assert notices == []


@st.composite
def videos_with_spans(draw):
    """Frame times of any rate up to 400 a second, and disjoint intervals in frames."""
    gaps = draw(st.lists(st.integers(25, 2000), min_size=2, max_size=40))  # tenths of a millisecond
    seconds = np.cumsum([0, *gaps]) / 10_000.0
    edges = sorted(draw(st.sets(st.integers(0, len(gaps)), min_size=2, max_size=12)))
    labels = draw(st.lists(st.sampled_from([*CLASSES, None]), min_size=len(edges), max_size=len(edges)))
    spans = [(i, j, label) for i, j, label in zip(edges[:-1], edges[1:], labels, strict=False) if label is not None]
    return seconds, spans


@settings(max_examples=200)
@given(videos_with_spans(), st.sampled_from([None, "rest"]), st.sampled_from([3, 4, 6]))
def test_seconds_frames_and_an_obvious_loop_agree(video, background, decimals):
    seconds, spans = video
    num_frames = len(seconds) - 1
    expected = [IGNORE_INDEX if background is None else CLASSES.index(background)] * num_frames
    for start, stop, label in spans:
        for frame in range(start, stop):
            expected[frame] = CLASSES.index(label)
    times = [float(f"{t:.{decimals}f}") for t in seconds]
    in_seconds = annotation(*((times[i], times[j], label) for i, j, label in spans))
    in_frames = annotation(*spans, unit="frames")
    for written in (in_seconds, in_frames):
        targets, notices = make_targets(written, seconds[:-1], float(seconds[-1]), CLASSES, background)
        assert targets.tolist() == expected
        assert notices == []


def test_the_order_of_the_rows_does_not_matter():
    spans = [(0.0, 0.2, "rest"), (0.2, 0.5, "walk"), (0.7, 1.0, "rest")]
    assert targets_of(*spans) == targets_of(*reversed(spans))
    assert annotation(*reversed(spans)).intervals[0] == Interval(0.0, 0.2, "rest", 4)
    assert annotation(*spans).labels == {"rest", "walk"}


@pytest.mark.parametrize(("start", "stop"), [(3, 3), (4, 3), (-1, 2), (float("nan"), 2), (1, float("nan"))])
def test_an_interval_that_is_none_is_an_error(start, stop):
    with pytest.raises(AnnotationError, match=r"^clip\.csv: row 3: expected 0 <= start < stop, got "):
        annotation((0, 1, "walk"), (start, stop, "walk"))


@pytest.mark.parametrize(
    "spans",
    [
        [(0.0, 0.5, "walk"), (0.3, 0.8, "rest")],
        [(0.0, 0.9, "walk"), (0.3, 0.5, "rest")],
        [(0.0, 0.9, "walk"), (0.0, 0.9, "rest")],
    ],
)
def test_two_classes_on_one_frame_are_an_error_that_names_both_rows(spans):
    with pytest.raises(AnnotationError, match=r"^clip\.csv: rows 2 and 3: 'walk' and 'rest' overlap from 0.* seconds"):
        targets_of(*spans)


def test_an_overlap_behind_a_longer_interval_is_found():
    spans = [(0, 9, "walk"), (1, 2, "walk"), (6, 7, "rest")]
    with pytest.raises(AnnotationError, match=r"rows 2 and 4: 'walk' and 'rest' overlap from 6 to 7 frames"):
        targets_of(*spans, unit="frames")


def test_the_same_class_twice_is_taken_as_one_and_said():
    spans = [(0, 5, "walk"), (3, 8, "walk")]
    targets, (notice,) = make_targets(annotation(*spans, unit="frames"), TENTHS, 1.0, CLASSES)
    assert targets.tolist() == [1] * 8 + [IGNORE_INDEX] * 2
    assert notice.code == "intervals_overlap"
    assert notice.message.startswith("clip.csv: rows 2 and 3: two intervals of 'walk'")


@pytest.mark.parametrize(("unit", "start", "end"), [("seconds", 1.0, "1"), ("seconds", 7.5, "1"), ("frames", 10, "10")])
def test_a_start_past_the_end_is_an_error(unit, start, end):
    text = rf"^clip\.csv: row 2: 'walk' starts at {start:g} {unit}, the video ends at {end}; is it another video"
    with pytest.raises(AnnotationError, match=text):
        targets_of((start, start + 1, "walk"), unit=unit)


def test_the_message_tells_long_positions_apart():
    """Ten hours at 30 fps have more frames than six digits can tell apart."""
    seconds = np.arange(1_080_001) / 30
    with pytest.raises(AnnotationError, match=r"starts at 1080002 frames, the video ends at 1080001"):
        make_targets(annotation((1_080_002, 1_080_003, "walk"), unit="frames"), seconds, seconds[-1] + 1 / 30, CLASSES)
    with pytest.raises(AnnotationError, match=r"starts at 36000\.25 seconds, the video ends at 36000\.03"):
        make_targets(annotation((36_000.25, 36_001.0, "walk")), seconds, seconds[-1] + 1 / 30, CLASSES)


def test_a_stop_past_the_end_is_said_and_one_frame_past_is_not():
    for unit, stop, end in (("seconds", 1.25, "1"), ("frames", 12, "10")):
        ((code, message),) = notices_of((0.0, stop, "walk"), unit=unit)
        assert code == "labels_past_end"
        assert message.startswith(f"clip.csv: row 2: 'walk' stops at {stop:g} {unit}, the video ends at {end};")
    assert notices_of((0.0, 1.1, "walk")) == []
    assert targets_of((0.0, 1.1, "walk")) == [1] * 10


def test_a_rounded_stop_is_not_past_the_end_of_a_single_frame():
    targets, notices = make_targets(annotation((0.0, 0.334, "walk")), np.zeros(1), 0.3337, CLASSES)
    assert targets.tolist() == [1]
    assert notices == []


def test_an_interval_too_short_for_a_frame_is_said():
    ((code, message),) = notices_of((0.22, 0.28, "walk"))
    assert code == "interval_without_frames"
    assert message == "clip.csv: row 2: 'walk' is too short to cover a frame"


def test_an_unknown_class_is_an_error_that_names_the_nearest():
    text = r"^clip\.csv: row 3: unknown class 'wallk' \(did you mean 'walk'\?\); classes are rest, walk$"
    with pytest.raises(AnnotationError, match=text):
        targets_of((0.0, 0.2, "rest"), (0.2, 0.5, "wallk"))
    with pytest.raises(AnnotationError, match=r"unknown class 'zzz'; classes are rest, walk$"):
        targets_of((0.0, 0.2, "zzz"))


def test_classes_are_found_sorted_with_the_background_among_them():
    files = [annotation((0, 1, "walk"), (1, 2, "groom")), annotation((0, 1, "walk"), path="b.csv")]
    assert find_classes(files) == ClassNames(["groom", "walk"])
    assert find_classes(files, "other") == ("groom", "other", "walk")
    assert find_classes(files, "walk") == ("groom", "walk")


@pytest.mark.parametrize(
    "twin", ["Sitting café", "sitting  café", "sitting cafe\u0301", "sittingcafé", "\uff53itting\u00a0café"]
)
def test_classes_that_look_alike_are_an_error_naming_file_and_row(twin):
    label = "sitting café"
    files = [annotation((0, 1, "walk"), (1, 2, label)), annotation((0, 1, twin), path="b.csv")]
    with pytest.raises(AnnotationError) as caught:
        find_classes(files)
    for part in ("b.csv row 2", "clip.csv row 3", repr(label), repr(twin), "write them alike"):
        assert part in str(caught.value)
    with pytest.raises(AnnotationError, match="write them alike"):
        ClassNames([label, twin])


def test_a_background_that_looks_like_a_class_is_an_error():
    with pytest.raises(AnnotationError, match=r"data\.background: class 'Walk' and 'walk' in clip\.csv row 2 differ"):
        find_classes([annotation((0, 1, "walk"))], "Walk")


def test_there_is_at_least_one_class_with_a_name():
    with pytest.raises(AnnotationError, match="expected at least one, got none"):
        find_classes([annotation()])
    with pytest.raises(AnnotationError, match="expected a name, got a blank one"):
        ClassNames(["walk", " "])


def test_a_class_named_twice_is_an_error():
    with pytest.raises(AnnotationError, match=r"^classes: (?!.*differ).*'walk'.*twice"):
        ClassNames(["walk", "rest", "walk"])
    with pytest.raises(AnnotationError, match=r"^classes: (?!.*differ).*'walk'.*twice"):
        ClassNames(["walk", "".join(["w", "alk"])])  # equal, but not the same object

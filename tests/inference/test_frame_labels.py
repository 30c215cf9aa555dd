"""Logits → labels → segments → files, the same however the frames are cut."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videoseq.annotations.formats import read_annotation
from videoseq.annotations.segments import Segment
from videoseq.annotations.types import ClassNames
from videoseq.errors import ModelError, OutputError
from videoseq.inference.frame_labels import FrameLabels, decode
from videoseq.inference.paths import label_paths
from videoseq.inference.segments import MulticlassSegmentBuilder
from videoseq.inference.writer import LabelWriter
from videoseq.models.decoding import Hysteresis

Array = np.ndarray

RAIN_SUN = ClassNames(["rain", "sun"])


def frame_labels(classes: ClassNames, labels: list[int], confidence: float = 0.75, fps: float = 4.0) -> FrameLabels:
    probabilities = np.full((len(labels), len(classes)), (1.0 - confidence) / max(1, len(classes) - 1))
    probabilities[np.arange(len(labels)), labels] = confidence
    return most_probable(
        classes, np.arange(len(labels)), np.arange(len(labels)) / fps, np.zeros(len(labels), np.int64), probabilities
    )


def most_probable(classes: ClassNames, index: Array, seconds: Array, flags: Array, probabilities: Array) -> FrameLabels:
    return FrameLabels(classes, index, seconds, flags, probabilities, probabilities.argmax(axis=1))


def cut(labels: FrameLabels, borders: list[int]) -> list[FrameLabels]:
    edges = [0, *sorted(min(border, len(labels)) for border in borders), len(labels)]
    return [
        FrameLabels(
            labels.classes,
            labels.index[start:stop],
            labels.seconds[start:stop],
            labels.flags[start:stop],
            labels.probabilities[start:stop],
            labels.class_index[start:stop],
        )
        for start, stop in pairwise(edges)
    ]


def write(target: Path, parts: list[FrameLabels], end_seconds: float) -> tuple[bytes, bytes]:
    with LabelWriter(target) as writer:
        for part in parts:
            writer.add(part)
        writer.finish(end_seconds)
    frames, segments = label_paths(target)
    return frames.read_bytes(), segments.read_bytes()


# decode


def test_probabilities_are_the_softmax_and_the_label_is_the_largest():
    logits = torch.tensor([[0.0, math.log(3.0)], [1000.0, -1000.0], [2.0, 2.0]])
    labels = decode(RAIN_SUN, np.array([7, 8, 9]), np.array([0.7, 0.8, 0.9]), np.zeros(3, np.int64), logits)
    np.testing.assert_allclose(labels.probabilities, [[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]], atol=1e-7)
    assert labels.names == ["sun", "rain", "rain"]
    assert labels.class_index.tolist() == [1, 0, 0]
    np.testing.assert_allclose(labels.confidence, [0.75, 1.0, 0.5], atol=1e-7)
    assert labels.index.tolist() == [7, 8, 9]
    assert len(labels) == 3


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_logit_that_is_no_number_is_refused_and_its_frame_named(bad):
    logits = torch.zeros(4, 2)
    logits[2, 1] = logits[3, 0] = bad
    with pytest.raises(ModelError, match=r"^frame 102: expected finite logits, got NaN or infinity"):
        decode(RAIN_SUN, np.arange(100, 104), np.arange(4) / 25, np.zeros(4, np.int64), logits)


def test_no_frames_decode_to_no_labels():
    labels = decode(RAIN_SUN, np.arange(0), np.zeros(0), np.arange(0), torch.zeros(0, 2))
    assert labels.names == []
    assert replace(labels, duration_seconds=1.0).segments() == []


# FrameLabels


@pytest.mark.parametrize(
    ("num_index", "num_seconds", "shape"), [(3, 3, (3, 3)), (3, 3, (2, 2)), (2, 3, (3, 2)), (3, 2, (3, 2))]
)
def test_labels_of_unequal_lengths_are_refused(num_index, num_seconds, shape):
    with pytest.raises((ValueError, TypeError), match=r"expected probabilities of shape|Type-check error"):
        most_probable(RAIN_SUN, np.arange(num_index), np.arange(num_seconds) / 4, np.arange(num_index), np.zeros(shape))


# raw labels


def test_with_decoding_the_most_probable_class_stands_beside_the_label(tmp_path):
    logits = torch.log(torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.45, 0.55]]))
    given = np.arange(4), np.arange(4) / 4, np.zeros(4, np.int64)
    raw = decode(RAIN_SUN, *given, logits)
    labels = replace(raw, class_index=Hysteresis(0.3).push(raw.probabilities), has_raw_labels=True)
    assert labels.names == ["rain", "rain", "sun", "sun"]
    assert labels.raw_names == ["rain", "sun", "sun", "sun"]
    with LabelWriter(tmp_path / "clip.mp4") as writer:
        writer.add(labels)
        writer.finish(1.0)
    frames, segments = (path.read_text() for path in label_paths(tmp_path / "clip.mp4"))
    assert frames == (
        "frame,time_s,label,confidence,p_rain,p_sun,flags,raw_label\n"
        "0,0.000000,rain,0.9000,0.9000,0.1000,,rain\n"
        "1,0.250000,rain,0.4000,0.4000,0.6000,,sun\n"
        "2,0.500000,sun,0.8000,0.2000,0.8000,,sun\n"
        "3,0.750000,sun,0.5500,0.4500,0.5500,,sun\n"
    )
    assert segments.splitlines()[1:] == ["0.000000,0.500000,0,2,rain,0.6500", "0.500000,1.000000,2,4,sun,0.6750"]


# segments


def slow_segments(labels: FrameLabels, end_seconds: float) -> list[Segment]:
    """Every pair of frames between which the label changes, then what lies between."""
    names = labels.names
    starts = [i for i in range(len(names)) if i == 0 or names[i] != names[i - 1]]
    stops = [i for i in range(1, len(names) + 1) if i == len(names) or names[i] != names[i - 1]]
    seconds = [*labels.seconds.tolist(), end_seconds]
    return [
        Segment(seconds[a], seconds[b], a, b, names[a], sum(labels.confidence[a:b].tolist()) / (b - a))
        for a, b in zip(starts, stops, strict=True)
    ]


def random_labels(num_classes: int, runs: list[tuple[int, int]], seed: int) -> FrameLabels:
    indices = np.array([label % num_classes for label, length in runs for _ in range(length)])
    random = np.random.default_rng(seed)
    probabilities = random.uniform(0.0, 0.4, (len(indices), num_classes))
    probabilities[np.arange(len(indices)), indices] = random.uniform(0.5, 1.0, len(indices))
    seconds = np.cumsum(random.uniform(0.001, 1.0, len(indices)))
    return most_probable(
        ClassNames("abc"[:num_classes]),
        np.arange(len(indices)),
        seconds,
        np.zeros(len(indices), np.int64),
        probabilities,
    )


RUNS = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), min_size=1, max_size=30)
DRAWN = st.tuples(st.integers(1, 3), RUNS, st.integers(0, 1 << 16))
BORDERS = st.lists(st.integers(0, 90), max_size=12)


@given(DRAWN, BORDERS)
def test_segments_are_those_of_a_slow_loop_however_the_frames_are_cut(drawn, borders):
    labels = random_labels(*drawn)
    end = float(labels.seconds[-1]) + 0.5
    builder = MulticlassSegmentBuilder()
    found = [segment for part in cut(labels, borders) for segment in builder.add(part)]
    found += builder.finish(end)
    expected = slow_segments(labels, end)
    assert [(s.start_frame, s.stop_frame, s.start_seconds, s.stop_seconds, s.label) for s in found] == [
        (s.start_frame, s.stop_frame, s.start_seconds, s.stop_seconds, s.label) for s in expected
    ]
    np.testing.assert_allclose([s.confidence for s in found], [s.confidence for s in expected], atol=1e-12)
    assert found == replace(labels, duration_seconds=end).segments()


@given(DRAWN)
def test_segments_are_half_open_contiguous_and_cover_every_frame(drawn):
    labels = random_labels(*drawn)
    end = float(labels.seconds[-1]) + 0.5
    segments = replace(labels, duration_seconds=end).segments()
    assert segments[0].start_frame == 0
    assert segments[-1].stop_frame == len(labels)
    assert (segments[0].start_seconds, segments[-1].stop_seconds) == (labels.seconds[0], end)
    for left, right in pairwise(segments):
        assert left.stop_frame == right.start_frame
        assert left.stop_seconds == right.start_seconds
        assert left.label != right.label
    assert [s.label for s in segments for _ in range(s.start_frame, s.stop_frame)] == labels.names


def test_nothing_more_comes_after_the_end():
    builder = MulticlassSegmentBuilder()
    list(builder.add(frame_labels(RAIN_SUN, [0, 0])))
    assert [segment.label for segment in builder.finish(1.0)] == ["rain"]
    assert list(builder.finish(2.0)) == []


# LabelWriter


def test_files_of_a_tiny_example(tmp_path):
    labels = most_probable(
        RAIN_SUN,
        np.arange(3),
        np.array([0.0, 1 / 3, 2 / 3]),
        np.array([0, 1, 3]),
        np.array([[0.9, 0.1], [0.33334, 0.66666], [0.0, 1.0]]),
    )
    frames, segments = write(tmp_path / "clip.mp4", [labels], 1.0)
    assert frames.decode() == (
        "frame,time_s,label,confidence,p_rain,p_sun,flags\n"
        "0,0.000000,rain,0.9000,0.9000,0.1000,\n"
        "1,0.333333,sun,0.6667,0.3333,0.6667,time_estimated\n"
        "2,0.666667,sun,1.0000,0.0000,1.0000,time_estimated+suspect\n"
    )
    assert segments.decode() == (
        "start_s,stop_s,start_frame,stop_frame,label,confidence\n"
        "0.000000,0.333333,0,1,rain,0.9000\n"
        "0.333333,1.000000,1,3,sun,0.8333\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4.frames.csv", "clip.mp4.segments.csv"]


def test_decimals_are_fixed_for_numbers_of_any_size(tmp_path):
    labels = most_probable(
        RAIN_SUN,
        np.arange(2),
        np.array([1e-9, 123456.7]),
        np.zeros(2, np.int64),
        np.array([[1.0, 0.0], [1 - 1e-9, 1e-9]]),
    )
    frames, segments = write(tmp_path / "clip.mp4", [labels], 200000.0)
    assert frames.decode().splitlines()[1:] == [
        "0,0.000000,rain,1.0000,1.0000,0.0000,",
        "1,123456.700000,rain,1.0000,1.0000,0.0000,",
    ]
    assert segments.decode().splitlines()[1:] == ["0.000000,200000.000000,0,2,rain,1.0000"]


@settings(max_examples=30)
@given(DRAWN, BORDERS)
def test_chunks_of_any_size_write_the_same_bytes(tmp_path_factory, drawn, borders):
    labels = random_labels(*drawn)
    folder = tmp_path_factory.mktemp("chunks")
    end = float(labels.seconds[-1]) + 0.04
    assert write(folder / "whole", [labels], end) == write(folder / "cut", cut(labels, borders), end)


ODD_NAMES = [
    *("a, b", 'say "hi"', "'quote", "=1+1", "semi;colon", "漢字🎬"),
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_any_label_survives_reading_the_csv_back(name, tmp_path):
    labels = frame_labels(ClassNames([name, "other"]), [0, 0, 1, 0])
    write(tmp_path / "clip.mp4", [labels], 1.0)
    frames, segments = label_paths(tmp_path / "clip.mp4")
    with frames.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["frame", "time_s", "label", "confidence", f"p_{name}", "p_other", "flags"]
    assert [row[2] for row in rows[1:]] == [name, name, "other", name]
    with segments.open(encoding="utf-8", newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == [name, "other", name]


def test_both_files_are_annotations_that_say_the_same(tmp_path):
    labels = frame_labels(RAIN_SUN, [0, 0, 1, 0, 1, 1])
    write(tmp_path / "clip.mp4", [labels], 1.5)
    by_frame, by_segment = (read_annotation(path) for path in label_paths(tmp_path / "clip.mp4"))
    runs = [(0, 2, "rain"), (2, 3, "sun"), (3, 4, "rain"), (4, 6, "sun")]
    assert [(i.start, i.stop, i.label) for i in by_frame.intervals] == runs
    assert [(i.start, i.stop, i.label) for i in by_segment.intervals] == runs


@pytest.mark.parametrize("is_finished", [False, True])
@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt(), SystemExit(143)], ids=repr)
def test_nothing_appears_when_something_goes_wrong(error, is_finished, tmp_path):
    def write_and_fail() -> None:
        with LabelWriter(tmp_path / "deep" / "clip.mp4") as writer:
            writer.add(frame_labels(RAIN_SUN, [0, 1]))
            if is_finished:
                writer.finish(0.5)
            raise error

    with pytest.raises(type(error)):
        write_and_fail()
    assert list((tmp_path / "deep").iterdir()) == []


def test_nothing_appears_unless_finish_is_called(tmp_path):
    old = write(tmp_path / "clip.mp4", [frame_labels(RAIN_SUN, [0, 1])], 0.5)
    unfinished = pytest.raises(ValueError, match=r"expected finish\(\) to be called")
    with unfinished, LabelWriter(tmp_path / "clip.mp4") as writer:
        writer.add(frame_labels(RAIN_SUN, [1, 1, 1]))
    assert tuple(path.read_bytes() for path in label_paths(tmp_path / "clip.mp4")) == old
    assert len(list(tmp_path.iterdir())) == 2


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match=r"file/clip\.mp4\.\w+\.csv: could not be written; "):
        write(tmp_path / "file" / "clip.mp4", [frame_labels(RAIN_SUN, [0])], 1.0)
    (tmp_path / "clip.mp4.frames.csv").mkdir()  # found only when the file is to take its place
    with pytest.raises(OutputError, match=r"clip\.mp4\.frames\.csv: could not be written; Is a directory"):
        write(tmp_path / "clip.mp4", [frame_labels(RAIN_SUN, [0])], 1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4.frames.csv", "file"]

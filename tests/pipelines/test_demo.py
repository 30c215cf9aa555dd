"""The demo's clips are what they claim: the same images, told apart only by what came before."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from pipelines import demo_clips
from videoseq.annotations.formats import read_annotation
from videoseq.evaluation.metrics import LabeledVideo
from videoseq.video.reader import VideoReader


def drawn(way: float) -> np.ndarray:
    image = np.full((demo_clips._HEIGHT, demo_clips._WIDTH, 3), 128.0)
    demo_clips._draw(image, way, (10, 200, 30))
    return image


def test_empty_and_occupied_are_the_same_image():
    np.testing.assert_array_equal(drawn(0.0), drawn(1.0))


def test_on_the_way_someone_is_to_be_seen_or_the_door_moves():
    still = drawn(0.0)
    for way in np.linspace(0.05, 0.95, 19):
        assert np.abs(drawn(float(way)) - still).max() > 50


def test_entering_and_leaving_pass_through_the_same_poses():
    moments = list(demo_clips._script(np.random.default_rng(3), fps=25))
    ways = {label: [m.way for m in moments if m.label == label] for label in ("entering", "leaving")}
    assert np.all((np.array(ways["entering"]) >= 0) & (np.array(ways["entering"]) <= 1))
    for way in ways["leaving"]:
        assert min(abs(way - other) for other in ways["entering"]) < 0.05


def test_the_dataset_is_drawn_from_its_seed_and_annotated_frame_for_frame(tmp_path):
    first = demo_clips.draw_dataset(tmp_path / "a", {"train": 2, "val": 1, "test": 1})
    second = demo_clips.draw_dataset(tmp_path / "b", {"train": 2})
    clips = sorted(path for path in (tmp_path / "b").iterdir() if path != second)
    assert [path.name for path in clips] == ["train-00.csv", "train-00.mp4", "train-01.csv", "train-01.mp4"]
    for path in clips:
        assert (tmp_path / "a" / path.name).read_bytes() == path.read_bytes()
    assert first.read_bytes().startswith(second.read_bytes())
    with first.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["train", "train", "val", "test"]
    for row in rows:
        annotation = read_annotation(first.parent / row["annotation"])
        with VideoReader(first.parent / row["video"]) as reader:
            for _ in reader:
                pass
            duration = reader.report().duration_seconds
        assert annotation.labels == set(demo_clips.CLASSES)
        assert annotation.intervals[-1].stop == pytest.approx(duration, abs=2e-3)


def test_accuracy_is_of_still_frames_of_moving_frames_and_of_all():
    targets = np.array([0, 3, 0, 3, 1, 2])
    labels = np.array([0, 3, 3, 3, 2, 2])
    video = LabeledVideo("a.mp4", "a", np.arange(6) / 10, 0.6, targets, labels)
    found = demo_clips.accuracy_by_kind([video, video], demo_clips.CLASSES)
    assert list(found.values()) == [3 / 4, 1 / 2, 4 / 6]


@pytest.mark.slow
def test_the_demo_shows_what_context_buys(cli, tmp_path):
    done = cli("demo", tmp_path / "demo", "--json", timeout=900)
    assert done.returncode == 0, done.stderr
    scores = json.loads(done.stdout)
    still, moving, _ = scores["with context"]
    assert scores["with context"][still] > 0.95
    assert scores["with context"][moving] > 0.85
    assert scores["one frame alone"][still] < 0.75
    assert scores["one frame alone"][moving] < 0.75
    for name in ("timeline.png", "model/report.html", "labels/results.jsonl", "clips/manifest.csv"):
        assert (tmp_path / "demo" / name).stat().st_size > 0
    assert "timeline.png" in done.stderr

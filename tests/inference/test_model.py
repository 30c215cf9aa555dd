"""One truth, three ways: a whole file, chunks and single frames give the same logits; state can be saved midway."""

from __future__ import annotations

import csv
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.index_videos import write_video
from tests.support.light_clips import light_frames
from videoseq.config.runtime import RuntimeChoice
from videoseq.errors import ConfigError, ModelError, OutputError, VideoError
from videoseq.features.store import FeatureStore
from videoseq.inference.model import Model, label_video, load_model, open_model
from videoseq.inference.streaming import SequenceLabeler
from videoseq.inference.whole_video import label_chunks
from videoseq.models.decoding import Decoding, DecodingParameters, MarkovChain
from videoseq.video.frames import Frame
from videoseq.video.reader import read_frames


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Model:
    return open_model(model_folder, RuntimeChoice(device="cpu"))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "new.mp4", light_frames(61, 33, seed=77), fps=24)


def test_the_model_has_learned(model, video):
    labels = model.label(video)
    assert labels.names[:25] == ["dark"] * 25
    assert labels.names[40:] == ["bright"] * 21
    assert labels.index.tolist() == list(range(61))
    np.testing.assert_allclose(labels.seconds, np.arange(61) / 24, atol=1e-6)


def test_file_and_steps_agree(model, video):
    whole = model.label(video)
    stream = model.stream()
    stepped = [stream.step(frame) for frame in read_frames(video)]
    assert [label.label for label in stepped] == whole.names
    assert [label.index for label in stepped] == whole.index.tolist()
    logits = torch.stack([label.logits for label in stepped])
    np.testing.assert_allclose(torch.softmax(logits.double(), dim=1), whole.probabilities, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
def test_stored_features_in_any_chunks_agree(model, video, tmp_path, chunk):
    features = FeatureStore(tmp_path).get(video, model.runtime, model.sample_hz)
    sequence = SequenceLabeler(model.contents.head)
    logits = torch.cat([sequence.push(part) for part in features.chunks(chunk)])
    whole = model.label(video)
    np.testing.assert_allclose(torch.softmax(logits.double(), dim=1), whole.probabilities, atol=1e-5)


def test_state_saved_in_the_middle_goes_on(model, video):
    frames = list(read_frames(video))
    undisturbed = model.stream()
    expected = [undisturbed.step(frame).logits for frame in frames]
    first = model.stream()
    for frame in frames[:31]:
        first.step(frame)
    saved = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    second = model.stream()
    second.load_state_dict(saved)
    for frame, logits in zip(frames[31:], expected[31:], strict=True):
        torch.testing.assert_close(second.step(frame).logits, logits, rtol=0, atol=0)


CHAIN = MarkovChain(np.array([[0.9, 0.1], [0.01, 0.99]]), np.array([0.5, 0.5]), np.array([0.5, 0.5]))
SLOW = DecodingParameters(method="min_duration", duration_seconds=0.4)


@pytest.fixture
def decode_with(model):
    """The model with another decoding, for one test."""

    def change(parameters: DecodingParameters) -> Model:
        model.contents.head.decoding = Decoding(parameters, model.sample_hz, CHAIN)
        return model

    yield change
    model.contents.head.decoding = Decoding()


def test_decoding_is_part_of_the_state(decode_with, video, tmp_path):
    slow_to_change = decode_with(SLOW)
    frames = list(read_frames(video))
    undisturbed = slow_to_change.stream()
    stepped = [undisturbed.step(frame) for frame in frames]
    expected = [label.label for label in stepped]
    raw = [slow_to_change.classes[int(label.logits.argmax())] for label in stepped]
    for border in range(1, len(frames), 7):
        first, second = slow_to_change.stream(), slow_to_change.stream()
        labels = [first.step(frame).label for frame in frames[:border]]
        second.load_state_dict(first.state_dict())
        assert [*labels, *(second.step(frame).label for frame in frames[border:])] == expected
    label_video(video, slow_to_change, tmp_path / "clip")
    with (tmp_path / "clip.frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == expected == slow_to_change.label(video).names
    assert [row["raw_label"] for row in rows] == raw
    assert raw != expected


def test_labels_that_look_ahead_come_at_their_own_frames_and_depend_on_no_more_than_is_stated(
    decode_with, video, tmp_path
):
    delay_seconds = 0.5
    raw = decode_with(DecodingParameters()).label(video)
    model = decode_with(DecodingParameters(method="lag", evidence_weight=0.1, delay_seconds=delay_seconds))
    whole = model.label(video)
    np.testing.assert_array_equal(whole.index, raw.index)
    np.testing.assert_array_equal(whole.probabilities, raw.probabilities)
    features = FeatureStore(tmp_path).get(video, model.runtime, model.sample_hz)
    for num_frames in (1, 7, 1000):
        parts = list(label_chunks(model.contents.head, features.chunks(num_frames), model.classes))
        assert [name for part in parts for name in part.names] == whole.names
        assert np.concatenate([part.index for part in parts]).tolist() == list(range(61))
    sequence, known = SequenceLabeler(model.contents.head), 0
    for number, chunk in enumerate(features.chunks(1)):
        known += len(sequence.label(chunk, model.classes))
        if known:  # a frame's label is there as soon as what comes so much later has been seen
            ahead = features.seconds[number] - features.seconds[known - 1]
            assert ahead <= delay_seconds + 1 / model.sample_hz
    assert 0 < len(sequence.finish()[0]) == 61 - known
    label_video(video, model, tmp_path / "clip")
    with (tmp_path / "clip.frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == whole.names
    assert [row["raw_label"] for row in rows] == raw.names
    assert [int(row["frame"]) for row in rows] == list(range(61))


def test_what_labels_frame_by_frame_refuses_labels_that_look_ahead(decode_with):
    model = decode_with(DecodingParameters(method="lag", evidence_weight=0.1, delay_seconds=0.5))
    words = r"^expected a model whose labels are causal, got one that looks 0.5 s ahead \(decoding.method: lag\); .*$"
    with pytest.raises(ModelError, match=words):
        model.stream()
    with pytest.raises(ModelError, match=words):
        SequenceLabeler(model.contents.head).state_dict()


def test_a_state_of_another_decoding_is_refused(decode_with):
    state = decode_with(DecodingParameters(method="hysteresis", margin=0.2)).stream().state_dict()
    other = decode_with(SLOW).stream()
    with pytest.raises(ModelError, match=r"state: decoding.held: expected shape \(3,\), got nothing"):
        other.load_state_dict(state)


def test_a_new_labeler_starts_from_nothing(model, video):
    frames = list(read_frames(video))[:5]
    used = model.stream()
    for frame in frames:
        used.step(frame)
    fresh, again = model.stream(), model.stream()
    for frame in frames:
        torch.testing.assert_close(fresh.step(frame).logits, again.step(frame).logits, rtol=0, atol=0)


def test_a_state_of_another_model_is_refused(model):
    state = model.stream().state_dict()
    name = next(name for name in state if name.endswith(".hidden"))
    state[name] = torch.zeros(1, 1, 99)
    with pytest.raises(ModelError, match=r"hidden: expected shape \(1, 1, 16\), got \(1, 1, 99\)"):
        model.stream().load_state_dict(state)
    with pytest.raises(ModelError, match="tick"):
        model.stream().load_state_dict({})


def test_changing_the_future_changes_nothing_before_it(model, tmp_path):
    """End to end: pixels, CNN, differences, recurrence."""
    frames = light_frames(40, 20, seed=5)
    other = frames[:25] + light_frames(15, 15, seed=6)
    ways = [model.stream(), model.stream()]
    for index, pair in enumerate(zip(frames, other, strict=True)):
        left, right = (way.step(Frame(index, index / 20, image)) for way, image in zip(ways, pair, strict=True))
        if index < 25:
            torch.testing.assert_close(left.logits, right.logits, rtol=0, atol=0)
    assert not torch.equal(left.logits, right.logits)


def test_two_runs_write_the_same_bytes(model, video, tmp_path):
    for name in ("a", "b"):
        label_video(video, model, tmp_path / name / video.name)
    for kind in ("frames", "segments"):
        first, second = (tmp_path / name / f"{video.name}.{kind}.csv" for name in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()


# images in memory


def assert_same(labels, whole):
    assert labels.names == whole.names
    np.testing.assert_array_equal(labels.index, whole.index)
    np.testing.assert_allclose(labels.seconds, whole.seconds, atol=1e-6)
    np.testing.assert_allclose(labels.probabilities, whole.probabilities, atol=1e-5)
    assert labels.duration_seconds == pytest.approx(whole.duration_seconds, abs=1e-3)


@pytest.mark.parametrize("kind", [list, iter, np.stack])
def test_images_have_the_labels_of_the_file(model, video, kind):
    whole = model.label(video)
    assert_same(model.label(kind([frame.image for frame in read_frames(video)]), fps=24), whole)


def test_frames_have_the_labels_of_the_file(model, video):
    assert_same(model.label(read_frames(video)), model.label(str(video)))


def test_images_one_by_one_have_the_labels_of_the_file(model, video):
    whole = model.label(video)
    by_rate, by_time = model.stream(fps=24), model.stream()
    for index, frame in enumerate(read_frames(video)):
        label = by_rate.step(frame.image)
        assert (label.index, label.label) == (index, whole.names[index])
        np.testing.assert_allclose(label.probabilities, whole.probabilities[index], atol=1e-5)
        torch.testing.assert_close(by_time.step(frame.image, seconds=frame.seconds).logits, label.logits)


def test_features_of_images_are_those_of_the_file(model, video):
    seconds, features = model.features(video)
    of_images = model.features((frame.image for frame in read_frames(video)), fps=24)
    np.testing.assert_allclose(of_images.seconds, seconds, atol=1e-6)
    np.testing.assert_allclose(of_images.features, features, atol=1e-4)
    assert features.dtype == np.float32
    assert repr(of_images) == f"FeatureSequence({len(seconds)} steps, {model.runtime.identity.vector_size} features)"


IMAGE = np.zeros((48, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("images", "fps", "error", "words"),
    [
        ([IMAGE], None, ConfigError, "expected images with seconds or fps, got an image without a time"),
        ([IMAGE], 0, ConfigError, "fps: expected images a second, above 0, got 0"),
        ([IMAGE], math.nan, ConfigError, "fps: expected images a second, above 0, got nan"),
        ([Frame(0, 0.0, IMAGE)], 25, ConfigError, "got a Frame, which has a time of its own"),
        ("clip.mp4", 25, ConfigError, "fps: expected none with a video file"),
        ([], 25, VideoError, "expected at least one image, got none"),
        ([Frame(0, 0.0, IMAGE), Frame(2, 0.2, IMAGE)], None, VideoError, "expected frame 1 after frame 0, got 2"),
        ([Frame(0, 0.5, IMAGE), Frame(1, 0.5, IMAGE)], None, VideoError, "frame 1: expected .* a time after 0.5 s"),
        ([Frame(0, math.nan, IMAGE)], None, VideoError, "frame 0: expected .*, got index 0 at nan s"),
    ],
)
def test_what_is_no_video_is_refused(model, images, fps, error, words):
    with pytest.raises(error, match=words):
        model.label(images, fps=fps)


def test_a_stream_refuses_images_without_a_time_or_out_of_order(model):
    with pytest.raises(ConfigError, match="an image without a time"):
        model.stream().step(IMAGE)
    with pytest.raises(ConfigError, match=r"got both: 1\.0 and 25"):
        model.stream(fps=25).step(IMAGE, seconds=1.0)
    stream = model.stream()
    stream.step(IMAGE, seconds=1.0)
    with pytest.raises(
        VideoError, match=r"frame 1: expected index 1 or later and a time after 1 s, got index 1 at 0\.5"
    ):
        stream.step(IMAGE, seconds=0.5)


# what a user sees of labels


def test_labels_write_the_frames_table_of_the_program(decode_with, video, tmp_path):
    for parameters in (DecodingParameters(), SLOW):
        model = decode_with(parameters)
        model.label(video).write(tmp_path / "own.csv", overwrite=True)
        label_video(video, model, tmp_path / "clip")
        assert (tmp_path / "own.csv").read_bytes() == (tmp_path / "clip.frames.csv").read_bytes()


def test_labels_replace_no_file_unasked(model, video, tmp_path):
    (tmp_path / "clip.csv").write_text("made by a person")
    with pytest.raises(OutputError, match=r"clip\.csv: expected a new file, got one that exists"):
        model.label(video).write(tmp_path / "clip.csv")
    assert (tmp_path / "clip.csv").read_text() == "made by a person"


def test_a_table_of_labels_has_the_columns_of_the_file(model, video, tmp_path):
    import pandas as pd  # slow to import

    labels = model.label(video)
    labels.write(tmp_path / "clip.csv")
    table, file = labels.to_pandas(), pd.read_csv(tmp_path / "clip.csv", keep_default_na=False)
    assert list(table.columns) == list(file.columns)
    assert list(table["label"]) == list(file["label"]) == labels.names
    np.testing.assert_allclose(table["p_dark"], file["p_dark"], atol=5e-5)


def test_without_pandas_a_table_says_what_to_install(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match=r'^to_pandas: pandas is not installed: pip install "videoseq\[pandas\]"$'):
        model.label([IMAGE], fps=25).to_pandas()


def test_a_plot_has_a_bar_for_each_segment(model, video):
    from matplotlib.figure import Figure

    labels = model.label(video)
    given = Figure().add_subplot()
    axes = labels.plot(given)
    assert axes is given
    assert [text.get_text() for text in axes.get_yticklabels()] == ["bright", "dark"]
    bars = [len(row.get_paths()) for row in axes.collections]
    assert bars == [sum(one.label == name for one in labels.segments()) for name in labels.classes]
    assert axes.get_xlim() == (0, labels.duration_seconds)


def test_labels_know_their_segments_and_say_their_shape(model, video, tmp_path):
    labels = model.label(video)
    assert repr(labels) == "FrameLabels(61 frames, 2 classes, 2.5 s)"
    label_video(video, model, tmp_path / "clip")
    with (tmp_path / "clip.segments.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(s.label, s.start_frame, s.stop_frame) for s in labels.segments()] == [
        (row["label"], int(row["start_frame"]), int(row["stop_frame"])) for row in rows
    ]
    with pytest.raises(ValueError, match="duration_seconds: expected where the last frame ends, got None"):
        labels.part(slice(3)).segments()


def test_short_descriptions(model):
    stream = model.stream(fps=25)
    assert repr(stream) == "FrameStream(0 frames so far, 2 classes)"
    label = stream.step(IMAGE)
    assert repr(label) == f"FrameLabel(index=0, seconds=0.0, label={label.label!r}, confidence={label.confidence!r})"
    assert repr(model).startswith("Model(2 classes: bright, dark; 10 steps a second; ")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "gpu"}, "device: expected auto, cpu, cuda or cuda:N, got 'gpu'"),
        ({"runtime": "tourch"}, r"runtime: expected auto, torch, openvino, got 'tourch' \(did you mean 'torch'\?\)"),
        ({"precision": "half"}, "precision: expected auto, float32, bfloat16, float16, int8, got 'half'"),
        ({"threads": 0}, "threads: expected 1 or more, got 0"),
    ],
)
def test_an_unknown_choice_is_one_line(model_folder, options, words):
    with pytest.raises(ConfigError, match=f"^{words}$"):
        load_model(model_folder, **options)


FORK = """
import os, sys, videoseq

model = videoseq.load_model(sys.argv[1], device="cpu")
model.label(sys.argv[2])
frame = next(videoseq.read_frames(sys.argv[2]))
stream = model.stream()
ways = [
    lambda: model.label(sys.argv[2]),
    lambda: model.features(sys.argv[2]),
    lambda: model.stream(),
    lambda: stream.step(frame),
    lambda: videoseq.load_model(sys.argv[1]),
]
if (child := os.fork()) == 0:
    number = 0
    try:
        for number, way in enumerate(ways, 1):
            try:
                way()
            except RuntimeError as error:
                if "got a fork of it" not in str(error) or "\\n" in str(error):
                    os._exit(number)
            else:
                os._exit(10 + number)
        os._exit(0)
    finally:
        os._exit(20 + number)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(status or (0 if len(model.label(sys.argv[2])) else 30))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_after_a_fork_a_model_is_refused_and_goes_on_in_the_parent(model_folder, video):
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK, model_folder, video], timeout=120, check=True)

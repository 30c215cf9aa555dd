"""One truth, three ways: a whole file, chunks and single frames give the same logits; state can be saved midway."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.index_videos import write_video
from tests.support.light_clips import light_frames
from videoseq.config.runtime import RuntimeChoice
from videoseq.errors import ModelError
from videoseq.features.store import FeatureStore
from videoseq.inference.model import Model, label_video, load_model
from videoseq.inference.streaming import SequenceLabeler
from videoseq.inference.whole_video import label_chunks
from videoseq.models.decoding import Decoding, DecodingParameters, MarkovChain
from videoseq.video.reader import read_frames


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Model:
    return load_model(model_folder, RuntimeChoice(device="cpu"))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "new.mp4", light_frames(61, 33, seed=77), fps=24)


def test_the_model_has_learnt(model, video):
    labels = model.label(video)
    assert labels.names[:25] == ["dark"] * 25
    assert labels.names[40:] == ["bright"] * 21
    assert labels.index.tolist() == list(range(61))
    np.testing.assert_allclose(labels.seconds, np.arange(61) / 24, atol=1e-6)


def test_file_and_steps_agree(model, video):
    whole = model.label(video)
    labeler = model.labeler()
    stepped = [labeler.step(frame) for frame in read_frames(video)]
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
    undisturbed = model.labeler()
    expected = [undisturbed.step(frame).logits for frame in frames]
    first = model.labeler()
    for frame in frames[:31]:
        first.step(frame)
    saved = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    second = model.labeler()
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
    undisturbed = slow_to_change.labeler()
    stepped = [undisturbed.step(frame) for frame in frames]
    expected = [label.label for label in stepped]
    raw = [slow_to_change.classes[int(label.logits.argmax())] for label in stepped]
    for border in range(1, len(frames), 7):
        first, second = slow_to_change.labeler(), slow_to_change.labeler()
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
        model.labeler()
    with pytest.raises(ModelError, match=words):
        SequenceLabeler(model.contents.head).state_dict()


def test_a_state_of_another_decoding_is_refused(decode_with):
    state = decode_with(DecodingParameters(method="hysteresis", margin=0.2)).labeler().state_dict()
    other = decode_with(SLOW).labeler()
    with pytest.raises(ModelError, match=r"state: decoding.held: expected shape \(3,\), got nothing"):
        other.load_state_dict(state)


def test_a_new_labeler_starts_from_nothing(model, video):
    frames = list(read_frames(video))[:5]
    used = model.labeler()
    for frame in frames:
        used.step(frame)
    fresh, again = model.labeler(), model.labeler()
    for frame in frames:
        torch.testing.assert_close(fresh.step(frame).logits, again.step(frame).logits, rtol=0, atol=0)


def test_a_state_of_another_model_is_refused(model):
    state = model.labeler().state_dict()
    state["hidden"] = torch.zeros(1, 1, 99)
    with pytest.raises(ModelError, match=r"hidden: expected shape \(1, 1, 16\), got \(1, 1, 99\)"):
        model.labeler().load_state_dict(state)
    with pytest.raises(ModelError, match="tick"):
        model.labeler().load_state_dict({})


def test_changing_the_future_changes_nothing_before_it(model, tmp_path):
    """End to end: pixels, CNN, differences, recurrence."""
    frames = light_frames(40, 20, seed=5)
    other = frames[:25] + light_frames(15, 15, seed=6)
    ways = [model.labeler(), model.labeler()]
    for index, pair in enumerate(zip(frames, other, strict=True)):
        from videoseq.video.frames import Frame

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

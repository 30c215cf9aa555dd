"""Every head is trained, saved, loaded and labels a video, alone and as one of several; each says what it is."""

from __future__ import annotations

import copy
import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines import train
from pipelines.console import Console
from tests.support.index_videos import write_video
from tests.support.light_clips import light_frames
from videoseq.config.runtime import RuntimeChoice
from videoseq.config.schema import HeadSettings, TrainingSettings
from videoseq.config.yaml_file import load_settings
from videoseq.data.dataset import Clip, load_clips, load_dataset
from videoseq.errors import ModelError
from videoseq.export.int8 import compare_labels
from videoseq.features.store import FeatureStore
from videoseq.inference.frame_labels import FrameLabels
from videoseq.inference.model import Model, open_model
from videoseq.models.ensemble import Ensemble
from videoseq.models.model_folder import load_model_folder, save_model_folder
from videoseq.training.fit import fit
from videoseq.video.reader import VideoReader, read_frames

CHOICE = RuntimeChoice(device="cpu", precision="float32")
SMALL = HeadSettings(hidden_size=16, projection_size=16)
HEADS = {
    "tcn": SMALL.model_copy(update={"cell": "tcn", "num_layers": 4}),
    "attention": SMALL.model_copy(update={"cell": "attention", "num_layers": 2, "window": 8}),
    "bidirectional": SMALL.model_copy(update={"bidirectional": True}),
}
NUM_FRAMES = 31


@pytest.fixture(scope="module")
def base(model_folder: Path) -> Model:
    return open_model(model_folder, CHOICE)


@pytest.fixture(scope="module")
def clips(base: Model, model_folder: Path, light_dataset: Path) -> list[Clip]:
    """With the features that the program has computed already."""
    store, dataset = FeatureStore(model_folder.parent / "features"), load_dataset(light_dataset, classes=base.classes)
    return load_clips(dataset, lambda video: store.get(video, base.runtime, base.sample_hz))[0]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "new.mp4", light_frames(NUM_FRAMES, 16, seed=77), fps=12)


@pytest.fixture(
    scope="module", params=[("tcn", 1), ("attention", 2), ("bidirectional", 1), ("bidirectional", 2)], ids=str
)
def model(request, base: Model, clips: list[Clip], tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Of each kind, alone and one of two: trained for three epochs, saved, and loaded again."""
    name, members = request.param
    training = TrainingSettings(max_epochs=3, learning_rate=0.02, ensemble=members)
    head = fit(clips, [], len(base.classes), HEADS[name], training).head
    config = base.contents.config.model_copy(update={"head": HEADS[name], "num_members": members})
    folder = tmp_path_factory.mktemp("heads") / "model"
    alone = base.contents.no_context
    no_context = alone if members == 1 else Ensemble([copy.deepcopy(alone) for _ in range(members)])
    save_model_folder(replace(base.contents, config=config, head=head, no_context=no_context), folder)
    return Model(load_model_folder(folder), base.runtime)


@pytest.fixture(scope="module")
def labels(model: Model, video: Path) -> FrameLabels:
    return model.label(video)


def test_it_labels_every_frame_of_a_video(model, labels):
    assert labels.index.tolist() == list(range(NUM_FRAMES))
    truth = ["dark"] * 16 + ["bright"] * (NUM_FRAMES - 16)
    assert np.mean(np.array(labels.names) == truth) > 0.7  # three epochs are few


def test_it_streams_the_same_or_says_that_it_cannot(model, video, labels):
    assert model.contents.looks_ahead == model.contents.head.looks_ahead
    if model.contents.looks_ahead:
        with pytest.raises(ModelError, match="which labels whole videos only") as caught:
            model.stream()
        assert "\n" not in str(caught.value)
        return
    stream, again, frames = model.stream(), model.stream(), list(read_frames(video))
    stepped = [stream.step(frame) for frame in frames[:20]]
    again.load_state_dict({name: tensor.clone() for name, tensor in stream.state_dict().items()})
    stepped += [again.step(frame) for frame in frames[20:]]
    logits = torch.stack([label.logits for label in stepped])
    np.testing.assert_allclose(torch.softmax(logits.double(), dim=1), labels.probabilities, atol=1e-5)


def test_two_runtimes_can_be_compared_on_it(model, video):
    """As `videoseq quantize` does it."""
    with VideoReader(video) as reader:
        found = compare_labels(reader, model.contents, (model.runtime, model.runtime), 1000)
    assert (found.num_frames, found.agreement) == (NUM_FRAMES, 1.0)
    assert found.cosine == pytest.approx(1.0)
    assert found.names == {"bright", "dark"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "fact"),
    [
        (("head.cell=attention", "head.window=8"), "no"),
        (("head.bidirectional=true", "training.ensemble=2"), "yes, to the video's end; it cannot stream"),
    ],
    ids=["attention", "bidirectional"],
)
def test_the_programs_train_label_and_evaluate(settings, fact, call, light_dataset, model_folder, video, tmp_path):
    settings = load_settings(overrides=["training.max_epochs=4", "training.learning_rate=0.01", *settings])
    folder, cache = tmp_path / "model", model_folder.parent / "features"
    train.run(light_dataset, settings, folder, Console(quiet=True), choice=CHOICE, cache=cache, overwrite=False)
    assert f"| looks ahead | {fact} |" in (folder / "README.md").read_text(encoding="utf-8")
    assert "looks ahead" in (folder / "report.html").read_text(encoding="utf-8")
    assert not load_model_folder(folder).config.no_context_head.bidirectional
    ended = call("label", video, "--model", folder, "--out", tmp_path / "labels", "--device", "cpu", "--quiet")
    assert ended.status == 0, ended.err
    ran = json.loads((tmp_path / "labels" / "run.json").read_text(encoding="utf-8"))
    assert ran["looks_ahead"] == (fact != "no")
    with (tmp_path / "labels" / "new.mp4.frames.csv").open(newline="", encoding="utf-8") as file:
        assert [int(row["frame"]) for row in csv.DictReader(file)] == list(range(NUM_FRAMES))
    ended = call("evaluate", folder, light_dataset, "--cache", cache, "--device", "cpu", "--json", "--quiet")
    assert ended.status == 0, ended.err
    assert json.loads(ended.out)["labelers"]["model"]["headline"]["accuracy"]["value"] > 0.9

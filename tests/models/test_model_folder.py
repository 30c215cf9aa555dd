"""A model folder carries all it needs, is refused when anything in it is off, and runs no code when loaded."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.index_videos import write_video
from tests.support.light_clips import light_frames
from tests.support.model_edits import edit, edit_tensors, refusal, vouch
from videoseq.config.runtime import RuntimeChoice
from videoseq.errors import OutputError
from videoseq.inference.model import open_model
from videoseq.models.decoding import Decoding, DecodingParameters, MarkovChain
from videoseq.models.ensemble import Ensemble
from videoseq.models.model_folder import ModelFolder, check_target, load_model_folder, save_model_folder
from videoseq.system.hardware import cpu_computes_bfloat16


@pytest.fixture(scope="module")
def contents(model_folder: Path) -> ModelFolder:
    return load_model_folder(model_folder)


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(model_folder, tmp_path / "model"))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", light_frames(12, 6, seed=3), fps=10)


# what is in it


def test_the_folder_has_exactly_its_five_files(model_folder):
    assert sorted(os.listdir(model_folder)) == [
        "README.md",
        "metrics.json",
        "model.json",
        "model.safetensors",
        "report.html",
    ]


def test_it_says_all_that_labels_depend_on(model_folder, contents):
    values = json.loads((model_folder / "model.json").read_text())
    assert values["classes"] == ["bright", "dark"]
    assert values["sample_hz"] == 10.0
    assert values["backbone"]["name"] == "efficientnet_lite0"
    assert len(values["backbone"]["weights_sha256"]) == 64
    assert values["backbone"]["preprocessing"]["height"] == 224
    assert values["head"]["hidden_size"] == 16
    assert values["versions"].keys() >= {"python", "videoseq", "torch", "opencv-python", "pytorch-lightning"}
    assert values["metrics"]["val"]["accuracy"] > 0.9
    assert contents.sha256 == hashlib.sha256((model_folder / "model.json").read_bytes()).hexdigest()


def test_a_faster_precision_is_trusted_if_its_labels_agreed(folder):
    edit(folder, lambda values: values.update(agreement={"bfloat16": 0.995, "float16": 0.9949}))
    assert load_model_folder(folder).trusted == {"bfloat16"}
    expected = "bfloat16" if cpu_computes_bfloat16() else "float32"
    assert open_model(folder, RuntimeChoice(device="cpu")).runtime.precision == expected
    edit(folder, lambda values: values.update(agreement={}))
    assert load_model_folder(folder).trusted == frozenset()
    assert open_model(folder, RuntimeChoice(device="cpu")).runtime.precision == "float32"


def test_training_says_on_how_many_frames_bfloat16_agrees(contents):
    """Two seconds of a light that goes on, at each of six clips: either precision sees that."""
    assert set(contents.config.agreement) == ({"bfloat16"} if cpu_computes_bfloat16() else set())
    assert all(share > 0.9 for share in contents.config.agreement.values()), contents.config.agreement


def test_a_saved_and_loaded_model_gives_equal_logits(contents, tmp_path):
    save_model_folder(contents, tmp_path / "again")
    again = load_model_folder(tmp_path / "again")
    features = torch.randn(2, 30, contents.head.vector_size)
    for before, after in ((contents.head, again.head), (contents.no_context, again.no_context)):
        assert not after.training
        torch.testing.assert_close(after(features)[0], before(features)[0], rtol=0, atol=0)
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    torch.testing.assert_close(again.backbone(images), contents.backbone(images), rtol=0, atol=0)
    assert again.classes == contents.classes
    assert again.config == contents.config
    assert again.sha256 == contents.sha256


def test_an_ensemble_is_loaded_as_it_was_saved(contents, tmp_path):
    """With what was fitted after its weights."""
    first, second = (copy.deepcopy(contents.head) for _ in range(2))
    torch.nn.init.normal_(second.streams["motion"].classifier.weight)
    head, no_context = (
        Ensemble([first, second]).eval(),
        Ensemble([copy.deepcopy(contents.no_context) for _ in range(2)]).eval(),
    )
    head.temperature.fill_(1.5)
    head.decoding = Decoding(DecodingParameters(method="hysteresis", margin=0.25))
    config = contents.config.model_copy(update={"num_members": 2})
    save_model_folder(replace(contents, head=head, no_context=no_context, config=config), tmp_path / "two")
    again = load_model_folder(tmp_path / "two").head
    assert (float(again.temperature), again.decoding.parameters.margin, again.training) == (1.5, 0.25, False)
    features = torch.randn(1, 30, contents.head.vector_size)
    torch.testing.assert_close(again(features)[0], head(features)[0], rtol=0, atol=0)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_temperature_is_above_zero(folder, value):
    edit_tensors(folder, lambda tensors: tensors.update({"head.temperature": torch.tensor(value)}))
    assert "head: expected a temperature above 0, got " in refusal(folder)


CHAIN = MarkovChain(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0.25, 0.75]), np.array([0.4, 0.6]))


@pytest.fixture
def lagging(contents, tmp_path) -> Path:
    """A model that looks ahead, with a baseline that does not."""
    head, no_context = copy.deepcopy(contents.head), copy.deepcopy(contents.no_context)
    parameters = DecodingParameters(method="lag", evidence_weight=0.3, delay_seconds=1.5)
    head.decoding = Decoding(parameters, 10.0, CHAIN)
    no_context.decoding = Decoding(DecodingParameters(method="hysteresis", margin=0.25))
    save_model_folder(replace(contents, head=head, no_context=no_context), tmp_path / "lagging")
    return tmp_path / "lagging"


def test_decoding_is_loaded_as_it_was_saved(lagging):
    again = load_model_folder(lagging)
    assert again.head.decoding.parameters.model_dump(exclude_none=True) == {
        "method": "lag",
        "evidence_weight": 0.3,
        "delay_seconds": 1.5,
    }
    assert again.no_context.decoding.parameters == DecodingParameters(method="hysteresis", margin=0.25)
    assert again.head.decoding.sample_hz == 10.0
    for name, tensor in again.head.decoding.chain.tensors().items():
        assert torch.equal(tensor, CHAIN.tensors()[name])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values["decoding"].update(method="viterbi"), "decoding.method: "),
        (lambda values: values["decoding"].update(evidence_weight=0.0), "decoding.evidence_weight: "),
        (lambda values: values["decoding"].update(margin=0.2), "decoding: value error, lag: expected evidence_weight"),
        (lambda values: values["decoding"].update(delay_seconds=None), "decoding: value error, lag: expected "),
        (lambda values: values.update(sample_hz=0.5), "decoding: delay_seconds: expected a step or more, got 1.5"),
        (lambda values: values.update(sample_hz=None), "decoding: lag: expected a sample_hz, got null"),
    ],
)
def test_a_decoding_that_is_none_is_refused(lagging, change, words):
    edit(lagging, change)
    assert words in refusal(lagging)


def test_a_chain_that_was_changed_is_refused(lagging):
    edit_tensors(lagging, lambda tensors: tensors["decoding.transitions"].mul_(0.5))
    assert "decoding.transitions: expected probabilities above 0 that sum to 1" in refusal(lagging)
    edit_tensors(lagging, lambda tensors: tensors.pop("decoding.transitions"))
    assert "decoding.transitions: expected shape (2, 2) of torch.float64, got nothing" in refusal(lagging)


def test_loading_a_model_does_not_wait_for_the_compiler(model_folder):
    code = (
        "import sys; from pathlib import Path; from videoseq.models.model_folder import load_model_folder; "
        f"load_model_folder(Path({str(model_folder)!r})); sys.exit('torch._dynamo' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# refusals


def test_what_is_no_model_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "empty").mkdir()
    for name, why in (("file", "Not a directory"), ("empty", "No such file"), ("missing", "No such file")):
        message = refusal(tmp_path / name)
        assert message.startswith(f"{tmp_path / name}: expected a model folder with model.json in it; {why}")


def test_a_missing_file_is_named(folder):
    (folder / "model.safetensors").unlink()
    assert "expected a model folder with model.safetensors in it; No such file" in refusal(folder)


@pytest.mark.parametrize("place", [0, 8, 200, -1])
def test_a_flipped_byte_is_noticed(place, folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)
    assert refusal(folder) == (
        f"{folder}: model.safetensors is not the file that model.json describes; copy the folder again"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "model.json: not valid JSON; "),
        (b'{"schema_version": 2, "classes": ["a"', "model.json: not valid JSON; "),
        (b"\xff\xfe\x00", "model.json: not valid JSON; "),
        (b"[" * 100_000, "model.json: not valid JSON; "),
        (b'{"schema_version": 2, "metrics": ' + b"[" * 900 + b"]" * 900 + b"}", "model.json: "),
        (b" " * (16 << 20) + b"{}", "model.json: expected at most 16777216 bytes, got 16777218"),
        (b"[]", "model.json: expected schema version 5, got None"),
        (b"{}", "model.json: expected schema version 5, got None"),
        (b'{"schema_version": 5}', "model.json: classes: field required"),
    ],
    ids=["empty", "truncated", "not text", "deep", "deep but valid", "huge", "a list", "nothing in it", "hardly"],
)
def test_a_description_that_cannot_be_read_is_refused(content, message, folder):
    (folder / "model.json").write_bytes(content)
    assert refusal(folder).startswith(f"{folder}: {message}")


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_a_truncated_description_is_refused(cut, folder):
    content = (folder / "model.json").read_bytes()
    (folder / "model.json").write_bytes(content[: int(len(content) * cut)])
    assert refusal(folder).startswith(f"{folder}: model.json: not valid JSON; ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(schema_version=1), "expected schema version 5, got 1; use the videoseq that made it"),
        (lambda v: v.update(schema_version="5"), "expected schema version 5, got 5"),
        (lambda v: v.update(format="other"), "model.json: format: input should be 'videoseq-model'"),
        (lambda v: v.update(surprise=1), "model.json: surprise: extra inputs are not permitted"),
        (lambda v: v["head"].update(surprise=1), "model.json: head.surprise: extra inputs are not permitted"),
        (lambda v: v.pop("classes"), "model.json: classes: field required"),
        (lambda v: v["head"].update(cell="transformer"), "model.json: head.cell: input should be 'rnn'"),
        (lambda v: v["head"].update(hidden_size=0), "model.json: head.hidden_size: input should be greater"),
        (lambda v: v.update(tensors_sha256=""), "model.safetensors is not the file that model.json describes"),
        (lambda v: v.update(classes=[]), "classes: expected at least one, got none"),
        (lambda v: v.update(classes=["dark", "Dark"]), "classes: 'dark' and 'Dark' differ by case"),
        (lambda v: v.update(classes=["bright", "dark", "dim"]), "model.safetensors does not fit model.json"),
        (lambda v: v.update(classes=["bright"]), "model.safetensors does not fit model.json"),
        (lambda v: v["head"].update(hidden_size=17), "model.safetensors does not fit model.json"),
        (lambda v: v["head"].update(num_layers=2), "model.safetensors does not fit model.json"),
        (lambda v: v["head"].update(cell="lstm"), "model.safetensors does not fit model.json"),
        (lambda v: v["head"].update(inputs="joint"), "model.safetensors does not fit model.json"),
        (lambda v: v["no_context_head"].update(cell="gru"), "model.safetensors does not fit model.json"),
    ],
    ids=lambda value: None if callable(value) else value[:40],
)
def test_a_description_that_does_not_fit_is_refused(change, message, folder):
    edit(folder, change)
    assert message in refusal(folder)


@pytest.mark.parametrize("size", [-1, 10**8, 10**30])
@pytest.mark.parametrize(("part", "name"), [("head", "hidden_size"), ("backbone", "feature_size")])
def test_a_size_that_no_machine_can_hold_is_refused(part, name, size, folder):
    edit(folder, lambda values: values[part].update({name: size}))
    assert "model.json" in refusal(folder)


@pytest.mark.parametrize("sample_hz", [0.0, -10.0, float("nan")])
def test_a_sampling_rate_that_training_would_refuse_is_refused(sample_hz, folder):
    edit(folder, lambda values: values.update(sample_hz=sample_hz))
    assert "model.json: sample_hz: " in refusal(folder)


def test_a_majority_class_that_is_no_class_is_refused(folder):
    edit(folder, lambda values: values.update(majority_class="dim"))
    assert "majority_class" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t["head.streams.motion.classifier.weight"].fill_(float("nan")),
            "head has weights that are not float32 numbers",
        ),
        (
            lambda t: t["head.streams.motion.classifier.bias"].fill_(float("inf")),
            "head has weights that are not float32 numbers",
        ),
        (
            lambda t: t["no_context.streams.features.classifier.bias"].fill_(float("nan")),
            "no_context has weights that are not float32 numbers",
        ),
        (lambda t: t.pop("head.streams.motion.classifier.bias"), "does not fit model.json; "),
        (lambda t: t.update({"head.surprise": torch.zeros(1)}), "does not fit model.json; "),
        (lambda t: t.update({"head.streams.motion.classifier.bias": torch.zeros(3)}), "does not fit model.json; "),
    ],
    ids=["NaN", "infinity", "NaN in the baseline", "lost", "surprise", "shape"],
)
def test_arrays_that_do_not_fit_are_refused(change, message, folder):
    edit_tensors(folder, change)
    assert message in refusal(folder)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + bytes(100), b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}"])
def test_arrays_of_another_kind_are_refused(content, folder):
    (folder / "model.safetensors").write_bytes(content)
    vouch(folder)
    assert refusal(folder).startswith(f"{folder}: ")


@pytest.mark.parametrize(
    "change",
    [
        lambda backbone: backbone.update(weights_sha256="0" * 64),
        lambda backbone: backbone["preprocessing"].update(height=240),
        lambda backbone: backbone["preprocessing"].update(mean=[0.0, 0.0, 0.0]),
    ],
    ids=["weights", "size", "mean"],
)
def test_features_other_than_the_trained_ones_are_refused(change, folder):
    edit(folder, lambda values: change(values["backbone"]))
    message = refusal(folder)
    assert message.startswith(f"{folder}: backbone efficientnet_lite0: the model was trained on features of ")
    assert message.endswith("; install the versions in model.json")


def test_a_model_error_about_the_backbone_names_the_folder(folder):
    edit(folder, lambda values: values["backbone"].update(weights_sha256="0" * 64))
    assert str(folder) in refusal(folder)


# nothing in it is run


def test_no_file_of_the_folder_is_a_pickle_or_an_archive(model_folder):
    for path in model_folder.iterdir():
        start = path.read_bytes()[:4]
        assert not start.startswith((b"\x80", b"PK", b"\x1f\x8b")), path


def test_torch_load_is_told_weights_only_and_never_given_a_file_of_the_folder(model_folder, monkeypatch):
    calls: list[tuple[Path, object]] = []
    load = torch.load

    def watched(file: Path, *args: object, **options: object) -> object:
        calls.append((Path(file), options.get("weights_only")))
        return load(file, *args, **options)

    monkeypatch.setattr(torch, "load", watched)
    load_model_folder(model_folder)
    assert calls
    assert all(weights_only is True for _, weights_only in calls)
    assert not any(path.is_relative_to(model_folder) for path, _ in calls)


def test_loading_and_labeling_open_no_socket(model_folder, video, monkeypatch):
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("a socket was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(AssertionError, match="a socket was asked for"):
        socket.create_connection(("127.0.0.1", 9))
    assert len(open_model(model_folder, RuntimeChoice(device="cpu")).label(video)) == 12


_LABEL_ELSEWHERE = """
import sys

def watch(event, args):
    if event.startswith("socket.") or event in ("pickle.find_class", "os.system", "os.exec"):
        raise RuntimeError(f"{event} {args}")

sys.addaudithook(watch)
import videoseq
labels = videoseq.load_model("copied").label(sys.argv[1])
print(",".join(labels.names))
"""


def test_a_copied_folder_labels_in_a_fresh_process_without_sockets_or_pickles(model_folder, video, tmp_path):
    expected = open_model(model_folder, RuntimeChoice(device="cpu")).label(video).names
    shutil.copytree(model_folder, tmp_path / "copied")
    environment = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    environment["HOME"] = str(tmp_path / "missing")
    run = subprocess.run(
        [sys.executable, "-c", _LABEL_ELSEWHERE, video],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.stderr == ""
    assert run.stdout.strip().split(",") == expected
    assert os.listdir(tmp_path) == ["copied"]


# where it goes


def test_a_model_is_replaced_only_when_told_to(contents, folder):
    (folder / "mark").write_text("the old one")
    with pytest.raises(OutputError, match=r"model: there is a model already; .*--overwrite$"):
        save_model_folder(contents, folder)
    assert (folder / "mark").exists()
    save_model_folder(contents, folder, overwrite=True)
    assert sorted(os.listdir(folder)) == ["model.json", "model.safetensors"]
    assert os.listdir(folder.parent) == ["model"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_something_else_is_never_replaced(overwrite, contents, tmp_path):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("precious")
    for name in ("file", "folder"):
        for refuse in (
            lambda name=name: check_target(tmp_path / name, overwrite=overwrite),
            lambda name=name: save_model_folder(contents, tmp_path / name, overwrite=overwrite),
        ):
            with pytest.raises(OutputError, match=f"{name}: expected a new folder or a model to replace, got somethin"):
                refuse()
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "thesis.tex").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_new_place_is_fine(tmp_path):
    check_target(tmp_path / "new", overwrite=False)
    check_target(tmp_path / "new", overwrite=True)
    assert os.listdir(tmp_path) == []


def test_a_model_whose_report_fails_does_not_appear(contents, tmp_path):
    def fail(staging: Path) -> None:
        (staging / "report.html").write_text("half")
        raise ValueError("no report")

    with pytest.raises(ValueError, match="no report"):
        save_model_folder(contents, tmp_path / "model", add_files=fail)
    assert os.listdir(tmp_path) == []


def test_a_model_whose_place_was_taken_meanwhile_is_not_lost_in_silence(contents, tmp_path):
    with pytest.raises(OutputError, match="model: "):
        save_model_folder(contents, tmp_path / "model", add_files=lambda _: (tmp_path / "model").mkdir())

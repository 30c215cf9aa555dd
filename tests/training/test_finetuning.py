"""Fine-tuning changes exactly what it is told to, by what the loss says; then the CNN is a backbone like any other."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pipelines import train as program
from pipelines.console import Console
from tests.support.interruption import PowerCutError, environment_at
from tests.support.listeners import EpochListener
from tests.support.small_backbone import make_clips, on_one_thread, small_images, store_images, write_clip
from videoseq import load_model
from videoseq.annotations.types import ClassNames
from videoseq.config.runtime import RuntimeChoice
from videoseq.config.schema import BackboneSettings, TrainSettings
from videoseq.config.yaml_file import load_settings
from videoseq.data.sequences import SequenceBatches
from videoseq.errors import ConfigError, ModelError
from videoseq.evaluation.evaluate import label_clips
from videoseq.features.backbones import load_backbone
from videoseq.models.causal_rnn import CausalRNN
from videoseq.models.model_folder import load_model_folder, save_model_folder
from videoseq.training import finetuning_module
from videoseq.training.calibration import best_temperature, tempered
from videoseq.training.finetuning import Finetuner, check_finetuning
from videoseq.training.finetuning_module import FinetuningModule
from videoseq.training.fit import FitEnvironment, fit
from videoseq.training.image_store import ImageStore
from videoseq.training.lightning_module import SequenceModule
from videoseq.training.train import train_model

CLASSES = ClassNames(["back", "there"])
QUICK = ["head.hidden_size=8", "head.projection_size=8", "head.components=0", "head.dropout=0",
         "training.max_epochs=2", "training.finetune_epochs=1", "training.batch_size=2", "training.tbptt_steps=8",
         "training.backbone_learning_rate=1e-3"]  # fmt: skip


def settings_of(*overrides: str) -> TrainSettings:
    return load_settings(overrides=[*QUICK, *overrides])


@pytest.fixture(scope="module")
def backbone():
    with small_images():
        yield load_backbone(BackboneSettings())


@pytest.fixture(scope="module")
def clips(backbone, tmp_path_factory):
    return make_clips(tmp_path_factory.mktemp("clips"), backbone)


@pytest.fixture(scope="module")
def images(backbone, clips, tmp_path_factory):
    with ImageStore(tmp_path_factory.mktemp("images"), backbone.identity.preprocessing) as store:
        store_images(store, clips)
        yield store


def make_module(backbone, clips, images, *overrides: str) -> FinetuningModule:
    settings = settings_of("backbone.trainable=2", *overrides)
    torch.manual_seed(0)
    head = CausalRNN(backbone.identity.vector_size, 2, settings.head)
    weights, trainable = torch.tensor([1.0, 2.0]), settings.backbone.trainable
    return FinetuningModule(head, weights, settings.training, copy.deepcopy(backbone), trainable, images)


def batches(clips, images=None):
    """Chunks that begin with videos and within them, with features or with the numbers of images."""
    if images is not None:
        clips = [images.numbered(clip) for clip in clips]
    return list(SequenceBatches(clips, batch_size=3, tbptt_steps=7, shuffle=False))


def loss_of(module: SequenceModule, chunks) -> torch.Tensor:
    module.on_train_epoch_start()
    return torch.stack([module.training_step(batch, 0) for batch in chunks]).sum()


def finetuned(backbone, clips, images, *overrides: str):
    settings = settings_of(*overrides)
    fitted = fit(clips, [], 2, settings.head, settings.training)
    return Finetuner(backbone, images, settings, on_one_thread)(fitted, clips, [])


def named_parts(network: nn.Module) -> dict[str, torch.Tensor]:
    return dict(network.state_dict())


@pytest.mark.parametrize(
    ("trainable", "prefixes"),
    [("1", ("blocks.15.", "head.")), ("all", ("stem.", "blocks.", "head."))],
)
def test_exactly_the_chosen_blocks_change(backbone, clips, images, trainable, prefixes):
    before = copy.deepcopy(named_parts(backbone.network))
    _, tuned = finetuned(backbone, clips, images, f"backbone.trainable={trainable}")
    after, parameters = named_parts(tuned.backbone.network), dict(backbone.network.named_parameters())
    for name, tensor in after.items():
        changes = name in parameters and name.startswith(prefixes)
        assert torch.equal(tensor, before[name]) != changes, name
    assert all(torch.equal(tensor, before[name]) for name, tensor in named_parts(backbone.network).items())
    assert not any(parameter.requires_grad for parameter in tuned.backbone.parameters())


@pytest.mark.parametrize("trainable", [3, "all"])
def test_gradients_reach_exactly_the_chosen_blocks(backbone, clips, images, trainable):
    module = make_module(backbone, clips, images, f"backbone.trainable={trainable}")
    loss_of(module, batches(clips, images)).backward()
    chosen = {id(parameter) for parameter in module.backbone.last_parameters(trainable)}
    for name, parameter in module.backbone.network.named_parameters():
        assert (parameter.grad is not None) == (id(parameter) in chosen), name
        assert parameter.grad is None or parameter.grad.any(), name
    assert all(parameter.grad is not None for parameter in module.head.parameters())


def test_batch_norm_stays_in_eval_mode(backbone, clips, images):
    """That its statistics stay as they are is seen where exactly the chosen parameters change."""
    module = make_module(backbone, clips, images, "backbone.trainable=all").train()
    assert module.head.training
    norms = [one for one in module.backbone.modules() if isinstance(one, nn.BatchNorm2d)]
    assert len(norms) == 49
    assert not any(norm.training or norm.momentum is None for norm in norms)


def test_the_loss_of_images_is_that_of_their_features(backbone, clips, images):
    """Each step sees the image of its own frame, and the state goes from chunk to chunk."""
    module = make_module(backbone, clips, images, "head.components=8")
    plain = SequenceModule(module.head, module.class_weights, module.settings)
    with torch.no_grad():
        of_images = loss_of(module, batches(clips, images))
        chunks = [batch._replace(features=module.head.reduce(batch.features)) for batch in batches(clips)]
        torch.testing.assert_close(of_images, loss_of(plain, chunks), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("trainable", ["2", pytest.param("15", marks=pytest.mark.slow)], ids=["divided", "whole"])
def test_computing_again_gives_the_same_gradients(backbone, clips, images, monkeypatch, trainable):
    """A few images at a time and computed twice, or all at once and kept, or from what frozen blocks made of them."""
    chunks, gradients, num_calls = batches(clips, images), [], []
    stored = images.passed_through(before) if (before := backbone.divided(int(trainable))[0]) else None
    for images_at_once, keeps, handed_over in ((16, False, None), (5, False, stored), (1000, True, None)):
        module = make_module(backbone, clips, images, f"backbone.trainable={trainable}")
        module._handed_over = handed_over
        calls: list[None] = []
        module.backbone.network.blocks[-1].register_forward_hook(lambda *_, calls=calls: calls.append(None))
        with monkeypatch.context() as patch:
            patch.setattr(finetuning_module, "_IMAGES_AT_ONCE", images_at_once)
            if keeps:
                patch.setattr(finetuning_module, "checkpoint", lambda part, given, use_reentrant: part(given))
            loss_of(module, chunks).backward()
        gradients.append([parameter.grad for parameter in module.parameters() if parameter.grad is not None])
        num_calls.append(len(calls))
    assert num_calls[0] == 2 * sum(-(-int((batch.features.unique() > 0).sum()) // 16) for batch in chunks)
    assert num_calls[2] == len(chunks)
    for others in gradients[1:]:
        for one, other in zip(gradients[0], others, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(one.abs().max()) + 1e-8)


def test_two_learning_rates(backbone, clips, images):
    module = make_module(backbone, clips, images, "training.learning_rate=0.003")
    of_head, of_cnn = module.configure_optimizers()["optimizer"].param_groups
    assert (of_head["initial_lr"], of_cnn["initial_lr"]) == (0.003, 1e-3)
    assert {id(one) for one in of_head["params"]} == {id(one) for one in module.head.parameters()}
    assert {id(one) for one in of_cnn["params"]} == {id(one) for one in module.backbone.last_parameters(2)}
    assert of_cnn["lr"] / of_head["lr"] == pytest.approx(1e-3 / 0.003)


def test_the_head_goes_on_from_where_it_was(backbone, clips, images):
    """With steps that are next to nothing it stays as it was fitted, and so do the CNN's features."""
    settings = settings_of(
        "backbone.trainable=1", "training.learning_rate=1e-12", "training.backbone_learning_rate=1e-12"
    )
    fitted = fit(clips, [], 2, settings.head, settings_of().training)
    before = copy.deepcopy(fitted.head.state_dict())
    result, tuned = Finetuner(backbone, images, settings, on_one_thread)(fitted, clips, [])
    for name, tensor in result.head.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=1e-9)
    assert [record.epoch for record in result.history] == [0, 1, 2]
    assert not result.head.training
    for one, other in zip(tuned.with_own_features(clips), clips, strict=True):
        np.testing.assert_allclose(one.features.features, other.features.features, atol=1e-4)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_cnn(backbone, clips, images):
    overrides = ("backbone.trainable=1", "training.flip=true", "training.crop=0.2")
    hashes = [finetuned(backbone, clips, images, *overrides)[1].backbone.identity.weights_sha256 for _ in range(2)]
    other = finetuned(backbone, clips, images, *overrides, "training.seed=1")[1]
    assert hashes[0] == hashes[1] != other.backbone.identity.weights_sha256


def test_augmentation_is_drawn_once_for_a_clip_and_an_epoch(backbone, clips, images, monkeypatch):
    module = make_module(
        backbone, clips, images, "training.flip=true", "training.color_jitter=0.5", "training.crop=0.5"
    )
    same = images.read(torch.tensor([1]))
    monkeypatch.setattr(images, "read", lambda numbers: same.repeat(len(numbers), 1, 1, 1))
    numbers = torch.arange(1, 25)
    epochs = {}
    for epoch in (0, 1):
        monkeypatch.setattr(FinetuningModule, "current_epoch", epoch)
        epochs[epoch] = module._read(numbers)
        changed = {clip: module._read(numbers)[8 * clip : 8 * clip + 8] for clip in range(3)}
        for of_clip in changed.values():
            assert (of_clip == of_clip[0]).all()
        assert len({tuple(of_clip[0].flatten().tolist()) for of_clip in changed.values()}) == 3
    assert not torch.equal(epochs[0], epochs[1])
    module.eval()
    assert torch.equal(module._read(numbers), same.repeat(24, 1, 1, 1))


@pytest.mark.slow
def test_what_is_augmented_is_not_computed_once(backbone, clips, images):
    plain, augmented = (
        finetuned(backbone, clips, images, "backbone.trainable=1", f"training.color_jitter={jitter}")[1]
        for jitter in (0.0, 0.5)
    )
    assert plain.backbone.identity != augmented.backbone.identity


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["backbone.trainable=17"], r"trainable: expected a number up to 16 or all, got 17; .*lite0 has 16 blocks"),
        (["training.flip=true"], r"training.flip, .*: change the images .*; set backbone.trainable, or leave"),
        (["backbone.trainable=1", "training.ensemble=3"], r"ensemble: expected 1 with backbone.trainable, got 3"),
        (["backbone.trainable=-1"], r"backbone.trainable"),
        (["backbone.trainable=some"], r"backbone.trainable"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_is_one_line(backbone, overrides, words):
    with pytest.raises(ConfigError, match=words) as found:
        check_finetuning(load_settings(overrides=overrides), backbone)
    assert "\n" not in str(found.value)


def test_a_cnn_without_known_blocks_is_fine_tuned_whole_or_not_at_all(backbone):
    unknown = copy.deepcopy(backbone)
    unknown.blocks = (tuple(name for name, _ in unknown.network.named_parameters()),)
    with pytest.raises(ConfigError, match="expected a number up to 0 or all, got 1"):
        unknown.last_parameters(1)
    assert len(unknown.last_parameters("all")) == len(list(unknown.parameters()))


@pytest.mark.slow
def test_in_cross_validation_no_cnn_has_seen_what_it_labels(backbone, clips, images):
    settings = settings_of("backbone.trainable=1", "data.cross_validation=groups", "head.inputs=motion")
    finetuner = Finetuner(backbone, images, settings, on_one_thread)
    trained = train_model(clips, CLASSES, settings, backbone, finetuner=finetuner)
    labeled = {video.name: video for video in trained.validation.evaluation.clips}
    expected = {}
    for group in ("g0", "g1"):
        rest = [clip for clip in clips if clip.entry.group != group]
        fitted = fit(rest, [], 2, settings.head, settings.training)
        result, tuned = finetuner(fitted, rest, [])
        held_out = tuned.with_own_features([clip for clip in clips if clip.entry.group == group])
        expected[group] = label_clips(result.head, held_out, CLASSES)
    for group, other in (("g0", "g1"), ("g1", "g0")):
        for video in expected[group]:
            probabilities = tempered(video, best_temperature(expected[other])).probabilities
            np.testing.assert_allclose(labeled[video.name].probabilities, probabilities, atol=1e-5)
    assert trained.contents.backbone is trained.validation.kept.tuned.backbone


def test_a_recipe_that_needs_a_finetuner_gets_one(backbone, clips):
    with pytest.raises(ValueError, match="expected a finetuner"):
        train_model(clips, CLASSES, settings_of("backbone.trainable=1"), backbone)


@pytest.fixture(scope="module")
def trained(backbone, tmp_path_factory):
    """A model that the program itself has made, its clips, and where their features are kept."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "clips").mkdir()
    for number in range(3):
        write_clip(folder / "clips", number)
    program.run(
        folder / "clips",
        settings_of("backbone.trainable=1", "data.refit=false"),
        folder / "model",
        Console(quiet=True),
        choice=RuntimeChoice("cpu", "torch", "float32"),
        cache=folder / "features",
        overwrite=False,
    )
    return folder


@pytest.mark.slow
def test_the_program_makes_a_model_that_carries_its_cnn(backbone, trained):
    contents = load_model_folder(trained / "model")
    identity = contents.config.backbone
    assert identity.weights_sha256 != backbone.identity.weights_sha256
    assert identity.name == backbone.identity.name
    assert contents.backbone.identity == identity
    assert not contents.backbone.weights_are_packaged
    video = trained / "clips" / "clip0.mp4"
    labels = load_model(trained / "model").label(video)
    assert len(labels.seconds) == 8
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8))
    assert (contents.backbone(images) - backbone(images)).abs().max() > 1e-3
    assert len(list((trained / "features").glob("*/*/entry.json"))) == 3  # none of the tuned CNN


def test_a_saved_model_labels_as_the_one_in_memory(backbone, clips, images, tmp_path):
    settings = settings_of("backbone.trainable=2", "data.refit=false")
    finetuner = Finetuner(backbone, images, settings, on_one_thread)
    made = train_model(clips, CLASSES, settings, backbone, finetuner=finetuner).contents
    save_model_folder(made, tmp_path / "model")
    video = clips[1].entry.video
    seen = images.seen_by(on_one_thread(made.backbone), clips[1])
    (expected,) = label_clips(made.head, [seen], CLASSES)
    labels = load_model(tmp_path / "model", device="cpu", runtime="torch", precision="float32", threads=1).label(video)
    np.testing.assert_allclose(labels.probabilities, expected.probabilities, atol=1e-6)
    assert np.abs(seen.features.features - clips[1].features.features).max() > 1e-3
    assert made.backbone.identity.sha256 != backbone.identity.sha256


@pytest.mark.slow
def test_tensors_that_are_not_its_own_are_refused(trained, backbone, tmp_path):
    contents = load_model_folder(trained / "model")
    with torch.no_grad():
        contents.backbone.network.head[0][1].weight[0] += 1
    save_model_folder(contents, tmp_path / "model")
    with pytest.raises(ModelError, match=r"the model was trained on features of .*, this installation makes those of"):
        load_model_folder(tmp_path / "model")


@pytest.mark.slow
def test_fine_tuning_that_was_interrupted_goes_on_to_the_same_bits(backbone, clips, images, tmp_path):
    """CNN and head, each with its learning rate, and what is drawn for images in each pass."""
    told = ("backbone.trainable=1", "training.finetune_epochs=3", "head.dropout=0.3", "training.color_jitter=0.2")
    settings = settings_of(*told)
    finetuner = Finetuner(backbone, images, settings, on_one_thread)

    def tune(environment, stop_at=None):
        seen = []

        def on_epoch(_, record):
            seen.append(record.epoch)
            if record.epoch == stop_at:
                raise PowerCutError

        head = fit(clips, [], 2, settings.head, settings.training, environment=environment)
        told = replace(environment, listener=EpochListener(on_epoch))
        result, tuned = finetuner(head, clips, [], told, "fine-tuning")
        return [*result.head.state_dict().values(), *tuned.backbone.state_dict().values()], seen

    whole, _ = tune(FitEnvironment())
    with pytest.raises(PowerCutError):
        tune(environment_at(tmp_path), stop_at=1)
    resumed, seen = tune(environment_at(tmp_path, may_resume=True))
    assert seen == [1, 2]
    assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))

"""A network is taken instead of the usual one only where groups left out show more than chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.heads import make_bidirectional, make_features, make_head
from tests.support.switch_clips import SETTINGS, make_clip
from videoseq.annotations.types import ClassNames
from videoseq.config.schema import BackboneSettings, HeadSettings, TrainSettings
from videoseq.evaluation.evaluate import label_clips
from videoseq.features.backbones import load_backbone
from videoseq.models.ensemble import Ensemble, network_with
from videoseq.training.choice import Choice, choose, head_to_compare, names_to_choose_from, taken_head, usual_head
from videoseq.training.train import train_model

CLASSES = ClassNames(["off", "on"])
AUTO = HeadSettings(hidden_size=16, projection_size=16, dropout=0.0, components=4)
SHORT = SETTINGS.model_copy(update={"max_epochs": 2, "patience": None})
SCORE = st.floats(0, 1, allow_nan=False)


def scores(**by_candidate: list[float]) -> dict[str, dict[str, float]]:
    return {name: {f"g{n}": value for n, value in enumerate(values)} for name, values in by_candidate.items()}


@pytest.mark.parametrize(
    ("motion", "other", "taken"),
    [
        ([0.5, 0.6, 0.7], [0.6, 0.7, 0.8], "other"),  # as much better in every group
        ([0.5, 0.6, 0.7], [0.9, 0.5, 0.5], "motion"),  # better in one
        ([0.5, 0.6, 0.7], [0.5, 0.6, 0.7], "motion"),
        ([0.5], [0.9], "motion"),  # one group shows nothing
        ([0.5, 0.5], [0.6, 0.7], "other"),
    ],
)
def test_the_usual_network_stays_unless_another_is_better_by_more_than_chance(motion, other, taken):
    assert choose(scores(motion=motion, other=other)).taken == taken


def test_what_a_choice_labels_has_no_part_in_it():
    found = scores(motion=[0.5, 0.5, 0.5], other=[0.6, 0.6, 0.1])
    assert choose(found).taken == "motion"
    assert choose(found, ["g2"]).taken == "other"
    assert choose(found, ["g0"]).taken == "motion"


@given(st.lists(st.tuples(SCORE, SCORE, SCORE), min_size=1, max_size=8))
def test_what_is_taken_is_never_below_the_usual_one_on_average(rows):
    columns = dict(zip(("motion", "three_streams", "no context"), map(list, zip(*rows, strict=True)), strict=True))
    taken = choose(scores(**columns)).taken
    assert np.mean(columns[taken]) >= np.mean(columns["motion"])


def test_what_the_user_names_is_not_chosen():
    named = HeadSettings(inputs="joint")
    assert head_to_compare(named) == usual_head(named) == taken_head(Choice("model", {}), named) == named
    assert usual_head(AUTO).inputs == "motion"
    assert head_to_compare(AUTO).inputs == "three_streams"
    blind = taken_head(Choice("no context", {}), AUTO)
    assert (blind.cell, blind.inputs, blind.hidden_size) == ("none", "features", 16)
    assert names_to_choose_from(named) == ["model"]
    assert names_to_choose_from(AUTO) == ["motion", "three_streams", "no context"]
    assert names_to_choose_from(HeadSettings(bidirectional=True)) == ["motion", "three_streams"]


@pytest.mark.parametrize("make", [make_head, make_bidirectional])
@pytest.mark.parametrize("members", [1, 2])
def test_a_part_of_a_network_is_the_mean_of_its_streams(make, members):
    networks = [make(inputs="three_streams", seed=seed) for seed in range(members)]
    whole = networks[0] if members == 1 else Ensemble(networks)
    whole.temperature.fill_(1.5)
    before = torch.random.get_rng_state()
    part, features = network_with(whole.eval(), "motion"), make_features(9)
    assert torch.equal(torch.random.get_rng_state(), before)
    streams = [network.stream_logits(network.reduce(features))[0] for network in networks]
    expected = torch.stack([(of[0] + of[2]) / 2 for of in streams]).mean(dim=0) / 1.5  # motion, differences, static
    assert torch.allclose(part(features)[0], expected, atol=1e-6)


def test_a_part_of_a_multilabel_network_has_its_thresholds():
    whole = make_head(inputs="three_streams")
    whole.add_thresholds()
    whole.thresholds.fill_(0.3)
    assert network_with(whole, "motion").thresholds.tolist() == pytest.approx([0.3] * whole.num_classes)


def test_training_finds_out_records_it_and_measures_what_others_chose():
    settings = TrainSettings(head=AUTO, training=SHORT)
    clips = [make_clip(seed, group=f"g{seed}") for seed in range(4)]
    trained = train_model(clips, CLASSES, settings, load_backbone(BackboneSettings()))
    measured, config = trained.validation, trained.contents.config
    assert list(measured.choice.macro_f1) == ["motion", "three_streams", "no context"]
    assert all(set(of) == {"g0", "g1", "g2", "g3"} for of in measured.choice.macro_f1.values())
    assert config.head == taken_head(measured.choice, AUTO)
    assert config.settings.head.inputs == "auto"
    (said,) = (one for one in measured.notices if one.code == "network_chosen")
    assert not said.is_warning
    assert said.message.startswith("memory ")
    assert len(label_clips(trained.contents.head, clips, CLASSES)) == 4


def test_a_network_without_memory_is_kept_where_one_frame_alone_is_better(monkeypatch):
    better_alone = scores(**{"motion": [0.2, 0.3], "three_streams": [0.3, 0.2], "no context": [0.8, 0.9]})
    monkeypatch.setattr("videoseq.training.cross_validation.score", lambda *_: better_alone)
    clips = [make_clip(seed, group=f"g{seed}") for seed in range(2)]
    settings = TrainSettings(head=AUTO, training=SHORT)
    trained = train_model(clips, CLASSES, settings, load_backbone(BackboneSettings()))
    assert trained.contents.config.head.cell == "none"
    (said,) = (one for one in trained.validation.notices if one.code == "network_chosen")
    assert "the model has no memory" in said.message

"""Several networks answer as one, and their states stand side by side without touching each other."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.heads import CELLS, CLASSES, INPUTS, make_features, make_head
from tests.support.listeners import EpochListener
from tests.support.switch_clips import HEAD, SETTINGS, make_clip
from videoseq.models.causal_rnn import RNNState
from videoseq.models.ensemble import Ensemble
from videoseq.training.fit import FitEnvironment, fit


def make_members(cell: str = "gru", inputs: str = "two_streams", number: int = 3) -> list:
    return [make_head(cell, inputs=inputs, seed=seed) for seed in range(number)]


@torch.no_grad()
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("inputs", INPUTS)
def test_the_answer_is_the_mean_of_the_members(cell, inputs):
    members, features = make_members(cell, inputs), make_features(12, batch=2)
    logits, _ = Ensemble(members)(features)
    expected = sum(member(features)[0] for member in members) / len(members)
    torch.testing.assert_close(logits, expected)
    assert logits.shape == (2, 12, CLASSES)


@torch.no_grad()
@settings(max_examples=30)
@given(st.sampled_from(CELLS), st.sampled_from(INPUTS), st.lists(st.integers(0, 7), min_size=1, max_size=5))
def test_chunks_of_any_size_give_the_same(cell, inputs, sizes):
    ensemble, features = Ensemble(make_members(cell, inputs)), make_features(sum(sizes), batch=2)
    whole, last = ensemble(features)
    state, parts = ensemble.initial_state(2), []
    for part in features.split(sizes, dim=1):
        logits, state = ensemble(part, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=0)
    for name, tensor in state.tensors().items():
        if sum(sizes):
            torch.testing.assert_close(tensor, last.tensors()[name], atol=1e-5, rtol=0)


def test_states_come_apart_as_they_were_joined():
    parts = [make_head(seed=seed)(make_features(4, batch=2, seed=seed))[1] for seed in range(3)]
    for part, again in zip(parts, RNNState.join(parts).split(3), strict=True):
        for name, tensor in part.tensors().items():
            assert torch.equal(again.tensors()[name], tensor)


@torch.no_grad()
def test_the_temperature_divides_the_mean():
    ensemble, features = Ensemble(make_members()), make_features(5)
    before, _ = ensemble(features)
    ensemble.temperature.fill_(2.0)
    torch.testing.assert_close(ensemble(features)[0], before / 2)


def test_members_are_fitted_each_from_a_seed_of_its_own():
    clips, training = [make_clip(seed) for seed in range(4)], SETTINGS.model_copy(update={"max_epochs": 2})
    head = HEAD.model_copy(update={"components": 3})
    told = []
    environment = FitEnvironment(listener=EpochListener(lambda _, record: told.append(record)))
    of_two = training.model_copy(update={"ensemble": 2, "seed": 5})
    together = fit(clips, [], 2, head, of_two, environment=environment).head
    assert isinstance(together, Ensemble)
    assert not together.training
    assert [(record.member, record.epoch) for record in told] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for number, member in enumerate(together.members):
        alone = fit(clips, [], 2, head, training.model_copy(update={"seed": 5 + number})).head
        for name, tensor in alone.state_dict().items():
            assert torch.equal(member.state_dict()[name], tensor), name

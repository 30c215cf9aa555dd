"""The network is the recurrence it says it is, causal, and the same in chunks of any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videoseq.config import HeadSettings
from videoseq.model import CausalRNN, RNNState

FEATURES, CLASSES = 6, 3
CELLS = ("rnn", "gru", "lstm", "none")


def make_head(cell="gru", *, num_layers=1, differences=True, seed=0) -> CausalRNN:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        settings = HeadSettings(
            cell=cell, hidden_size=5, num_layers=num_layers, projection_size=4, feature_differences=differences
        )
        return CausalRNN(FEATURES, CLASSES, settings).eval()


def make_features(time: int, batch: int = 1, seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(batch, time, FEATURES)).astype(np.float32))


def projected(head: CausalRNN, features: np.ndarray) -> np.ndarray:
    """The input projection by hand: Linear, LayerNorm, ReLU."""
    weights = {name: tensor.numpy() for name, tensor in head.projection.state_dict().items()}
    linear = features @ weights["0.weight"].T + weights["0.bias"]
    centred = linear - linear.mean(axis=1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    return np.maximum(normal * weights["1.weight"] + weights["1.bias"], 0.0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


@torch.no_grad()
def test_rnn_is_the_recurrence_written_out():
    """a[t] = tanh(Waa a[t−1] + Wax x[t] + ba), y[t] = Wya a[t] + by."""
    head, features = make_head("rnn", differences=False), make_features(20)
    weights = {name: tensor.double().numpy() for name, tensor in head.recurrence.state_dict().items()}
    Wax, Waa = weights["weight_ih_l0"], weights["weight_hh_l0"]
    ba = weights["bias_ih_l0"] + weights["bias_hh_l0"]
    Wya, by = head.classifier.weight.double().numpy(), head.classifier.bias.double().numpy()
    a, expected = np.zeros(5), []
    for x in projected(head, features[0].double().numpy()):
        a = np.tanh(Waa @ a + Wax @ x + ba)
        expected.append(Wya @ a + by)
    np.testing.assert_allclose(head(features)[0][0], expected, atol=1e-5)


@torch.no_grad()
def test_gru_is_the_recurrence_written_out():
    """r, z = σ(W x + b + U a + c); n = tanh(Wn x + bn + r (Un a + cn)); a = (1 − z) n + z a."""
    head, features = make_head("gru", differences=False), make_features(20)
    weights = {name: tensor.double().numpy() for name, tensor in head.recurrence.state_dict().items()}
    Wr, Wz, Wn = np.split(weights["weight_ih_l0"], 3)
    Ur, Uz, Un = np.split(weights["weight_hh_l0"], 3)
    br, bz, bn = np.split(weights["bias_ih_l0"], 3)
    cr, cz, cn = np.split(weights["bias_hh_l0"], 3)
    Wya, by = head.classifier.weight.double().numpy(), head.classifier.bias.double().numpy()
    a, expected = np.zeros(5), []
    for x in projected(head, features[0].double().numpy()):
        r, z = sigmoid(Wr @ x + br + Ur @ a + cr), sigmoid(Wz @ x + bz + Uz @ a + cz)
        a = (1.0 - z) * np.tanh(Wn @ x + bn + r * (Un @ a + cn)) + z * a
        expected.append(Wya @ a + by)
    np.testing.assert_allclose(head(features)[0][0], expected, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("cell", CELLS)
def test_differences_are_x_t_minus_x_before_and_zero_at_the_start(cell):
    head, plain = make_head(cell), make_head(cell, differences=False)
    features = make_features(7)
    differences = torch.diff(features, dim=1, prepend=features[:, :1])
    plain.projection = head.projection
    plain.recurrence, plain.classifier = head.recurrence, head.classifier
    expected, _ = plain(torch.cat((features, differences), dim=2))
    torch.testing.assert_close(head(features)[0], expected)


@torch.no_grad()
@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CELLS), st.integers(1, 3), st.booleans(), st.integers(1, 40), st.data())
def test_any_chunks_give_the_same_logits(cell, num_layers, differences, time, data):
    head, features = make_head(cell, num_layers=num_layers, differences=differences), make_features(time, batch=2)
    whole, last = head(features)
    cuts = sorted(data.draw(st.sets(st.integers(0, time), max_size=6)))
    state: RNNState | None = None
    parts = []
    for part in torch.tensor_split(features, cuts, dim=1):
        logits, state = head(part, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-4)
    for name, tensor in last.tensors().items():
        torch.testing.assert_close(state.tensors()[name], tensor, atol=1e-5, rtol=1e-4)


@torch.no_grad()
@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CELLS), st.integers(1, 2), st.integers(2, 40), st.data())
def test_the_future_changes_nothing_before_it(cell, num_layers, time, data):
    head, features = make_head(cell, num_layers=num_layers), make_features(time)
    cut = data.draw(st.integers(1, time - 1))
    changed = features.clone()
    changed[:, cut:] += 10.0
    before, after = head(features)[0], head(changed)[0]
    torch.testing.assert_close(before[:, :cut], after[:, :cut], rtol=0, atol=0)
    assert not torch.equal(before[:, cut:], after[:, cut:])


@torch.no_grad()
@pytest.mark.parametrize("cell", CELLS)
def test_reset_is_per_video_and_complete(cell):
    head = make_head(cell)
    _, state = head(make_features(9, batch=3))
    features = make_features(4, batch=3, seed=2)
    logits, _ = head(features, state.reset(torch.tensor([True, False, True])))
    fresh, carried = head(features)[0], head(features, state)[0]
    torch.testing.assert_close(logits[[0, 2]], fresh[[0, 2]], rtol=0, atol=1e-6)
    torch.testing.assert_close(logits[1], carried[1], rtol=0, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_recurrent_cell_remembers_and_none_does_not(cell):
    features = make_features(12)
    changed = features.clone()
    changed[:, 0] += 5.0
    for name, remembers in ((cell, True), ("none", False)):
        head = make_head(name, differences=False)
        assert torch.equal(head(features)[0][:, 5], head(changed)[0][:, 5]) != remembers


def test_each_layer_has_its_own_weights():
    names = [name for name, _ in make_head("lstm", num_layers=3).recurrence.named_parameters()]
    assert sum(name.startswith("weight_hh") for name in names) == 3


@torch.no_grad()
def test_padding_after_the_end_is_inert():
    head, features = make_head(), make_features(8)
    padded = torch.cat((features, torch.zeros(1, 5, FEATURES)), dim=1)
    torch.testing.assert_close(head(padded)[0][:, :8], head(features)[0], rtol=0, atol=1e-6)


@torch.no_grad()
def test_no_steps_change_nothing():
    head = make_head()
    _, state = head(make_features(3))
    logits, same = head(make_features(0), state)
    assert logits.shape == (1, 0, CLASSES)
    assert same is state


def test_detach_cuts_the_graph():
    head = make_head()
    _, state = head(make_features(3))
    assert state.hidden.requires_grad
    assert not state.detach().hidden.requires_grad

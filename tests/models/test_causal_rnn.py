"""The network is the recurrence it says it is, causal, and the same in chunks of any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.heads import (
    APPEARANCE,
    CELLS,
    CLASSES,
    FEATURES,
    INPUTS,
    appearance_of,
    lagged,
    make_features,
    make_head,
)
from videoseq.config.schema import HeadSettings
from videoseq.features.motion import MOTION_SIZE
from videoseq.models.causal_rnn import CausalRNN
from videoseq.models.pca import PCA
from videoseq.models.state import RNNState


def projected(head: CausalRNN, features: np.ndarray) -> np.ndarray:
    """The input projection by hand: Linear, LayerNorm, ReLU."""
    weights = {name: tensor.numpy() for name, tensor in head.streams["features"].projection.state_dict().items()}
    linear = features @ weights["0.weight"].T + weights["0.bias"]
    centered = linear - linear.mean(axis=1, keepdims=True)
    normal = centered / np.sqrt((centered**2).mean(axis=1, keepdims=True) + 1e-5)
    return np.maximum(normal * weights["1.weight"] + weights["1.bias"], 0.0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


@torch.no_grad()
def test_rnn_is_the_recurrence_written_out():
    """a[t] = tanh(Waa a[t−1] + Wax x[t] + ba), y[t] = Wya a[t] + by."""
    head, features = make_head("rnn", inputs="features", components=0), make_features(20)
    weights = {
        name: tensor.double().numpy() for name, tensor in head.streams["features"].recurrence.state_dict().items()
    }
    Wax, Waa = weights["weight_ih_l0"], weights["weight_hh_l0"]
    ba = weights["bias_ih_l0"] + weights["bias_hh_l0"]
    Wya, by = (
        head.streams["features"].classifier.weight.double().numpy(),
        head.streams["features"].classifier.bias.double().numpy(),
    )
    a, expected = np.zeros(6), []
    for x in projected(head, appearance_of(features)[0].double().numpy()):
        a = np.tanh(Waa @ a + Wax @ x + ba)
        expected.append(Wya @ a + by)
    np.testing.assert_allclose(head(features)[0][0], expected, atol=1e-5)


@torch.no_grad()
def test_gru_is_the_recurrence_written_out():
    """r, z = σ(W x + b + U a + c); n = tanh(Wn x + bn + r (Un a + cn)); a = (1 − z) n + z a."""
    head, features = make_head("gru", inputs="features", components=0), make_features(20)
    weights = {
        name: tensor.double().numpy() for name, tensor in head.streams["features"].recurrence.state_dict().items()
    }
    Wr, Wz, Wn = np.split(weights["weight_ih_l0"], 3)
    Ur, Uz, Un = np.split(weights["weight_hh_l0"], 3)
    br, bz, bn = np.split(weights["bias_ih_l0"], 3)
    cr, cz, cn = np.split(weights["bias_hh_l0"], 3)
    Wya, by = (
        head.streams["features"].classifier.weight.double().numpy(),
        head.streams["features"].classifier.bias.double().numpy(),
    )
    a, expected = np.zeros(6), []
    for x in projected(head, appearance_of(features)[0].double().numpy()):
        r, z = sigmoid(Wr @ x + br + Ur @ a + cr), sigmoid(Wz @ x + bz + Uz @ a + cz)
        a = (1.0 - z) * np.tanh(Wn @ x + bn + r * (Un @ a + cn)) + z * a
        expected.append(Wya @ a + by)
    np.testing.assert_allclose(head(features)[0][0], expected, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("inputs", INPUTS)
def test_what_each_stream_sees_is_as_written(cell, inputs):
    head, features = make_head(cell, inputs=inputs), make_features(9)
    head.reduction.learn([features[0] + 1.0])
    pca = head.reduction.pca
    appearance = (appearance_of(features) - pca.mean) @ pca.basis
    differences = lagged(appearance)
    joint = torch.cat((appearance, differences), dim=2)
    motion = features[..., APPEARANCE:] - (features[..., APPEARANCE:] + 1.0).mean(dim=1, keepdim=True)
    seen = {
        "features": appearance,
        "differences": differences,
        "joint": joint,
        "motion": motion / features[..., APPEARANCE:].std(dim=1, correction=0, keepdim=True),
        "static": joint,
    }
    expected = {
        "motion": ["motion", "static"],
        "two_streams": ["differences", "static"],
        "three_streams": ["motion", "differences", "static"],
    }.get(inputs, [inputs])
    assert list(head.streams) == expected
    logits = [stream(seen[name], stream.initial(1))[0] for name, stream in head.streams.items()]
    torch.testing.assert_close(head(features)[0], torch.stack(logits).mean(dim=0), atol=1e-5, rtol=1e-4)
    recurrent = [name for name, stream in head.streams.items() if stream.recurrence is not None]
    assert recurrent == ([] if cell == "none" else [name for name in expected if name != "static"])


@torch.no_grad()
@settings(max_examples=20)
@given(st.integers(4, 60), st.integers(1, 6), st.integers(0, 99))
def test_pca_is_on_one_scale(rows, components, seed):
    from sklearn import decomposition

    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 4)) @ random.normal(size=(4, APPEARANCE)) + 3.0  # rank four of six
    pca = PCA(APPEARANCE, components)
    pca.learn(torch.from_numpy(features).float().split(7))
    got = pca(torch.from_numpy(features).float()[None])[0].numpy()
    kept = min(components, 4, rows - 1)
    expected = decomposition.PCA(kept).fit_transform(features)
    scale = np.sqrt(expected.var(axis=0).sum() / components)
    np.testing.assert_allclose(np.abs(got[:, :kept]), np.abs(expected) / scale, atol=2e-2)
    np.testing.assert_allclose(got[:, kept:], 0.0, atol=2e-2)


@torch.no_grad()
def test_features_that_never_change_reduce_to_zero_and_not_to_nan():
    pca = PCA(APPEARANCE, 3)
    pca.learn([torch.full((7, APPEARANCE), 2.0)])
    assert torch.equal(pca(torch.full((1, 2, APPEARANCE), 2.0)), torch.zeros(1, 2, 3))


@torch.no_grad()
def test_all_features_are_seen_when_no_components_are_asked_for():
    head = make_head(inputs="features", components=0)
    assert head.reduction.num_components == APPEARANCE
    assert head.streams["features"].projection[0].in_features == APPEARANCE


def test_motion_that_hardly_varies_is_not_blown_up():
    head = make_head(inputs="motion")
    head.reduction.learn([torch.full((7, FEATURES), 2.0)])
    seen = head.reduce(torch.full((1, 1, FEATURES), 2.0001))
    assert seen[..., head.reduction.num_appearance :].abs().max() < 0.2


def test_one_frame_alone_does_not_see_motion():
    head, features = make_head("none", inputs="features"), make_features(5)
    changed = features.clone()
    changed[..., APPEARANCE:] += 1.0
    with torch.no_grad():
        assert torch.equal(head(features)[0], head(changed)[0])


def test_a_vector_without_appearance_is_refused():
    with pytest.raises(ValueError, match=f"expected feature vectors of more than {MOTION_SIZE} numbers"):
        CausalRNN(MOTION_SIZE, 2, HeadSettings())


@torch.no_grad()
@settings(max_examples=60)
@given(st.sampled_from(CELLS), st.integers(1, 3), st.sampled_from(INPUTS), st.integers(1, 40), st.data())
def test_any_chunks_give_the_same_logits(cell, num_layers, inputs, time, data):
    head, features = make_head(cell, num_layers=num_layers, inputs=inputs), make_features(time, batch=2)
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
@settings(max_examples=60)
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
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "tcn", "attention"])
def test_a_cell_remembers_and_none_does_not(cell):
    features = make_features(12)
    changed = features.clone()
    changed[:, 0, 0] += 5.0
    for name, remembers in ((cell, True), ("none", False)):
        head = make_head(name, inputs="features", num_layers=2)
        assert torch.equal(head(features)[0][:, 5], head(changed)[0][:, 5]) != remembers


def test_each_layer_has_its_own_weights():
    names = [name for name, _ in make_head("lstm", num_layers=3).streams["motion"].recurrence.named_parameters()]
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
    assert state["motion.hidden"].requires_grad
    assert not state.detach()["motion.hidden"].requires_grad


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_has_its_batch_first_and_begins_with_zeros(cell):
    state = make_head(cell, num_layers=2).initial_state(3)
    for tensor in state.tensors().values():
        assert len(tensor) == 3
        assert not tensor.any()


@torch.no_grad()
@pytest.mark.parametrize("cell", CELLS)
def test_a_state_stays_as_large_as_it_is(cell):
    head = make_head(cell, num_layers=2)
    shapes = {name: tensor.shape for name, tensor in head.initial_state().tensors().items()}
    for time in (1, 4, 200):
        state = head(make_features(time))[1].tensors()
        assert {name: tensor.shape for name, tensor in state.items()} == shapes

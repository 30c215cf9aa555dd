"""Each cell against its formula, written out for one step after the other, and how far back it sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videoseq.config.schema import HeadSettings
from videoseq.models.causal_rnn import make_cell
from videoseq.models.cells import Cell

INPUTS, WIDTH = 3, 4


def a_cell(name: str, num_layers: int = 2, window: int = 3, num_heads: int = 2) -> Cell:
    with torch.random.fork_rng():
        torch.manual_seed(num_layers)
        cell = make_cell(
            INPUTS,
            HeadSettings(cell=name, hidden_size=WIDTH, num_layers=num_layers, window=window, num_heads=num_heads),
        )
        for parameter in cell.parameters():
            torch.nn.init.normal_(parameter, std=0.7)  # norms and biases of distance too
    return cell.eval()


def some_units(time: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, time, INPUTS, generator=torch.Generator().manual_seed(seed))


def weights_of(cell: Cell) -> dict[str, np.ndarray]:
    return {name: tensor.double().numpy() for name, tensor in cell.state_dict().items()}


def normalized(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    centered = x - x.mean(axis=-1, keepdims=True)
    scaled = centered / np.sqrt((centered**2).mean(axis=-1, keepdims=True) + 1e-5)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max())
    return powers / powers.sum()


@torch.no_grad()
def test_a_tcn_is_its_layers_written_out():
    """x[t] + W relu(Σ V_k x[t − (2 − k) 2^layer] + b) + c, x before the first step being 0."""
    cell, units = a_cell("tcn", num_layers=3), some_units(20)
    w = weights_of(cell)
    x = units[0].double().numpy() @ w["first.weight"].T + w["first.bias"]
    for layer in range(3):
        out = []
        for t in range(20):
            past = [x[t - (2 - k) * 2**layer] if t >= (2 - k) * 2**layer else np.zeros(WIDTH) for k in range(3)]
            seen = sum(w[f"dilated.{layer}.weight"][:, :, k] @ past[k] for k in range(3)) + w[f"dilated.{layer}.bias"]
            out.append(x[t] + w[f"mixing.{layer}.weight"] @ np.maximum(seen, 0) + w[f"mixing.{layer}.bias"])
        x = np.array(out)
    np.testing.assert_allclose(cell.advance(units, cell.initial(1))[0][0], x, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("window", [3, 40])
def test_attention_is_its_layers_written_out(window):
    """Each head: softmax over s from t − window to t of q[t]·k[s] / √d + bias[t − s], and so on."""
    cell, units = a_cell("attention", window=window), some_units(20)
    w = weights_of(cell)
    x = units[0].double().numpy() @ w["first.weight"].T + w["first.bias"]
    for layer in range(2):
        of = {name.removeprefix(f"layers.{layer}."): value for name, value in w.items()}
        qkv = normalized(x, of, "norm") @ of["query_key_value.weight"].T + of["query_key_value.bias"]
        q, k, v = (part.reshape(20, 2, WIDTH // 2) for part in np.split(qkv, 3, axis=1))
        mixed = np.zeros((20, 2, WIDTH // 2))
        for t in range(20):
            seen = np.arange(max(0, t - window), t + 1)
            for head in range(2):
                scores = k[seen, head] @ q[t, head] / np.sqrt(WIDTH // 2) + of["distance_bias"][head, t - seen]
                mixed[t, head] = softmax(scores) @ v[seen, head]
        x = x + mixed.reshape(20, WIDTH) @ of["mixing.weight"].T + of["mixing.bias"]
        inner = normalized(x, of, "feed_forward.0") @ of["feed_forward.1.weight"].T + of["feed_forward.1.bias"]
        x = x + np.maximum(inner, 0) @ of["feed_forward.4.weight"].T + of["feed_forward.4.bias"]
    expected = normalized(x, w, "last_norm")
    np.testing.assert_allclose(cell.advance(units, cell.initial(1))[0][0], expected, rtol=1e-3, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("name", "reach"), [("tcn", 2 * (2**3 - 1)), ("attention", 3 * 3)])
def test_three_layers_reach_as_far_back_as_they_say_and_no_further(name, reach):
    cell, differs = a_cell(name, num_layers=3), np.zeros(40, bool)
    for seed in range(20):  # one may be lost in a relu
        units = some_units(40, seed)
        changed = units.clone()
        changed[:, 4] += 3.0
        before, after = (cell.advance(one, cell.initial(1))[0][0] for one in (units, changed))
        differs |= (before != after).any(dim=1).numpy()
    assert np.flatnonzero(differs)[[0, -1]].tolist() == [4, 4 + reach]


@torch.no_grad()
def test_long_inputs_go_through_attention_in_blocks_that_do_not_show():
    cell, units = a_cell("attention", window=7), some_units(300)
    whole, last = cell.advance(units, cell.initial(1))
    state, parts = cell.initial(1), []
    for part in units.split(11, dim=1):
        output, state = cell.advance(part, state)
        parts.append(output)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(state, last, rtol=1e-4, atol=1e-5)
    assert state["num_past"].tolist() == [7]


def test_without_recurrence_there_is_no_cell():
    assert make_cell(INPUTS, HeadSettings(cell="none")) is None

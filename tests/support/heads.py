"""Small heads with fixed weights, and features for them."""

from __future__ import annotations

import numpy as np
import torch

from videoseq.config.schema import HeadSettings
from videoseq.features.motion import MOTION_SIZE
from videoseq.models.bidirectional import BidirectionalRNN, make_network
from videoseq.models.causal_rnn import CausalRNN

APPEARANCE, CLASSES = 6, 3
FEATURES = APPEARANCE + MOTION_SIZE
CELLS = ("rnn", "gru", "lstm", "tcn", "attention", "none")
INPUTS = ("motion", "two_streams", "three_streams", "joint", "features", "differences")
LAGS = (1, 3)


def make_head(cell="gru", *, num_layers=1, inputs="three_streams", components=4, seed=0) -> CausalRNN:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        settings = HeadSettings(
            cell=cell, hidden_size=6, num_layers=num_layers, projection_size=4, window=5, num_heads=2,
            components=components, inputs=inputs, difference_lags=LAGS,
        )  # fmt: skip
        return CausalRNN(FEATURES, CLASSES, settings).eval()


def make_features(time: int, batch: int = 1, seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(batch, time, FEATURES)).astype(np.float32))


def appearance_of(features: torch.Tensor) -> torch.Tensor:
    """Features without motion."""
    return features[..., :-MOTION_SIZE]


def lagged(features: torch.Tensor) -> torch.Tensor:
    """x[t] − x[t−k] for every lag, by hand; before the first step stands the first step."""
    rows = features[0]
    return torch.stack(
        [torch.cat([rows[t] - rows[max(t - lag, 0)] for lag in LAGS]) for t in range(len(rows))]
    )[None]  # fmt: skip


def make_bidirectional(cell="gru", *, num_layers=1, inputs="three_streams", components=4, seed=0) -> BidirectionalRNN:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = HeadSettings(
            cell=cell, bidirectional=True, hidden_size=6, num_layers=num_layers, projection_size=4,
            components=components, inputs=inputs, difference_lags=LAGS,
        )  # fmt: skip
        network = make_network(FEATURES, CLASSES, head)
    assert isinstance(network, BidirectionalRNN)
    return network.eval()

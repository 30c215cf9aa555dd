"""What others do with features, re-expressed on ours: networks and training as published, nothing tuned.

A recipe takes training sequences, (features of every step, targets of every step), and gives back what labels a new
sequence: features of every step to class indices of every step, each from that step and those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.training.losses import sqrt_inverse_weights

Sequences = Sequence[tuple[Tensor, Tensor]]
Labeler = Callable[[Tensor], Tensor]
Batches = Iterator[tuple[Tensor | PackedSequence, Tensor]]


def class_counts(sequences: Sequences, num_classes: int) -> np.ndarray:
    """Labeled steps of each class."""
    targets = torch.cat([targets for _, targets in sequences])
    return np.bincount(targets[targets != IGNORE_INDEX].numpy(), minlength=num_classes)


def optimize(
    network: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[..., Tensor], batches: Batches
) -> None:
    """One step for every batch that has a labeled step."""
    network.train()
    for inputs, targets in batches:
        if (targets != IGNORE_INDEX).any():
            optimizer.zero_grad()
            loss(network(inputs), targets).backward()
            optimizer.step()
    network.eval()


def cross_entropy(weights: np.ndarray | None = None) -> Callable[[Tensor, Tensor], Tensor]:
    """Of logits (batch, time, classes) and targets (batch, time)."""
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float32)

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), weight, ignore_index=IGNORE_INDEX)

    return loss


class LSTMHead(nn.Module):
    """lightning-action's RNN head: recurrent layers on its inputs, a linear classifier.

    Sequences are packed, as everywhere here where they differ in length: what only fills up a batch costs nothing.
    """

    def __init__(self, input_size: int, num_classes: int, units: int, layers: int) -> None:
        super().__init__()
        self.recurrence = nn.LSTM(input_size, units, layers, batch_first=True)
        self.classifier = nn.Linear(units, num_classes)

    def forward(self, inputs: PackedSequence) -> Tensor:
        """Logits of every step, in the order of the pack, the state zero before the first."""
        return self.classifier(self.recurrence(inputs)[0].data)


def lightning_action(sequences: Sequences, num_classes: int, seed: int) -> Labeler:
    """lightning-action 1.1: LSTM 2×256 on z-scored features and velocities, chunks of 500, Adam 1e-3, 100 epochs."""
    torch.manual_seed(seed)
    stacked = torch.cat([features for features, _ in sequences])
    mean, std = stacked.mean(dim=0), stacked.std(dim=0) + 1e-8

    def inputs_of(features: Tensor) -> Tensor:
        scored = (features - mean) / std
        return torch.cat((scored, torch.diff(scored, dim=0, prepend=scored[:1])), dim=1)

    chunks = [
        chunk
        for features, targets in sequences
        for chunk in zip(inputs_of(features).split(500), targets.split(500), strict=True)
    ]
    network = LSTMHead(2 * len(mean), num_classes, units=256, layers=2)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loss = cross_entropy(sqrt_inverse_weights(class_counts(sequences, num_classes)))
    for _ in range(100):
        order = torch.randperm(len(chunks)).split(32)
        optimize(network, optimizer, loss, (_pack([chunks[i] for i in batch]) for batch in order))
    return lambda features: network(pack_sequence([inputs_of(features)])).argmax(dim=1)


class MiniRoad(nn.Module):
    """Linear → LayerNorm → ReLU → dropout → GRU → ReLU → linear (An et al., ICCV 2023)."""

    def __init__(self, input_size: int, num_classes: int, embedding: int = 2048, units: int = 1024) -> None:
        super().__init__()
        self.embed = nn.Sequential(
            nn.Linear(input_size, embedding), nn.LayerNorm(embedding), nn.ReLU(), nn.Dropout(0.2)
        )
        self.recurrence = nn.GRU(embedding, units, batch_first=True)
        self.classifier = nn.Linear(units, num_classes)

    def forward(self, inputs: PackedSequence) -> Tensor:
        """Logits of every step, in the order of the pack."""
        embedded = inputs._replace(data=self.embed(inputs.data))
        return self.classifier(self.recurrence(embedded)[0].data.relu())


def miniroad(sequences: Sequences, num_classes: int, seed: int) -> Labeler:
    """MiniROAD: the loss on the last of 128 steps, windows 4 apart, their offset redrawn, AdamW 1e-4, 10 epochs.

    Windows that would begin before their video are not filled up with zeros but begin with it, their state zero.
    """
    torch.manual_seed(seed)
    network = MiniRoad(sequences[0][0].shape[1], num_classes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, weight_decay=0.05)
    generator = np.random.default_rng(seed)
    for _ in range(10):
        lasts = [
            (number, last)
            for number, (features, _) in enumerate(sequences)
            for last in range(int(generator.integers(4)), len(features), 4)
        ]
        order = generator.permutation(len(lasts))
        windows = (
            _pack([_window(sequences[lasts[i][0]], lasts[i][1]) for i in order[start : start + 16]])
            for start in range(0, len(order), 16)
        )
        optimize(network, optimizer, cross_entropy(), windows)
    return lambda features: network(pack_sequence([features])).argmax(dim=1)


def _window(sequence: tuple[Tensor, Tensor], last: int, length: int = 128) -> tuple[Tensor, Tensor]:
    """The steps up to ``last``, of which only that one has a target."""
    features, targets = sequence
    rows = features[max(0, last + 1 - length) : last + 1]
    only_last = torch.full((len(rows),), IGNORE_INDEX)
    only_last[-1] = targets[last]
    return rows, only_last


class CausalStage(nn.Module):
    """One stage of MS-TCN (Farha & Gall, CVPR 2019): ten dilated residual layers, which here look back only."""

    def __init__(self, input_size: int, num_classes: int, maps: int = 64, layers: int = 10) -> None:
        super().__init__()
        self.first = nn.Conv1d(input_size, maps, 1)
        self.dilated = nn.ModuleList(nn.Conv1d(maps, maps, 3, dilation=2**i) for i in range(layers))
        self.mixing = nn.ModuleList(nn.Conv1d(maps, maps, 1) for _ in range(layers))
        self.dropout = nn.Dropout(0.5)
        self.last = nn.Conv1d(maps, num_classes, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, channels, time) → (batch, classes, time)."""
        x = self.first(inputs)
        for number, (dilated, mixing) in enumerate(zip(self.dilated, self.mixing, strict=True)):
            padded = nn.functional.pad(x, (2 * 2**number, 0))
            x = x + self.dropout(mixing(dilated(padded).relu()))
        return self.last(x)


class CausalMSTCN(nn.Module):
    """Four stages, each on the softmax of the one before; gives the logits of all of them."""

    def __init__(self, input_size: int, num_classes: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(CausalStage(size, num_classes) for size in (input_size, *[num_classes] * 3))

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, time, features) → (stages, batch, time, classes)."""
        x, outputs = inputs.transpose(1, 2), []
        for stage in self.stages:
            x = stage(x if not outputs else x.softmax(dim=1))
            outputs.append(x.transpose(1, 2))
        return torch.stack(outputs)


def causal_ms_tcn(sequences: Sequences, num_classes: int, seed: int) -> Labeler:
    """MS-TCN made causal: cross-entropy + 0.15 × truncated smoothing, Adam 5e-4, a video a batch, 50 epochs."""
    torch.manual_seed(seed)
    network = CausalMSTCN(sequences[0][0].shape[1], num_classes)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-4)

    def loss(stages: Tensor, targets: Tensor) -> Tensor:
        logs = stages.log_softmax(dim=3)
        smooth = (logs[:, :, 1:] - logs[:, :, :-1].detach()).square().clamp(max=16).mean(dim=(1, 2, 3))
        wrong = torch.stack([cross_entropy()(stage, targets) for stage in stages])
        return (wrong + 0.15 * smooth.nan_to_num()).sum()

    for _ in range(50):
        order = torch.randperm(len(sequences))
        videos = ((sequences[i][0][None], sequences[i][1][None]) for i in order)
        optimize(network, optimizer, loss, videos)
    return lambda features: network(features[None])[-1, 0].argmax(dim=1)


def _pack(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[PackedSequence, Tensor]:
    """One batch of sequences of unequal length: their features, and the targets in the order of the pack."""
    features, targets = (pack_sequence(list(part), enforce_sorted=False) for part in zip(*parts, strict=True))
    return features, targets.data


class CarriedLSTM(nn.Module):
    """LSTM 512 straight on the features, a linear classifier."""

    def __init__(self, input_size: int, num_classes: int) -> None:
        super().__init__()
        self.recurrence = nn.LSTM(input_size, 512, batch_first=True)
        self.classifier = nn.Linear(512, num_classes)

    def forward(self, inputs: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Logits of every step, and the state after the last."""
        outputs, state = self.recurrence(inputs, state)
        return self.classifier(outputs), state


def carried_hidden(sequences: Sequences, num_classes: int, seed: int) -> Labeler:
    """Rivoir et al. 2024 (arXiv:2203.07976) on a frozen CNN: LSTM 512, a video a batch, in order, its state carried.

    Chunks of 256, AdamW 1e-4 with decay 0.01, median-frequency weights; 50 of its 200 epochs, which here take hours.
    """
    torch.manual_seed(seed)
    network = CarriedLSTM(sequences[0][0].shape[1], num_classes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, weight_decay=0.01)
    counts = class_counts(sequences, num_classes)
    loss = cross_entropy(np.where(counts > 0, np.median(counts[counts > 0]) / np.maximum(counts, 1), 0.0))
    for _ in range(50):
        for number in torch.randperm(len(sequences)):
            state = None
            for features, targets in zip(*(part.split(256) for part in sequences[number]), strict=True):
                logits, state = network(features[None], state)
                state = tuple(part.detach() for part in state)
                if (targets != IGNORE_INDEX).any():
                    optimizer.zero_grad()
                    loss(logits, targets[None]).backward()
                    optimizer.step()
    network.eval()
    return lambda features: network(features[None])[0][0].argmax(dim=1)

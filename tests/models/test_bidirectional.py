"""The bidirectional head is two recurrences, looks ahead to the video's end, and knows padding from steps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.heads import CLASSES, FEATURES, INPUTS, appearance_of, lagged, make_bidirectional, make_features
from tests.support.numbered_clips import NUM_CLASSES, make_clip
from videoseq.config.schema import HeadSettings, TrainingSettings
from videoseq.data.sequences import SequenceBatches, to_sequence
from videoseq.features.motion import MOTION_SIZE
from videoseq.models.bidirectional import make_network
from videoseq.models.causal_rnn import CausalRNN
from videoseq.models.ensemble import Ensemble
from videoseq.training.lightning_module import SequenceModule

CELLS = ("rnn", "gru", "lstm")
WIDTH = MOTION_SIZE + 5


@torch.no_grad()
def test_it_is_torchs_bidirectional_layer_where_both_see_the_same():
    head, features = make_bidirectional("gru", inputs="features", components=0), make_features(20, batch=2)
    past, future = head.past.streams["features"], head.future.streams["features"]
    future.projection.load_state_dict(past.projection.state_dict())
    both = torch.nn.GRU(4, 6, batch_first=True, bidirectional=True)
    weights = dict(past.recurrence.state_dict())
    weights |= {f"{name}_reverse": tensor for name, tensor in future.recurrence.state_dict().items()}
    both.load_state_dict(weights)
    units, _ = both(past.projection(appearance_of(features)))
    classifier = torch.cat((past.classifier.weight, future.classifier.weight), dim=1)
    expected = units @ classifier.T + past.classifier.bias + future.classifier.bias
    torch.testing.assert_close(head(features)[0], expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_second_network_sees_differences_to_the_steps_after():
    head, features = make_bidirectional(inputs="two_streams"), make_features(9)
    reduced = head.reduce(features)
    ahead, past = head.future.streams["differences"], head.past.streams["differences"]
    turned, _ = ahead(lagged(reduced.flip(1)), ahead.initial(1))
    first, _ = past(lagged(reduced), past.initial(1))
    second, _ = head.past.streams["static"](torch.cat((reduced, lagged(reduced)), dim=2), {})
    expected = (first + turned.flip(1) + second) / 2
    torch.testing.assert_close(head(features)[0], expected)


@torch.no_grad()
@pytest.mark.parametrize("cell", CELLS)
def test_it_looks_ahead_to_the_end(cell):
    head, features = make_bidirectional(cell, inputs="features"), make_features(12)
    changed = features.clone()
    changed[:, -1] += 5.0
    before, after = head(features)[0], head(changed)[0]
    assert (before != after).any(dim=2).all()
    head.temperature.fill_(2.0)
    torch.testing.assert_close(head(features)[0], before / 2)


@torch.no_grad()
@settings(max_examples=25)
@given(
    st.sampled_from(CELLS), st.integers(1, 2), st.sampled_from(INPUTS), st.integers(1, 3), st.integers(1, 30), st.data()
)
def test_forwards_and_then_backwards_in_any_chunks_is_the_whole(cell, num_layers, inputs, members, time, data):
    networks = [make_bidirectional(cell, num_layers=num_layers, inputs=inputs, seed=seed) for seed in range(members)]
    head = networks[0] if members == 1 else Ensemble(networks)
    features = make_features(time, batch=2)
    head.temperature.fill_(1.5)
    parts, state = [], None
    for part in torch.tensor_split(features, sorted(data.draw(st.sets(st.integers(0, time), max_size=4))), dim=1):
        logits, state = head.from_past(head.reduce(part), state)
        parts.append(logits)
    ahead, state = [], None
    cuts = sorted(data.draw(st.sets(st.integers(0, time), max_size=4)))
    for part in reversed(torch.tensor_split(head.reduce(features), cuts, dim=1)):
        logits, state = head.from_future(part, state)
        ahead.insert(0, logits)
    got = torch.cat(parts, dim=1) + torch.cat(ahead, dim=1)
    torch.testing.assert_close(got, head(features)[0], atol=1e-5, rtol=1e-4)


@torch.no_grad()
@settings(max_examples=20)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=4))
def test_padding_is_not_met_before_a_videos_end(lengths):
    head, features = make_bidirectional(), make_features(9, batch=len(lengths))
    streams, _ = head.stream_logits(head.reduce(features), None, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone, _ = head.stream_logits(head.reduce(features[row : row + 1, :length]))
        if length:
            torch.testing.assert_close(streams[:, row, :length], alone[:, 0], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_in_training_too_padding_is_not_met():
    """Batches of clips that end at different steps, in chunks that hold them whole, against each clip alone."""
    clips = [make_clip(number, [1] * length, width=WIDTH) for number, length in enumerate((37, 5, 22))]
    torch.manual_seed(0)
    head = make_network(
        WIDTH, NUM_CLASSES, HeadSettings(bidirectional=True, components=0, hidden_size=8, projection_size=6)
    ).eval()
    module, seen = SequenceModule(head, torch.ones(NUM_CLASSES), TrainingSettings()), []
    compute = head.stream_logits
    head.stream_logits = lambda *inputs: seen.append(compute(*inputs)) or seen[-1]
    (batch,) = SequenceBatches(clips, batch_size=3, tbptt_steps=37, shuffle=False)
    module.training_step(batch, 0)
    assert batch.num_steps.tolist() == [37, 5, 22]
    for row, clip in enumerate(clips):
        sequence = to_sequence(clip)
        alone, _ = compute(torch.from_numpy(sequence.features[sequence.rows])[None])
        torch.testing.assert_close(seen[0][0][:, row, : len(sequence.rows)], alone[:, 0], atol=1e-5, rtol=1e-4)


def test_a_head_is_bidirectional_only_where_it_is_asked_for():
    assert isinstance(make_network(FEATURES, CLASSES, HeadSettings()), CausalRNN)
    names = make_network(FEATURES, CLASSES, HeadSettings()).state_dict().keys()
    bidirectional = make_network(FEATURES, CLASSES, HeadSettings(bidirectional=True)).state_dict().keys()
    assert {name.removeprefix("past.") for name in bidirectional if name.startswith("past.")} == names

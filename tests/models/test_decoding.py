"""Every way from probabilities to labels, against references that are slow and plain, and what must hold of all."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.errors import ModelError
from videoseq.models.decoding import (
    Decoding,
    DecodingParameters,
    FixedLag,
    FrameDecoder,
    Hysteresis,
    LabelDecoder,
    MarkovChain,
    MinimumDuration,
    MostProbable,
)

Array = np.ndarray
NUM_CLASSES = 3


def distributions(random: np.random.Generator, *shape: int) -> Array:
    """Rows of probabilities, some nearly certain."""
    return random.dirichlet(np.full(shape[-1], random.choice([0.3, 1.0, 3.0])), size=shape[:-1])


def make_chain(random: np.random.Generator) -> MarkovChain:
    rows = 0.9 * np.eye(NUM_CLASSES) + 0.1 * distributions(random, NUM_CLASSES, NUM_CLASSES) + 1e-9
    initial, prior = (distributions(random, NUM_CLASSES) + 1e-3 for _ in range(2))
    return MarkovChain(rows / rows.sum(axis=1, keepdims=True), initial / initial.sum(), prior / prior.sum())


def make_decoders(random: np.random.Generator) -> dict[str, LabelDecoder]:
    chain = make_chain(random)
    return {
        "none": MostProbable(),
        "hysteresis": Hysteresis(0.2),
        "min_duration": MinimumDuration(3),
        "lag": FixedLag(chain, 0.4, 4),
    }


METHODS = list(make_decoders(np.random.default_rng(0)))
CAUSAL = [method for method in METHODS if method != "lag"]
SEEDS = st.integers(0, 2**32 - 1)


def labels_of(decoder: LabelDecoder, probabilities: Array) -> list[int]:
    return [*decoder.push(probabilities).tolist(), *decoder.finish().tolist()]


# each method against its reference


def slow_hysteresis(probabilities: Array, margin: float) -> list[int]:
    """The rule as docs/training.md words it, step by step."""
    labels: list[int] = []
    for row in probabilities:
        best = int(row.argmax())
        stays = labels and row[best] <= row[labels[-1]] + margin
        labels.append(labels[-1] if stays else best)
    return labels


@given(SEEDS, st.integers(1, 40), st.floats(0.001, 0.9))
def test_hysteresis_holds_a_label_until_another_class_is_clearly_more_probable(seed, num_steps, margin):
    probabilities = distributions(np.random.default_rng(seed), num_steps, NUM_CLASSES)
    labels = labels_of(Hysteresis(margin), probabilities)
    assert labels == slow_hysteresis(probabilities, margin)
    changes = sum(a != b for a, b in pairwise(labels))
    assert changes <= sum(a != b for a, b in pairwise(probabilities.argmax(axis=1)))


@given(SEEDS, st.integers(1, 40))
def test_methods_that_are_given_nothing_to_do_take_the_most_probable(seed, num_steps):
    probabilities = distributions(np.random.default_rng(seed), num_steps, NUM_CLASSES)
    for decoder in (MostProbable(), Hysteresis(0.0), MinimumDuration(1)):
        assert labels_of(decoder, probabilities) == probabilities.argmax(axis=1).tolist()


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60), st.integers(1, 6))
def test_no_run_is_shorter_than_the_minimum_but_the_first_and_the_last(best, num_steps):
    labels = labels_of(MinimumDuration(num_steps), np.eye(3)[best])
    changes = [step for step in range(1, len(labels)) if labels[step] != labels[step - 1]]
    assert all(stop - start >= num_steps for start, stop in pairwise(changes))
    for step, (label, before) in enumerate(zip(labels, [best[0], *labels], strict=False)):
        held = best[max(0, step - num_steps + 1) : step + 1]  # as the rule is worded
        has_held = len(held) == num_steps and len(set(held)) == 1
        assert label == (held[0] if has_held else before)


def test_a_minimum_duration_by_hand():
    best = [0, 1, 0, 1, 1, 1, 0, 0, 2, 2, 2]
    assert labels_of(MinimumDuration(3), np.eye(3)[best]) == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2]


def posteriors_over_all_paths(chain: MarkovChain, probabilities: Array, weight: float) -> tuple[Array, Array]:
    """p(y[t] | x[1..t]) and p(y[t] | x[1..T]), by summing over every path there is."""
    likelihoods = (probabilities / chain.prior) ** weight
    filtered, smoothed = np.zeros_like(probabilities), np.zeros_like(probabilities)
    for stop in range(1, len(probabilities) + 1):
        for path in product(range(NUM_CLASSES), repeat=stop):
            joint = chain.initial[path[0]] * np.prod([likelihoods[step, state] for step, state in enumerate(path)])
            joint *= np.prod([chain.transitions[one, other] for one, other in pairwise(path)])
            filtered[stop - 1, path[-1]] += joint
            if stop == len(probabilities):
                for step, state in enumerate(path):
                    smoothed[step, state] += joint
    return filtered / filtered.sum(axis=1, keepdims=True), smoothed / smoothed.sum(axis=1, keepdims=True)


@settings(max_examples=20)
@given(SEEDS, st.integers(1, 4), st.floats(0.05, 1.0))
def test_the_lag_is_a_sum_over_all_paths(seed, num_steps, weight):
    random = np.random.default_rng(seed)
    chain, probabilities = make_chain(random), distributions(random, num_steps, NUM_CLASSES)
    filtered, smoothed = posteriors_over_all_paths(chain, probabilities, weight)
    assert labels_of(FixedLag(chain, weight, 0), probabilities) == filtered.argmax(axis=1).tolist()
    for delay_steps in (num_steps, num_steps + 7):
        assert labels_of(FixedLag(chain, weight, delay_steps), probabilities) == smoothed.argmax(axis=1).tolist()
    for delay_steps in range(1, num_steps):
        labels = labels_of(FixedLag(chain, weight, delay_steps), probabilities)
        for step, label in enumerate(labels):  # each from no more than its window
            known = posteriors_over_all_paths(chain, probabilities[: step + delay_steps + 1], weight)[1]
            assert label == known[step].argmax()


@settings(max_examples=40)
@given(SEEDS, st.integers(20, 200), st.integers(1, 30))
def test_far_from_any_path_that_could_be_listed_the_lag_is_forward_backward(seed, num_steps, delay_steps):
    """The recursions of Rabiner 1989, in logarithms, window by window."""
    random = np.random.default_rng(seed)
    chain, probabilities = make_chain(random), distributions(random, num_steps, NUM_CLASSES)
    evidence = 0.3 * np.log(np.maximum(probabilities, 1e-300) / chain.prior)
    moves = np.log(chain.transitions)
    forward = [np.log(chain.initial) + evidence[0]]
    for row in evidence[1:]:
        forward.append(np.logaddexp.reduce(forward[-1][:, None] + moves, axis=0) + row)
    labels = labels_of(FixedLag(chain, 0.3, delay_steps), np.maximum(probabilities, 1e-300))
    assert len(labels) == num_steps
    for step in random.choice(num_steps, 5):
        backward = np.zeros(NUM_CLASSES)
        for row in evidence[step + 1 : step + delay_steps + 1][::-1]:
            backward = np.logaddexp.reduce(moves + row + backward, axis=1)
        known = np.sort(forward[step] + backward)
        if known[-1] - known[-2] > 1e-9:
            assert labels[step] == (forward[step] + backward).argmax()


def test_probabilities_of_zero_and_long_silence_leave_numbers(recwarn):
    """Certain for a thousand steps, then certain of another class."""
    chain = make_chain(np.random.default_rng(1))
    certain = np.eye(3)[[0] * 1000 + [1] * 1000]
    for delay_steps in (0, 50):
        assert labels_of(FixedLag(chain, 1.0, delay_steps), certain) == [0] * 1000 + [1] * 1000
    assert not recwarn.list


# what holds of all


@settings(max_examples=40)
@given(SEEDS, st.integers(1, 40), st.lists(st.integers(0, 40), max_size=4))
def test_chunks_of_any_size_give_the_same_labels(seed, num_steps, borders):
    probabilities = distributions(np.random.default_rng(seed), num_steps, NUM_CLASSES)
    edges = [0, *sorted(min(border, num_steps) for border in borders), num_steps]
    for method in METHODS:
        whole, chunked = (make_decoders(np.random.default_rng(seed))[method] for _ in range(2))
        labels = [label for start, stop in pairwise(edges) for label in chunked.push(probabilities[start:stop])]
        assert [*labels, *chunked.finish()] == labels_of(whole, probabilities), method


@settings(max_examples=40)
@given(SEEDS, st.integers(1, 30), st.integers(1, 30))
def test_a_label_depends_on_no_more_of_the_future_than_is_stated(seed, num_before, num_after):
    random = np.random.default_rng(seed)
    before, *after = (distributions(random, num, NUM_CLASSES) for num in (num_before, num_after, num_after))
    for method in METHODS:
        one, other = (
            labels_of(make_decoders(np.random.default_rng(seed))[method], np.concatenate((before, rest)))
            for rest in after
        )
        num_decided = num_before - make_decoders(random)[method].delay_steps
        assert one[: max(0, num_decided)] == other[: max(0, num_decided)], method
        assert len(one) == num_before + num_after


@settings(max_examples=40)
@given(SEEDS, st.integers(1, 30), st.integers(0, 30))
def test_a_state_saved_in_the_middle_goes_on_identically(seed, num_steps, border):
    probabilities = distributions(np.random.default_rng(seed), num_steps, NUM_CLASSES)
    for method in METHODS:
        undisturbed, first, second = (make_decoders(np.random.default_rng(seed))[method] for _ in range(3))
        labels = first.push(probabilities[:border]).tolist()
        saved = {name: tensor.clone() for name, tensor in first.state_dict().items()}
        first.push(probabilities[::-1])  # what the first does afterwards is its own affair
        second.load_state_dict(saved)
        assert [*labels, *labels_of(second, probabilities[border:])] == labels_of(undisturbed, probabilities), method


# frames and steps

FRAMES = st.lists(st.integers(0, 3), max_size=40).map(lambda rest: [1, *rest])


@settings(max_examples=40)
@given(SEEDS, FRAMES, st.lists(st.integers(0, 40), max_size=4))
def test_each_frame_has_the_label_of_its_step_and_evidence_counts_once(seed, steps, borders):
    """Frames that repeat a step's answer add nothing; steps that catch up repeat the answer before."""
    random = np.random.default_rng(seed)
    probabilities = distributions(random, len(steps), NUM_CLASSES)
    of_steps, step_of_frame = [], []
    for frame, num in enumerate(steps):
        if num:
            of_steps += [of_steps[-1]] * (num - 1) if of_steps else []
            of_steps.append(probabilities[frame])
        step_of_frame.append(len(of_steps) - 1)
    edges = [0, *sorted(min(border, len(steps)) for border in borders), len(steps)]
    for method in METHODS:
        by_steps = labels_of(make_decoders(np.random.default_rng(seed))[method], np.array(of_steps))
        frames = FrameDecoder(make_decoders(np.random.default_rng(seed))[method], NUM_CLASSES)
        labels: list[int] = []
        for start, stop in pairwise(edges):
            labels += frames.push(probabilities[start:stop], np.array(steps[start:stop], dtype=np.int64)).tolist()
            if method in CAUSAL:
                assert len(labels) == stop
            saved, frames = frames.state_dict(), FrameDecoder(make_decoders(np.random.default_rng(seed))[method], 3)
            frames.load_state_dict(saved)
        assert [*labels, *frames.finish().tolist()] == [by_steps[step] for step in step_of_frame], method


def test_what_waits_is_bounded_by_the_delay():
    """An hour of frames at three a step, of which no more are held than those of four steps."""
    decoder = FrameDecoder(make_decoders(np.random.default_rng(0))["lag"], NUM_CLASSES)
    probabilities = distributions(np.random.default_rng(0), 90, NUM_CLASSES)
    steps = np.tile([1, 0, 0], 30)
    sizes = set()
    for _ in range(40):
        assert len(decoder.push(probabilities, steps)) <= 90
        sizes.add(sum(tensor.numel() for tensor in decoder.state_dict().values()))
    assert len(sizes) == 1
    assert len(decoder.finish()) == 12


# the chain


def test_transitions_are_counted_within_clips_between_labeled_steps():
    ignore = IGNORE_INDEX
    clips = [np.array([0, 0, 1, ignore, 1, 1]), np.array([0, ignore]), np.array([ignore])]
    chain = MarkovChain.estimate(clips, 2)
    np.testing.assert_allclose(chain.transitions, np.array([[1.5, 1.5], [0.5, 1.5]]) / [[3], [2]])
    np.testing.assert_allclose(chain.initial, np.array([3.5, 3.5]) / 7)
    np.testing.assert_allclose(chain.prior, chain.initial)
    lopsided = MarkovChain.estimate([np.array([0] * 8)], 2, prior_power=0.5)
    np.testing.assert_allclose(lopsided.initial, np.array([8.5, 0.5]) / 9)
    np.testing.assert_allclose(lopsided.prior, np.sqrt([8.5, 0.5]) / np.sqrt([8.5, 0.5]).sum())


def test_nothing_is_impossible_because_the_clips_lack_it():
    chain = MarkovChain.estimate([], 3)
    for rows in (chain.transitions, chain.initial, chain.prior):
        np.testing.assert_allclose(rows, 1 / 3)


def test_a_chain_comes_back_as_it_was_saved():
    chain = make_chain(np.random.default_rng(3))
    again = MarkovChain.from_tensors(chain.tensors(), NUM_CLASSES)
    for name, tensor in chain.tensors().items():
        assert torch.equal(tensor, again.tensors()[name])


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("transitions", torch.eye(2, dtype=torch.float64), r"expected shape \(3, 3\) of torch.float64, got \(2, 2\)"),
        ("transitions", torch.eye(3, dtype=torch.float64), "expected probabilities above 0 that sum to 1"),
        ("transitions", torch.full((3, 3), 0.3, dtype=torch.float64), "that sum to 1"),
        ("prior", torch.full((3,), 1 / 3), "got .* of torch.float32"),
        ("initial", torch.full((3,), float("nan"), dtype=torch.float64), "that sum to 1"),
        ("initial", torch.full((3,), float("inf"), dtype=torch.float64), "that sum to 1"),
        ("prior", None, "got nothing"),
    ],
)
def test_a_chain_that_is_none_is_refused_on_one_line(name, tensor, words):
    tensors = {**make_chain(np.random.default_rng(0)).tensors(), name: tensor}
    given = {key: value for key, value in tensors.items() if value is not None}
    with pytest.raises(ModelError, match=f"^decoding.{name}: .*{words}"):
        MarkovChain.from_tensors(given, NUM_CLASSES)


# parameters


@pytest.mark.parametrize(
    ("parameters", "kind", "delay_steps"),
    [
        ({}, MostProbable, 0),
        ({"method": "hysteresis", "margin": 0.2}, Hysteresis, 0),
        ({"method": "min_duration", "duration_seconds": 0.5}, MinimumDuration, 0),
        ({"method": "lag", "evidence_weight": 0.5, "delay_seconds": 1.5}, FixedLag, 15),
        ({"method": "lag", "evidence_weight": 0.5, "delay_seconds": 0.3}, FixedLag, 3),
        ({"method": "lag", "evidence_weight": 0.5, "delay_seconds": 0.19}, FixedLag, 1),
    ],
)
def test_parameters_make_the_decoder_that_they_name(parameters, kind, delay_steps):
    given = DecodingParameters(**parameters)
    decoding = Decoding(given, 10.0, make_chain(np.random.default_rng(0)))
    decoder = decoding.start(NUM_CLASSES)._decoder
    assert (type(decoder), decoder.delay_steps) == (kind, delay_steps)
    assert decoding.is_on == bool(parameters)
    assert delay_steps / 10 <= decoding.delay_seconds <= delay_steps / 10 + 0.1  # never further than is stated
    assert (f"looks {given.delay_seconds} s ahead" in given.text) == bool(delay_steps)
    assert DecodingParameters.model_validate_json(given.model_dump_json()) == given


def test_seconds_become_steps_at_the_models_rate():
    """Half a second is five steps of ten a second: the change comes at the fifth."""
    decoding = Decoding(DecodingParameters(method="min_duration", duration_seconds=0.5), 10.0)
    best, steps = np.eye(3)[[0] * 10 + [1] * 10], np.ones(20, np.int64)
    assert decoding.start(3).push(best, steps).tolist() == [0] * 14 + [1] * 6


@pytest.mark.parametrize(
    "parameters",
    [
        {"method": "hysteresis"},
        {"method": "hysteresis", "margin": 1.0},
        {"method": "lag", "evidence_weight": 0.0, "delay_seconds": 1.5},
        {"method": "lag", "evidence_weight": 0.5, "delay_seconds": 1.5, "margin": 0.2},
        {"method": "lag", "evidence_weight": 0.5},
        {"margin": 0.2},
        {"method": "viterbi"},
    ],
)
def test_parameters_that_do_not_fit_are_refused(parameters):
    with pytest.raises(ValidationError):
        DecodingParameters(**parameters)

"""Classes as a Markov chain that was learned from annotations, the network's probabilities as evidence of its state.

A hybrid of a hidden Markov model and a network (Bourlard & Morgan 1994, *Connectionist Speech Recognition*): the
network's posterior divided by the prior that it learned is, up to a factor, the likelihood p(x[t] | y[t]). Neighboring
steps see nearly the same picture, and are no independent witnesses; so likelihoods are raised to a power below 1, the
evidence weight, which is tuned. Forward and backward recursions are Rabiner's (1989, *Proc. IEEE* 77, section III).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.errors import ModelError
from videoseq.models.decoding.base import LabelDecoder


@dataclass(frozen=True, eq=False)
class MarkovChain:
    """How classes follow each other from step to step.

    Attributes:
        transitions: The probability of each class (column) at the step after one of each class (row); above 0.
        initial: Of each class at a video's first step; above 0.
        prior: What the network takes each class's share to be, which its probabilities are divided by; above 0.
    """

    transitions: Float[np.ndarray, "classes classes"]
    initial: Float[np.ndarray, " classes"]
    prior: Float[np.ndarray, " classes"]

    @classmethod
    def estimate(
        cls, clips: Iterable[Int64[np.ndarray, " _steps"]], num_classes: int, prior_power: float = 1.0
    ) -> MarkovChain:
        """The chain of annotated clips; only labeled steps that follow each other in one clip are a transition.

        One transition from each class is added, in equal parts to every class, and one step: nothing is
        impossible because a few clips lack it.

        Args:
            clips: The target of each step, clip by clip.
            num_classes: How many classes there are.
            prior_power: What the shares of classes are raised to: 1 for a network that was trained on steps as they
                came, 0.5 where the loss weighed classes with 1 / sqrt(share).
        """
        counts = np.full((num_classes, num_classes), 1.0 / num_classes)
        shares = np.full(num_classes, 1.0 / num_classes)
        for targets in clips:
            is_labeled = targets != IGNORE_INDEX
            is_pair = is_labeled[:-1] & is_labeled[1:]
            np.add.at(counts, (targets[:-1][is_pair], targets[1:][is_pair]), 1.0)
            shares += np.bincount(targets[is_labeled], minlength=num_classes)
        prior = (shares / shares.sum()) ** prior_power
        return cls(counts / counts.sum(axis=1, keepdims=True), shares / shares.sum(), prior / prior.sum())

    def likelihoods(
        self, probabilities: Float[np.ndarray, "steps classes"], evidence_weight: float
    ) -> Float[np.ndarray, "steps classes"]:
        """(p(y | x) / prior) to the power of the evidence weight, scaled so that the largest of each step is 1."""
        scaled = probabilities.astype(np.float64) / self.prior
        weighed: np.ndarray = (scaled / scaled.max(axis=1, keepdims=True)) ** evidence_weight
        return weighed

    def tensors(self) -> dict[str, Tensor]:
        """By name, to be saved."""
        return {field.name: torch.from_numpy(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], num_classes: int) -> MarkovChain:
        """The chain that was saved.

        Raises:
            ModelError: An array is missing, of another size, or no distribution.
        """
        found = {}
        for field in fields(cls):
            shape = (num_classes, num_classes) if field.name == "transitions" else (num_classes,)
            tensor = tensors.get(field.name, torch.empty(0))
            if tensor.shape != shape or tensor.dtype != torch.float64:
                got = f"{tuple(tensor.shape)} of {tensor.dtype}" if field.name in tensors else "nothing"
                raise ModelError(f"decoding.{field.name}: expected shape {shape} of torch.float64, got {got}")
            rows = tensor.numpy()
            if not (rows > 0).all() or not np.allclose(rows.sum(axis=-1), 1.0, rtol=0.0, atol=1e-6):  # NaN is not > 0
                raise ModelError(f"decoding.{field.name}: expected probabilities above 0 that sum to 1, got others")
            found[field.name] = rows
        return cls(**found)


class FixedLag(LabelDecoder):
    """The class with the largest p(y[t] | x[1..t + L]): looks ahead by L steps, and holds as many in memory.

    Where L reaches beyond a video's end it is the forward–backward algorithm. A call costs L small products of
    matrices, however many steps it brings.

    Args:
        chain: How classes follow each other.
        evidence_weight: What a step's likelihoods are raised to.
        delay_steps: L.
    """

    def __init__(self, chain: MarkovChain, evidence_weight: float, delay_steps: int) -> None:
        self.delay_steps = delay_steps
        self._chain = chain
        self._evidence_weight = evidence_weight
        self._expected = chain.initial
        self._beliefs = np.empty((0, len(chain.prior)))
        self._likelihoods = np.empty((0, len(chain.prior)))

    def push(self, probabilities: Float[np.ndarray, "steps classes"]) -> Int64[np.ndarray, " decided"]:
        """The labels of the steps that lie ``delay_steps`` before these."""
        likelihoods = self._chain.likelihoods(probabilities, self._evidence_weight)
        self._beliefs = np.concatenate((self._beliefs, self._filter(likelihoods)))
        self._likelihoods = np.concatenate((self._likelihoods, likelihoods))
        return self._decide(max(0, len(self._beliefs) - self.delay_steps))

    def finish(self) -> Int64[np.ndarray, " decided"]:
        """The labels of the last steps, from what there is after them."""
        # Likelihoods of 1 carry no information: the backward recursion through them gives 1 again.
        self._likelihoods = np.concatenate((self._likelihoods, np.ones_like(self._likelihoods)))
        return self._decide(len(self._beliefs))

    def _filter(self, likelihoods: Float[np.ndarray, "steps classes"]) -> Float[np.ndarray, "steps classes"]:
        """p(y[t] | x[1..t]) of the next steps: the forward recursion."""
        beliefs = np.empty_like(likelihoods)
        for step, likelihood in enumerate(likelihoods):
            belief = self._expected * likelihood
            beliefs[step] = belief / belief.sum()
            self._expected = beliefs[step] @ self._chain.transitions
        return beliefs

    def _decide(self, num_steps: int) -> Int64[np.ndarray, " decided"]:
        """The labels of the first steps that wait, which then wait no more."""
        backward = np.ones((num_steps, len(self._chain.prior)))
        for ahead in range(min(self.delay_steps, len(self._beliefs)) if num_steps else 0, 0, -1):
            backward = (self._likelihoods[ahead : ahead + num_steps] * backward) @ self._chain.transitions.T
            backward /= backward.max(axis=1, keepdims=True)
        labels: np.ndarray = (self._beliefs[:num_steps] * backward).argmax(axis=1)
        self._beliefs, self._likelihoods = self._beliefs[num_steps:], self._likelihoods[num_steps:]
        return labels

    def state_dict(self) -> dict[str, Tensor]:
        """What the next step is expected to be before it is seen, and the steps that wait."""
        kept = {"expected": self._expected, "beliefs": self._beliefs, "likelihoods": self._likelihoods}
        return {name: torch.from_numpy(rows) for name, rows in kept.items()}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from where :meth:`state_dict` was taken."""
        self._expected = tensors["expected"].numpy()
        self._beliefs, self._likelihoods = tensors["beliefs"].numpy(), tensors["likelihoods"].numpy()

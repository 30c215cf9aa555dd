"""What of decoding is part of a model: the method, its numbers, and the chain that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor

from videoseq.config.schema import (
    DECODING_IN_STEPS,
    DECODING_PARAMETERS,
    DECODING_WITH_CHAIN,
    DecodingMethod,
    DelaySeconds,
    DurationSeconds,
    EvidenceWeight,
    Margin,
)
from videoseq.errors import ModelError
from videoseq.models.decoding.base import LabelDecoder, MostProbable
from videoseq.models.decoding.frames import FrameDecoder
from videoseq.models.decoding.hmm import FixedLag, MarkovChain
from videoseq.models.decoding.smoothing import Hysteresis, MinimumDuration

_TEXTS = {
    "margin": "margin {:g}",
    "duration_seconds": "{:g} s",
    "evidence_weight": "evidence weight {:g}",
    "delay_seconds": "looks {:g} s ahead",
}
_ROUNDING = 1e-6


class DecodingParameters(BaseModel):
    """A method and its numbers, settled; those of other methods are None.

    Attributes:
        method: How labels come about; ``none`` takes the most probable class.
        margin: Of ``hysteresis``: by how much another class must be more probable.
        duration_seconds: Of ``min_duration``: for how long another class must have been the most probable.
        evidence_weight: Of ``lag``: what likelihoods are raised to.
        delay_seconds: Of ``lag``: how far it looks ahead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: DecodingMethod = "none"
    margin: Margin | None = None
    duration_seconds: DurationSeconds | None = None
    evidence_weight: EvidenceWeight | None = None
    delay_seconds: DelaySeconds | None = None

    @model_validator(mode="after")
    def _has_its_own_numbers(self) -> DecodingParameters:
        got = {name for name in type(self).model_fields if name != "method" and getattr(self, name) is not None}
        expected = DECODING_PARAMETERS[self.method]
        if got != set(expected):
            raise ValueError(f"{self.method}: expected {', '.join(expected) or 'no number'}, got {sorted(got)}")
        return self

    @property
    def needs_chain(self) -> bool:
        """Whether it needs to know how classes follow each other."""
        return self.method in DECODING_WITH_CHAIN

    @property
    def counts_steps(self) -> bool:
        """Whether it needs steps of one length."""
        return self.method in DECODING_IN_STEPS

    @property
    def text(self) -> str:
        """On one line, for people."""
        numbers = [_TEXTS[name].format(getattr(self, name)) for name in DECODING_PARAMETERS[self.method]]
        return ", ".join([self.method, *numbers])


@dataclass(frozen=True, eq=False)
class Decoding:
    """How a head's probabilities become labels.

    Attributes:
        parameters: Method and numbers.
        sample_hz: Steps a second; methods other than ``none`` and ``hysteresis`` need them.
        chain: What ``lag`` needs.
    """

    parameters: DecodingParameters = field(default_factory=DecodingParameters)
    sample_hz: float | None = None
    chain: MarkovChain | None = None

    @property
    def is_on(self) -> bool:
        """Whether labels may differ from the most probable classes."""
        return self.parameters.method != "none"

    @property
    def delay_seconds(self) -> float:
        """How far labels look ahead; 0: they are causal."""
        return 0.0 if self.parameters.delay_seconds is None else self.parameters.delay_seconds

    def check_causal(self) -> None:
        """Refuses to look ahead, where labels are wanted frame by frame.

        Raises:
            ModelError: Labels look ahead.
        """
        if self.delay_seconds:
            got = f"one that looks {self.delay_seconds:g} s ahead (decoding.method: {self.parameters.method})"
            raise ModelError(f"expected a model whose labels are causal, got {got}; label whole videos with it")

    @classmethod
    def load(
        cls,
        parameters: DecodingParameters,
        sample_hz: float | None,
        tensors: Mapping[str, Tensor],
        num_classes: int,
    ) -> Decoding:
        """The decoding that a model holds, from its numbers and the chain's arrays.

        Raises:
            ModelError: The chain is none, or of other classes; steps are counted and there is no sampling rate; or the
                delay is less than a step.
        """
        if parameters.counts_steps and sample_hz is None:
            raise ModelError(f"decoding: {parameters.method}: expected a sample_hz, got null")
        if sample_hz is not None and parameters.delay_seconds is not None and parameters.delay_seconds * sample_hz < 1:
            raise ModelError(f"decoding: delay_seconds: expected a step or more, got {parameters.delay_seconds:g}")
        chain = MarkovChain.from_tensors(tensors, num_classes) if parameters.needs_chain else None
        return cls(parameters, sample_hz, chain)

    def start(self, num_classes: int) -> FrameDecoder:
        """A decoder for one video, from its first frame on."""
        return FrameDecoder(self._make_decoder(), num_classes)

    def _make_decoder(self) -> LabelDecoder:
        given = self.parameters
        if given.margin is not None:
            return Hysteresis(given.margin)
        if given.duration_seconds is not None:
            return MinimumDuration(max(1, round(self._num_steps(given.duration_seconds))))
        if given.evidence_weight is not None and given.delay_seconds is not None:
            if self.chain is None:
                raise ValueError(f"{given.method}: expected a chain, got none")
            num_steps = int(self._num_steps(given.delay_seconds) + _ROUNDING)  # no further than is stated
            return FixedLag(self.chain, given.evidence_weight, num_steps)
        return MostProbable()

    def _num_steps(self, seconds: float) -> float:
        if self.sample_hz is None:
            raise ValueError(f"{self.parameters.method}: expected a sampling rate, got none")
        return seconds * self.sample_hz

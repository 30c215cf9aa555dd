"""What every head has: features → logits with a state, and how its logits become labels."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from videoseq.config.schema import HeadSettings
from videoseq.errors import ModelError
from videoseq.models.decoding import Decoding
from videoseq.models.reduction import Reduction
from videoseq.models.state import RNNState

DEFAULT_THRESHOLD = 0.5
"""The threshold of each class until it is fitted on clips that the head was not trained on."""


class Head(nn.Module, ABC):
    """Takes features and a state, returns logits and the next state.

    Temperature, thresholds and decoding are fitted after the weights; the first two are buffers, saved like them.

    Attributes:
        looks_ahead: Whether the logits of a step depend on later steps.
        vector_size: The length of a feature vector, motion included.
        num_classes: How many logits a step has.
        temperature: What logits are divided by, so that their softmax is calibrated (Guo et al. 2017); 1 until it is
            fitted on clips that the head was not trained on.
        thresholds: In multilabel, the probability from which each class is present; None if a frame has one class.
        decoding: How probabilities become labels; by default the most probable class.
    """

    looks_ahead: bool
    temperature: Float[Tensor, ""]
    thresholds: Float[Tensor, " classes"] | None

    def __init__(self, vector_size: int, num_classes: int) -> None:
        super().__init__()
        self.vector_size = vector_size
        self.num_classes = num_classes
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("thresholds", None)
        self.decoding = Decoding()

    @property
    @abstractmethod
    def reduction(self) -> Reduction:
        """What is applied to feature vectors first."""

    @abstractmethod
    def initial_state(self, batch: int = 1) -> RNNState:
        """The state before the first step of a video."""

    @abstractmethod
    def forward(
        self, features: Float[Tensor, "batch time features"], state: RNNState | None = None
    ) -> tuple[Float[Tensor, "batch time classes"], RNNState]:
        """Logits of every step, divided by the temperature, and the state after the last step.

        Args:
            features: One vector per step, in order.
            state: What the call for the steps before returned; None at the first step of a video.
        """

    def add_thresholds(self) -> None:
        """Makes this a multilabel head: a frame may have several classes, or none."""
        self.thresholds = torch.full((self.num_classes,), DEFAULT_THRESHOLD, device=self.temperature.device)

    def copy_calibration(self, other: Head) -> None:
        """Takes temperature and thresholds from another head with the same classes."""
        self.temperature.copy_(other.temperature)
        if self.thresholds is not None and other.thresholds is not None:
            self.thresholds.copy_(other.thresholds)

    def check_calibration(self) -> None:
        """Checks temperature and thresholds that were read from a file.

        Raises:
            ModelError: The temperature is not above 0, or a threshold is not between 0 and 1.
        """
        if self.temperature <= 0:
            raise ModelError(f"expected a temperature above 0, got {float(self.temperature):g}")
        if self.thresholds is not None and not ((self.thresholds > 0) & (self.thresholds < 1)).all():
            got = ", ".join(f"{value:g}" for value in self.thresholds.tolist())
            raise ModelError(f"expected thresholds between 0 and 1, got {got}")


class RNNHead(Head):
    """A head that is one network: a reduction, then one or more streams, whose logits are averaged.

    Attributes:
        settings: Of the network.
    """

    def __init__(self, vector_size: int, num_classes: int, settings: HeadSettings) -> None:
        super().__init__(vector_size, num_classes)
        self.settings = settings

    def reduce(self, features: Float[Tensor, "batch time features"]) -> Float[Tensor, "batch time components"]:
        """What the network sees of feature vectors."""
        components: Tensor = self.reduction(features)
        return components

    def forward(
        self, features: Float[Tensor, "batch time features"], state: RNNState | None = None
    ) -> tuple[Float[Tensor, "batch time classes"], RNNState]:
        """See :meth:`Head.forward`."""
        streams, after = self.stream_logits(self.reduce(features), state)
        return streams.mean(dim=0) / self.temperature, after

    @abstractmethod
    def stream_logits(
        self,
        components: Float[Tensor, "batch time components"],
        state: RNNState | None = None,
        num_steps: Int64[Tensor, " batch"] | None = None,
    ) -> tuple[Float[Tensor, "streams batch time classes"], RNNState]:
        """The logits of each stream, before the temperature, and the state after the last step.

        In training each stream has a loss of its own.

        Args:
            components: What :meth:`reduce` returns.
            state: See :meth:`Head.forward`.
            num_steps: How many steps each video of the batch has, if padding follows them.
        """

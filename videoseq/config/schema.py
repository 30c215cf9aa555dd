"""Settings: what a training run may be told, strict about names, documented field by field.

A settings file is YAML with the structure of :class:`TrainSettings`. Everything has a default, so that
``videoseq train DATASET --out MODEL`` needs no file; ``videoseq train --print-config`` writes a complete one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Cell = Literal["rnn", "gru", "lstm", "tcn", "attention", "none"]
Inputs = Literal["auto", "motion", "two_streams", "three_streams", "joint", "features", "differences"]
Task = Literal["multiclass", "multilabel"]
OnBadClip = Literal["fail", "skip"]
Positive = Annotated[int, Field(ge=1)]
Width = Annotated[int, Field(ge=1, le=65536)]
SampleHz = Annotated[float, Field(gt=0.0, le=1000.0)]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
DecodingMethod = Literal["none", "hysteresis", "min_duration", "lag"]
Margin = Annotated[float, Field(ge=0.0, lt=1.0)]
DurationSeconds = Annotated[float, Field(ge=0.0, le=600.0)]
EvidenceWeight = Annotated[float, Field(gt=0.0, le=1.0)]
DelaySeconds = Annotated[float, Field(gt=0.0, le=600.0)]
Tuned = Literal["tuned"]

DECODING_PARAMETERS: dict[DecodingMethod, tuple[str, ...]] = {
    "none": (),
    "hysteresis": ("margin",),
    "min_duration": ("duration_seconds",),
    "lag": ("evidence_weight", "delay_seconds"),
}
"""The numbers that each method of decoding has."""
DECODING_WITH_CHAIN = ("lag",)
"""The methods that need to know how classes follow each other."""
DECODING_IN_STEPS = ("min_duration", *DECODING_WITH_CHAIN)
"""The methods that need steps of one length."""

_BIDIRECTIONAL_CELLS = ("rnn", "gru", "lstm")
_MAX_TCN_LAYERS = 14  # the state doubles with each; fourteen look back on 32,766 steps
LastBlocks = Literal["all"] | Annotated[int, Field(ge=0)]


class Settings(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class BackboneSettings(Settings):
    """The pretrained CNN that turns a frame into a feature vector."""

    name: str = "efficientnet_lite0"
    """``efficientnet_lite0``, ``efficientnet_lite1``, ``efficientnet_lite2``, or ``timm:<model name>``."""
    bands: Annotated[int, Field(ge=1, le=7)] | None = None
    """Horizontal bands of the image, of which each has features of its own, so that it counts how high up something
    is; 1: the mean over the whole image. ``null`` takes three where the CNN is a lite one, else one."""
    weights: Path | None = None
    """A local checkpoint (.safetensors or .pth) for a ``timm:`` backbone; the lite ones bring their own."""
    allow_download: bool = False
    """Whether a ``timm:`` backbone without ``weights`` may fetch them from its hub."""
    trainable: LastBlocks = 0
    """How many of the CNN's last blocks are fine-tuned together with the head, or ``all`` of it; with 0 it stays as it
    is, and training goes through features that are computed once."""


class HeadSettings(Settings):
    """The network that turns features into logits (:class:`videoseq.models.causal_rnn.CausalRNN`)."""

    cell: Cell = "gru"
    """``rnn`` (tanh), ``gru``, ``lstm``, ``tcn`` (dilated convolutions), ``attention`` (to a window of past steps), or
    ``none``: one-to-one, without recurrence."""
    bidirectional: bool = False
    """Whether a second ``rnn``, ``gru`` or ``lstm`` goes over the video from its end, so that each label depends on
    later frames too; such a model labels files and cannot stream."""
    hidden_size: Width = 64
    """Units of the hidden state in every layer."""
    num_layers: Annotated[int, Field(ge=1, le=64)] = 1
    """Layers of the cell, each with its own weights; layer k of a ``tcn``, counted from 0, has the dilation 2^k."""
    window: Annotated[int, Field(ge=1, le=4096)] = 64
    """Steps that each layer of ``attention`` looks back on; read by no other cell."""
    num_heads: Annotated[int, Field(ge=1, le=64)] = 4
    """Heads of ``attention``, which share ``hidden_size`` equally; read by no other cell."""
    projection_size: Width = 128
    """Width of the input projection: Linear, LayerNorm, ReLU, dropout."""
    components: Annotated[int, Field(ge=0, le=65536)] = 64
    """Principal components of the features that the network sees, fitted on the training clips; 0: all features."""
    inputs: Inputs = "auto"
    """What the recurrent layers see: ``features``, ``differences`` in time, both (``joint``); or, next to a stream
    without memory that sees features and differences, how things move (``motion``), differences (``two_streams``), or
    each in recurrent layers of its own (``three_streams``). The logits of streams are averaged. ``auto`` compares
    ``motion``, ``three_streams`` and one frame alone on groups left out, where there is a cross-validation; else it is
    ``motion``."""
    difference_lags: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1, 3, 10)
    """Differences are x[t] − x[t − lag], in steps."""
    dropout: Fraction = 0.2
    """Dropout after the projection, between recurrent layers, and inside those of ``tcn`` and ``attention``."""

    @model_validator(mode="after")
    def _is_possible(self) -> HeadSettings:
        if self.bidirectional and self.cell not in _BIDIRECTIONAL_CELLS:
            expected = f"bidirectional: expected one of the cells {', '.join(_BIDIRECTIONAL_CELLS)}"
            raise ValueError(f"{expected}, got {self.cell}; choose one, or set bidirectional=false")
        if self.cell == "attention" and self.hidden_size % self.num_heads:
            expected = f"hidden_size: expected a multiple of num_heads={self.num_heads} for attention"
            raise ValueError(f"{expected}, got {self.hidden_size}")
        if self.cell == "tcn" and self.num_layers > _MAX_TCN_LAYERS:
            raise ValueError(f"num_layers: expected at most {_MAX_TCN_LAYERS} for a tcn, got {self.num_layers}")
        return self


class DataSettings(Settings):
    """How annotations become targets, and clips become splits."""

    task: Task = "multiclass"
    """``multiclass``: a frame has one class; ``multilabel``: behaviors overlap, and a frame has any number of them."""
    background: str | None = None
    """The class of frames that no row covers; without it they are unlabeled and count nowhere."""
    classes: tuple[str, ...] | None = None
    """The classes in their order; by default those found in the annotations, sorted."""
    validation_fraction: Fraction = 0.2
    """The share of training frames to keep for validation, in whole groups, where no split is given."""
    cross_validation: Literal["auto", "groups"] | Annotated[int, Field(ge=2)] | None = "auto"
    """Measures on all clips: ``groups`` leaves out one group after the other and fits on the rest, a number at most so
    many times; ``auto`` at most five times, where the clips allow it and name no split; ``null`` keeps one set of clips
    for validation."""
    refit: bool = True
    """Whether a model whose validation clips were drawn so is fitted again on all clips, once it has been measured."""
    on_bad_clip: OnBadClip = "fail"
    """Clips whose video cannot be read: ``fail`` names all of them and does not begin; ``skip`` trains without them,
    with a notice for each in the results."""


class TrainingSettings(Settings):
    """How the head is fitted."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Governs every draw: initial weights, dropout, order of clips, chunk borders, the split."""
    ensemble: Annotated[int, Field(ge=1, le=100)] = 1
    """Networks that are fitted, each from a seed of its own, and whose logits are averaged."""
    max_epochs: Positive = 40
    """Passes over the training clips, over which the learning rate rises and falls."""
    patience: Positive | None = None
    """Epochs without a better validation loss before training stops and the best epoch is taken; ``null`` goes through
    all of them and takes the last, so that validation chooses nothing and its numbers are those of unseen clips."""
    learning_rate: Annotated[float, Field(gt=0.0)] = 1e-3
    """AdamW's peak learning rate, reached after the warm-up and lowered on a cosine."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.05
    """AdamW's decoupled weight decay."""
    warmup_fraction: Fraction = 0.1
    """The share of ``max_epochs`` over which the learning rate rises."""
    gradient_clip_norm: Annotated[float, Field(gt=0.0)] = 1.0
    """The largest norm of the gradient."""
    tbptt_steps: Positive = 64
    """Steps between truncations of backpropagation through time (TBPTT); the state is carried across."""
    state: Literal["carried", "zero"] = "carried"
    """What a chunk begins with: the state at the end of the chunk before, as in labeling; or none, as where networks
    are trained on windows."""
    batch_size: Positive = 16
    """Videos side by side in a batch, each with its own state."""
    time_stretch: Annotated[float, Field(ge=0.0, le=4.0)] = 0.0
    """Clips are played up to 1 + time_stretch times as fast or as slowly, drawn again in each pass; 0: as they are."""
    noise: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    """Noise on what the network sees in training, in units of its mean deviation; 0: none."""
    label_smoothing: Fraction = 0.0
    """The share of each target that is spread over all classes."""
    focal_gamma: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    """The exponent of the focal loss: how much less a step counts that is right already; 0: all count the same."""
    temporal_smoothing: Annotated[float, Field(ge=0.0)] = 0.0
    """What log-probabilities that jump from step to step cost in addition to the cross-entropy (MS-TCN takes 0.15)."""
    class_weighting: Literal["none", "sqrt_inverse"] = "sqrt_inverse"
    """Weights of the loss: none, or 1 / sqrt(frequency) scaled to mean 1 over the frames."""
    finetune_epochs: Positive = 5
    """With ``backbone.trainable``: passes over the training clips' images in which CNN and head are fitted together,
    after ``max_epochs`` of the head alone."""
    backbone_learning_rate: Annotated[float, Field(gt=0.0)] = 2e-5
    """The CNN's peak learning rate in these; ``learning_rate`` stays the head's."""
    flip: bool = False
    """Whether in these every second clip, drawn again in each pass, is mirrored left to right."""
    color_jitter: Fraction = 0.0
    """By how much in these a clip's brightness, contrast and saturation are changed at most, as a share; 0: not."""
    crop: Fraction = 0.0
    """How much of a clip's image is cut off at most in these, as a share of its height and width; 0: nothing."""


class TrainerSettings(Settings):
    """Where and in what the network is fitted; none of it changes what is learned, but for rounding and dropout."""

    devices: Positive = 1
    """Processes of this machine that fit together, each on a GPU of its own with ``--device cuda``, else on cores: each
    has some of a batch's videos, and gradients are averaged. With dropout they draw other numbers than one process
    would."""
    strategy: Literal["auto", "ddp"] = "auto"
    """``ddp``: distributed data parallel (Li et al. 2020), in processes of their own; ``auto``: where there are
    several, else none."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What products are computed in while training; weights and losses are float32 in any case."""
    checkpoint_seconds: Annotated[float, Field(ge=0.0)] = 30.0
    """How long an epoch's end must be after the last one that was kept to be kept too, for ``--resume auto``."""


class DecodingSettings(Settings):
    """How probabilities become labels (:mod:`videoseq.models.decoding`).

    Each method has one number that may be ``tuned``: then it becomes what gives the best segments (F1@50) on clips that
    were not learned from at the cost of no more than a point of macro F1, which may be no decoding at all.
    """

    method: DecodingMethod = "none"
    """``none``: the most probable class; ``hysteresis``: another class only where it is clearly more probable;
    ``min_duration``: … only once it has been the most probable for long enough; ``lag``: the most probable state of a
    hidden Markov model learned from the annotations, looking ahead by ``delay_seconds``, which nothing that labels
    frame by frame accepts."""
    margin: Margin | Tuned = "tuned"
    """Of ``hysteresis``: by how much another class must be more probable for the label to change to it."""
    duration_seconds: DurationSeconds | Tuned = "tuned"
    """Of ``min_duration``: for how long another class must have been the most probable; changes come as late."""
    evidence_weight: EvidenceWeight | Tuned = "tuned"
    """Of ``lag``: how much one step counts against what usually follows; 1 as if every step were
    independent of those before, less for a label that changes less."""
    delay_seconds: DelaySeconds = 2.0
    """Of ``lag``: how far it looks ahead at most; whole steps, of which it takes one or more."""

    @property
    def is_tuned(self) -> bool:
        """Whether the method has a number that is to be tuned."""
        return any(getattr(self, name) == "tuned" for name in DECODING_PARAMETERS[self.method])

    @model_validator(mode="after")
    def _has_no_number_of_another_method(self) -> DecodingSettings:
        for name, field in type(self).model_fields.items():
            is_given = name != "method" and getattr(self, name) != field.default
            if is_given and name not in DECODING_PARAMETERS[self.method]:
                methods = " or ".join(method for method, names in DECODING_PARAMETERS.items() if name in names)
                raise ValueError(f"{name}: expected the method {methods}, got {self.method}")
        return self


class TrainSettings(Settings):
    """Everything that ``videoseq train`` may be told."""

    sample_hz: SampleHz | None = 10.0
    """Steps of the network per second of video; ``null`` takes one step at every native frame."""
    backbone: BackboneSettings = BackboneSettings()
    head: HeadSettings = HeadSettings()
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    trainer: TrainerSettings = TrainerSettings()
    decoding: DecodingSettings = DecodingSettings()

    @model_validator(mode="after")
    def _counts_steps_of_one_length(self) -> TrainSettings:
        method = self.decoding.method
        if self.sample_hz is None and method in DECODING_IN_STEPS:
            raise ValueError(f"decoding.method: {method} counts steps of one length; expected a sample_hz, got null")
        delay_seconds = self.decoding.delay_seconds
        if self.sample_hz is not None and method == "lag" and delay_seconds * self.sample_hz < 1.0:
            expected = f"expected a step or more, {1.0 / self.sample_hz:g} s"
            raise ValueError(f"decoding.delay_seconds: {expected}, got {delay_seconds:g}")
        return self

    @model_validator(mode="after")
    def _suit_the_task(self) -> TrainSettings:
        if self.data.task == "multilabel" and self.data.background is not None:
            raise ValueError(
                "data.background: expected none with data.task=multilabel, where a frame that no row covers has no "
                f"class, got {self.data.background!r}"
            )
        if self.data.task == "multilabel" and self.decoding.method != "none":
            raise ValueError(
                "decoding.method: expected none with data.task=multilabel, whose classes do not take turns, "
                f"got {self.decoding.method}"
            )
        return self

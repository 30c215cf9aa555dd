"""Settings: what a training run may be told, strict about names, documented field by field.

A settings file is YAML with the structure of :class:`TrainSettings`. Everything has a default, so that
``videoseq train DATASET --out MODEL`` needs no file; ``videoseq train --print-config`` writes a complete one.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from videoseq.errors import ConfigError, did_you_mean, one_line

Cell = Literal["rnn", "gru", "lstm", "none"]
Inputs = Literal["two_streams", "joint", "features", "differences"]
Task = Literal["multiclass", "multilabel"]
Positive = Annotated[int, Field(ge=1)]
Width = Annotated[int, Field(ge=1, le=65536)]
SampleHz = Annotated[float, Field(gt=0.0, le=1000.0)]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class BackboneSettings(_Settings):
    """The pretrained CNN that turns a frame into a feature vector."""

    name: str = "efficientnet_lite0"
    """``efficientnet_lite0``, ``efficientnet_lite1``, ``efficientnet_lite2``, or ``timm:<model name>``."""
    weights: Path | None = None
    """A local checkpoint (.safetensors or .pth) for a ``timm:`` backbone; the lite ones bring their own."""
    allow_download: bool = False
    """Whether a ``timm:`` backbone without ``weights`` may fetch them from its hub."""


class HeadSettings(_Settings):
    """The recurrent network that turns features into logits (:class:`videoseq.model.CausalRNN`)."""

    cell: Cell = "gru"
    """``rnn`` (tanh), ``gru``, ``lstm``, or ``none``: one-to-one, without recurrence."""
    hidden_size: Width = 64
    """Units of the hidden state in every layer."""
    num_layers: Annotated[int, Field(ge=1, le=64)] = 1
    """Recurrent layers, each with its own weights."""
    projection_size: Width = 128
    """Width of the input projection: Linear, LayerNorm, ReLU, dropout."""
    components: Annotated[int, Field(ge=0, le=65536)] = 64
    """Principal components of the features, learnt on the training clips, that the network sees; 0 for all features."""
    inputs: Inputs = "two_streams"
    """What the recurrent layers see: ``features``, ``differences`` in time, both (``joint``), or differences, with the
    features in a stream of their own that has no memory (``two_streams``)."""
    difference_lags: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1, 3, 10)
    """Differences are x[t] − x[t − lag], in steps."""
    dropout: Fraction = 0.2
    """Dropout after the projection and between recurrent layers."""


class DataSettings(_Settings):
    """How annotations become targets, and clips become splits."""

    task: Task = "multiclass"
    """``multiclass``: a frame has one class; ``multilabel``: behaviours overlap, and a frame has any number of them."""
    background: str | None = None
    """The class of frames that no row covers; without it they are unlabelled and count nowhere."""
    classes: tuple[str, ...] | None = None
    """The classes in their order; by default those found in the annotations, sorted."""
    validation_fraction: Fraction = 0.2
    """The share of training frames to keep for validation, in whole groups, where no split is given."""
    cross_validation: Literal["groups"] | Annotated[int, Field(ge=2)] | None = None
    """Measures on all clips: ``groups`` leaves out one group after the other and fits on the rest, a number at most so
    many times; ``null`` keeps one set of clips for validation."""
    refit: bool = True
    """Whether a model whose validation clips were drawn so is fitted again on all clips, once it has been measured."""


class TrainingSettings(_Settings):
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
    chunk_steps: Positive = 64
    """Steps between truncations of backpropagation through time; the state is carried across."""
    state: Literal["carried", "zero"] = "carried"
    """What a chunk begins with: the state that the chunk before ended with, as in labelling, or none, as where networks
    are trained on windows."""
    burn_in_steps: Annotated[int, Field(ge=0)] = 0
    """Steps at the beginning of a chunk from which nothing is learnt, where it begins without a state."""
    lanes: Positive = 16
    """Videos side by side in a batch, each with its own state."""
    stretch: Annotated[float, Field(ge=0.0, le=4.0)] = 0.0
    """Clips are played up to 1 + stretch times as fast or as slowly, drawn anew each time; 0: as they are."""
    noise: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    """Noise on what the network sees in training, in units of its mean deviation; 0: none."""
    label_smoothing: Fraction = 0.0
    """The share of each target that is spread over all classes."""
    focal_gamma: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    """The exponent of the focal loss: how much less a step counts that is right already; 0: all count the same."""
    smoothing: Annotated[float, Field(ge=0.0)] = 0.0
    """What log-probabilities that jump from step to step cost beside the cross-entropy (MS-TCN takes 0.15)."""
    hysteresis: Literal["tuned"] | Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """By how much another class must be more probable for the label to change to it; 0 takes the most probable always,
    ``tuned`` what gives the best segments (F1@50) on validation at the cost of no more than a point of macro F1."""
    class_weighting: Literal["none", "sqrt_inverse"] = "sqrt_inverse"
    """Weights of the loss: none, or 1 / sqrt(frequency) scaled to mean 1 over the frames."""


class TrainSettings(_Settings):
    """Everything that ``videoseq train`` may be told."""

    sample_hz: SampleHz | None = 10.0
    """Steps of the network per second of video; ``null`` takes one step at every native frame."""
    backbone: BackboneSettings = BackboneSettings()
    head: HeadSettings = HeadSettings()
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()

    @model_validator(mode="after")
    def _suit_the_task(self) -> TrainSettings:
        if self.data.task == "multilabel" and self.data.background is not None:
            raise ValueError(
                "data.background: expected none with data.task=multilabel, where a frame that no row covers has no "
                f"class, got {self.data.background!r}"
            )
        if self.data.task == "multilabel" and self.training.hysteresis != 0:
            raise ValueError(
                "training.hysteresis: expected 0 with data.task=multilabel, whose classes do not take turns, "
                f"got {self.training.hysteresis!r}"
            )
        return self


def load_settings(path: Path | None = None, overrides: Iterable[str] = ()) -> TrainSettings:
    """Reads a YAML file, if any, then applies ``key.path=value`` overrides, values being YAML too.

    Raises:
        ConfigError: The file cannot be read, a key is unknown, or a value is out of range.
    """
    values = _read_yaml(path) if path is not None else {}
    keys = set()
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not all(key.split(".")):
            raise ConfigError(f"--set: expected key.path=value, got {override!r}")
        _assign(values, key.split("."), _parse_yaml(text, f"--set {key}"))
        keys.add(key)
    try:
        return TrainSettings.model_validate(values)
    except ValidationError as error:
        where, problem = _first_problem(error)
        raise ConfigError(f"{'--set' if where in keys else path or 'settings'}: {where}: {problem}") from None


def dump_settings(settings: TrainSettings) -> str:
    """The settings as YAML that :func:`load_settings` reads back to an equal value."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read_yaml(path: Path) -> dict[Any, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a readable YAML file; {error}") from None
    values = _parse_yaml(text, str(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected settings as 'key: value' lines, got {type(values).__name__}")
    # A group of which every line is commented out reads as nothing, and means its defaults.
    return {key: {} if value is None and _is_group(key) else value for key, value in values.items()}


def _is_group(key: object) -> bool:
    field = TrainSettings.model_fields.get(str(key))
    return field is not None and isinstance(field.default, _Settings)


def _parse_yaml(text: str, where: str) -> Any:  # noqa: ANN401 (YAML may hold anything; pydantic decides)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark is not None else ""
        problem = one_line(getattr(error, "problem", None) or str(error).partition("\n")[0])
        raise ConfigError(f"{where}: not valid YAML{line}; {problem}") from None
    except ValueError as error:  # what looks like a date and is none
        raise ConfigError(f"{where}: not valid YAML; {error}, got {one_line(text[:80])!r}") from None


def _assign(values: dict[Any, Any], keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        inner = values.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set: {key!r} is a value, not a group of settings")
        values = inner
    values[keys[-1]] = value


def _first_problem(error: ValidationError) -> tuple[str, str]:
    """Where the first problem is, and what."""
    problem = error.errors()[0]
    location = [str(part) for part in problem["loc"]]
    where = ".".join(location)
    if problem["type"] == "extra_forbidden":
        known = _fields_at(TrainSettings, location[:-1])
        return where, f"unknown setting{did_you_mean(location[-1], known)}; known here: {', '.join(known)}"
    if problem["type"] == "model_type":
        known = _fields_at(TrainSettings, location)
        return where, f"expected a group of settings ({', '.join(known)}), got {problem['input']!r}"
    if problem["type"] == "value_error":  # our own, of settings that do not go together; it names one of them
        where, _, text = str(problem["ctx"]["error"]).partition(": ")
        return where, text
    return where, f"{problem['msg'].lower()}, got {problem['input']!r}"


def _fields_at(settings: type[BaseModel], location: list[str]) -> list[str]:
    for part in location:
        inner = settings.model_fields[part].annotation
        if get_origin(inner) in (Union, types.UnionType):
            inner = next(arm for arm in get_args(inner) if arm is not type(None))
        assert isinstance(inner, type), inner
        assert issubclass(inner, BaseModel), inner
        settings = inner
    return list(settings.model_fields)

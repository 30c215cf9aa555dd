"""A previous model on the clips that another model is evaluated on, so that the two can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from videoseq.annotations.types import ClassNames
from videoseq.config.runtime import RuntimeChoice
from videoseq.data.dataset import Clip
from videoseq.errors import ModelError
from videoseq.evaluation.evaluate import label_clips
from videoseq.evaluation.metrics import LabeledVideo
from videoseq.features.store import VideoFeatures
from videoseq.inference.model import Model, open_model
from videoseq.models.head import Head
from videoseq.models.model_folder import ModelFolder


@dataclass(frozen=True)
class Previous:
    """A model that another is compared with."""

    folder: Path
    model: Model

    def label(
        self, clips: Iterable[Clip], classes: ClassNames, features_of: Callable[[Path], VideoFeatures]
    ) -> list[LabeledVideo]:
        """The clips as this model labels them.

        Args:
            clips: With the other model's features.
            classes: The other model's, in its order.
            features_of: Gives the features that this model sees of a video.

        Raises:
            ModelError: Features have another number of frames than the clip has targets.
        """
        seen = with_features_of(clips, features_of)
        return label_clips_as(self.model.contents.head, seen, self.model.classes, classes)

    @property
    def facts(self) -> dict[str, Any]:
        """What the report shows of it."""
        return {"previous model": self.folder, "previous model sha256": self.model.contents.sha256}

    def as_dict(self) -> dict[str, Any]:
        """What ``metrics.json`` has of it."""
        return {"path": str(self.folder), "sha256": self.model.contents.sha256}


def load_previous(folder: Path, new: ModelFolder, choice: RuntimeChoice) -> Previous:
    """Loads the model that a new one is to be compared with.

    Raises:
        ModelError: It cannot be loaded, or its task or its classes are not those of ``new``.
    """
    loaded = open_model(folder, choice)
    tasks = [one.config.settings.data.task for one in (new, loaded.contents)]
    if tasks[0] != tasks[1]:
        raise ModelError(f"{folder}: expected a model of the task {tasks[0]}, as the other is, got {tasks[1]}")
    try:
        check_same_classes(loaded.classes, new.classes)
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from None
    return Previous(folder, loaded)


def with_features_of(clips: Iterable[Clip], features_of: Callable[[Path], VideoFeatures]) -> list[Clip]:
    """The same clips with other features of their videos.

    Raises:
        ModelError: Features have another number of frames than the clip has targets.
    """
    seen = []
    for clip in clips:
        features = features_of(clip.entry.video)
        got, expected = len(features.seconds), len(clip.targets)
        if got != expected:  # its features were kept by another version of OpenCV
            text = f"expected {expected} frames of {clip.entry.video}, got {got} in the cached features"
            raise ModelError(f"{text}; use another cache folder to compute them again")
        seen.append(replace(clip, features=features))
    return seen


def label_clips_as(
    head: Head, clips: Sequence[Clip], head_classes: ClassNames, classes: ClassNames
) -> list[LabeledVideo]:
    """The clips as a head labels them whose logits have the same classes in another order.

    Args:
        head: Of another model.
        clips: With that model's features, and targets in the order of ``classes``.
        head_classes: In the order of the head's logits.
        classes: In the order that the result has.

    Raises:
        ModelError: The classes are not the same.
    """
    check_same_classes(head_classes, classes)
    place = np.array([classes.index(name) for name in head_classes])
    order = np.argsort(place)
    return [
        replace(
            video,
            labels=video.labels[:, order] if video.is_multilabel else place[video.labels],
            probabilities=_columns(video, order),
        )
        for video in label_clips(head, clips, head_classes)
    ]


def check_same_classes(got: ClassNames, expected: ClassNames) -> None:
    """Holds two models to the same classes, in whatever order.

    Raises:
        ModelError: The message names those that are missing and those that are too many.
    """
    missing, extra = (
        ", ".join(map(repr, names))
        for names in ([name for name in expected if name not in got], [name for name in got if name not in expected])
    )
    if missing or extra:
        what = " and ".join([*([f"lacks {missing}"] if missing else []), *([f"also has {extra}"] if extra else [])])
        raise ModelError(f"expected the classes {', '.join(expected)} in any order, got a model that {what}")


def _columns(video: LabeledVideo, order: Int64[np.ndarray, " classes"]) -> Float[np.ndarray, "frames classes"] | None:
    return None if video.probabilities is None else video.probabilities[:, order]

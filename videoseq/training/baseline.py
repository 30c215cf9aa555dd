"""A head and its baseline without context, fitted on the same clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from videoseq.config.schema import HeadSettings, TrainSettings
from videoseq.data.dataset import Clip
from videoseq.data.splits import count_classes
from videoseq.errors import AnnotationError
from videoseq.evaluation.results import MODEL, NO_CONTEXT
from videoseq.training.finetuning import Finetuner, TunedBackbone
from videoseq.training.fit import HERE, FitPlace, FitResult, fit
from videoseq.training.loop import EpochRecord


@dataclass(frozen=True, eq=False)
class Pair:
    """A head and its baseline without context, fitted on the same clips.

    Attributes:
        head: The model's.
        no_context: The baseline's, on the same features as the head in the end.
        tuned: The CNN of both, where it was fine-tuned with the head.
    """

    head: FitResult
    no_context: FitResult
    tuned: TunedBackbone | None = None

    def seen(self, clips: Sequence[Clip]) -> Sequence[Clip]:
        """The clips with the features that the two see."""
        return clips if self.tuned is None else self.tuned.seen(clips)

    @property
    def by_labeller(self) -> dict[str, FitResult]:
        """The two by the names that they have in results."""
        return {MODEL: self.head, NO_CONTEXT: self.no_context}


class Fitter:
    """Fits pairs as the settings say."""

    def __init__(
        self,
        num_classes: int,
        settings: TrainSettings,
        place: FitPlace = HERE,
        on_epoch: Callable[[str, EpochRecord], None] | None = None,
        finetuner: Finetuner | None = None,
    ) -> None:
        self._finetuner = finetuner
        self._num_classes = num_classes
        self._settings = settings
        self._place = place
        self._on_epoch = on_epoch

    def __call__(self, train: Sequence[Clip], val: Sequence[Clip], note: str = "") -> Pair:
        """A pair; ``note`` is added to the names of the two as ``on_epoch`` hears them.

        Raises:
            AnnotationError: The training clips have labelled frames of fewer than two classes.
        """
        check_learnable(train, self._num_classes, note)
        settings = self._settings.head
        head, tuned = self._fit(f"head{note}", settings, train, val), None
        if self._finetuner is not None:
            name = f"fine-tuning{note}"
            head, tuned = self._finetuner(head, train, val, self._place, name, self._named(name))
            train, val = tuned.seen(train), tuned.seen(val)
        no_context = self._fit(f"baseline without context{note}", without_context(settings), train, val)
        return Pair(head, no_context, tuned)

    def _fit(self, name: str, head: HeadSettings, train: Sequence[Clip], val: Sequence[Clip]) -> FitResult:
        training, show = self._settings.training, self._named(name)
        return fit(train, val, self._num_classes, head, training, place=self._place, name=name, on_epoch=show)

    def _named(self, name: str) -> Callable[[EpochRecord], None] | None:
        return None if self._on_epoch is None else partial(self._on_epoch, name)


def check_learnable(clips: Sequence[Clip], num_classes: int, note: str = "") -> None:
    """Holds training clips to showing something that can be told apart; ``note`` says in the message which they are.

    Raises:
        AnnotationError: They have labelled frames of one class only, or in multilabel no class has some of them.
    """
    counts = count_classes(clips, num_classes)
    wanted, is_there = "labelled frames of two classes or more", np.count_nonzero(counts) > 1
    if clips and clips[0].is_multilabel:
        num_labelled = sum(int(clip.is_labelled.sum()) for clip in clips)
        wanted, is_there = "frames that have a class and frames that have not", counts[counts < num_labelled].any()
    if not is_there:
        raise AnnotationError(f"training clips{note}: expected {wanted}; annotate more clips")


def without_context(head: HeadSettings) -> HeadSettings:
    """The same network as the baseline has it: one frame alone."""
    return head.model_copy(update={"cell": "none", "bidirectional": False, "inputs": "features"})

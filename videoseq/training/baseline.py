"""A head and its baseline without context, fitted on the same clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from videoseq.config.schema import HeadSettings, TrainSettings
from videoseq.data.dataset import Clip
from videoseq.data.splits import count_classes
from videoseq.errors import AnnotationError
from videoseq.evaluation.results import MODEL, NO_CONTEXT
from videoseq.jobs.events import Listener
from videoseq.models.reduction import Reduction
from videoseq.training.finetuning import Finetuner, TunedBackbone
from videoseq.training.fit import FitEnvironment, FitResult, fit


@dataclass(frozen=True, eq=False)
class HeadAndBaseline:
    """A head and its baseline without context, fitted on the same clips.

    Attributes:
        head: The model's.
        no_context: The baseline's, on the same features as the head in the end.
        tuned: The CNN of both, where it was fine-tuned with the head.
    """

    head: FitResult
    no_context: FitResult
    tuned: TunedBackbone | None = None

    def with_own_features(self, clips: Sequence[Clip]) -> Sequence[Clip]:
        """The clips with the features that these two networks read."""
        return clips if self.tuned is None else self.tuned.with_own_features(clips)

    @property
    def by_labeler(self) -> dict[str, FitResult]:
        """The two by the names that they have in results."""
        return {MODEL: self.head, NO_CONTEXT: self.no_context}


class BaselineFitter:
    """Fits a head and its baseline as the settings say."""

    def __init__(
        self,
        num_classes: int,
        settings: TrainSettings,
        environment: FitEnvironment | None = None,
        finetuner: Finetuner | None = None,
    ) -> None:
        self._finetuner = finetuner
        self._num_classes = num_classes
        self._settings = settings
        self._environment = environment or FitEnvironment()

    def with_head(self, head: HeadSettings) -> BaselineFitter:
        """The same with another network."""
        settings = self._settings.model_copy(update={"head": head})
        return BaselineFitter(self._num_classes, settings, self._environment, self._finetuner)

    @property
    def listener(self) -> Listener:
        """Hears every epoch."""
        return self._environment.listener

    @property
    def has_resumed(self) -> bool:
        """Whether some of the networks were fitted already, by a training that was interrupted."""
        checkpoints = self._environment.checkpoints
        return checkpoints is not None and checkpoints.may_resume and checkpoints.num_done > 0

    @property
    def num_networks(self) -> int:
        """How many fits one call makes: head and baseline, each with the members of an ensemble, and the CNN."""
        return 2 * self._settings.training.ensemble + (self._finetuner is not None)

    def __call__(self, train: Sequence[Clip], val: Sequence[Clip], note: str = "") -> HeadAndBaseline:
        """Fits both; ``note`` is added to their names in the progress.

        Raises:
            AnnotationError: The training clips have labeled frames of fewer than two classes.
        """
        check_learnable(train, self._num_classes, note)
        settings = self._settings.head
        head, tuned = self._fit(f"head{note}", settings, train, val), None
        learned: Reduction | None = head.head.reduction
        if self._finetuner is not None:
            head, tuned = self._finetuner(head, train, val, self._environment, f"fine-tuning{note}")
            train, val, learned = tuned.with_own_features(train), tuned.with_own_features(val), None
        no_context = self._fit(f"baseline without context{note}", without_context(settings), train, val, learned)
        return HeadAndBaseline(head, no_context, tuned)

    def _fit(
        self,
        name: str,
        head: HeadSettings,
        train: Sequence[Clip],
        val: Sequence[Clip],
        learned: Reduction | None = None,
    ) -> FitResult:
        training, environment = self._settings.training, self._environment
        return fit(train, val, self._num_classes, head, training, environment=environment, name=name, learned=learned)


def is_learnable(clips: Sequence[Clip], num_classes: int) -> bool:
    """Whether training clips have frames of two classes or, in multilabel, frames that have a class and others."""
    counts = count_classes(clips, num_classes)
    if clips and clips[0].is_multilabel:
        return bool(counts[counts < sum(int(clip.is_labeled.sum()) for clip in clips)].any())
    return int(np.count_nonzero(counts)) > 1


def check_learnable(clips: Sequence[Clip], num_classes: int, note: str = "") -> None:
    """Raises an error if training clips show one class only; ``note`` says in the message which clips these are.

    Raises:
        AnnotationError: They have labeled frames of one class only, or in multilabel no class has some of them.
    """
    if not is_learnable(clips, num_classes):
        wanted = "labeled frames of two classes or more"
        if clips and clips[0].is_multilabel:
            wanted = "frames that have a class and frames that have not"
        raise AnnotationError(f"training clips{note}: expected {wanted}; annotate more clips")


def without_context(head: HeadSettings) -> HeadSettings:
    """The same network as the baseline has it: one frame alone."""
    return head.model_copy(update={"cell": "none", "bidirectional": False, "inputs": "features"})

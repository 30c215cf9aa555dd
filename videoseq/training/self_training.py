"""Unlabeled videos of the places where a model will work teach it with the labels that it is most sure of.

Pseudo-labels (Lee 2013), class by class: of the frames that a class was given, all teach but the least sure, so that
rare classes are not lost (class-balanced self-training, Zou et al. 2018, arXiv:1810.07911).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from videoseq.annotations.types import IGNORE_INDEX
from videoseq.config.schema import TrainSettings
from videoseq.data.dataset import Clip
from videoseq.data.manifest import ClipEntry
from videoseq.errors import ConfigError, Notice, VideoError
from videoseq.evaluation.metrics import LabeledVideo
from videoseq.features.store import VideoFeatures

_SHARE = 0.9  # of the frames of each class; half of them did more good on some tasks, and harm on another


def check_unlabeled(settings: TrainSettings) -> None:
    """Raises an error if unlabeled videos cannot be used with the settings.

    Raises:
        ConfigError: Frames may have several classes, or the CNN is fine-tuned.
    """
    if settings.data.task == "multilabel":
        raise ConfigError("unlabeled: expected data.task=multiclass, got multilabel; leave the unlabeled videos out")
    if settings.backbone.trainable:
        trainable = settings.backbone.trainable
        raise ConfigError(f"unlabeled: expected backbone.trainable=0, got {trainable}; leave the unlabeled videos out")


def load_unlabeled(
    videos: Sequence[Path], features_of: Callable[[Path], VideoFeatures], clips: Sequence[Clip]
) -> tuple[list[Clip], list[Notice]]:
    """Unlabeled videos as clips, and what the user should know; annotated clips among them are left out.

    Args:
        videos: The files.
        features_of: Gives the features of a video.
        clips: Those that are annotated.
    """
    annotated = {clip.features.video_sha256 for clip in clips}
    found, notices = [], []
    for video in videos:
        try:
            features = features_of(video)
        except VideoError as error:
            notices.append(Notice("unlabeled_video_skipped", f"{error}; it teaches nothing"))
            continue
        if features.video_sha256 not in annotated and len(features.features):
            targets = np.full(len(features.seconds), IGNORE_INDEX, dtype=np.int64)
            found.append(Clip(ClipEntry(video, video, None, str(video)), features, targets))
    return found, notices


def pseudo_labeled(clips: Sequence[Clip], videos: Sequence[LabeledVideo]) -> list[Clip]:
    """The clips with labels as targets, of each class those of which the labeler is surest.

    Args:
        clips: Unlabeled.
        videos: The same as a multiclass head labels them.
    """
    confidence = [video.probabilities.max(axis=1) for video in videos if video.probabilities is not None]
    labels, sure = np.concatenate([video.labels for video in videos]), np.concatenate(confidence)
    least = np.full(int(labels.max()) + 1, np.inf)
    for index in np.unique(labels):
        least[index] = np.quantile(sure[labels == index], 1 - _SHARE)
    return [
        replace(clip, targets=np.where(part >= least[video.labels], video.labels, IGNORE_INDEX))
        for clip, video, part in zip(clips, videos, confidence, strict=True)
    ]


def unlabeled_notice(num_videos: int) -> Notice:
    """What to know of the numbers of a model that unlabeled videos taught."""
    videos = "1 unlabeled video" if num_videos == 1 else f"{num_videos} unlabeled videos"
    text = f"{videos} taught the saved model; the numbers are of models that did not see them"
    return Notice("taught_by_unlabeled", text, is_warning=False)

"""Which decoding gives the best segments is found on clips that are held out from training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from videoseq.annotations.types import ClassNames
from videoseq.config.schema import DECODING_PARAMETERS, DECODING_WITH_CHAIN, DecodingSettings, TrainSettings
from videoseq.data.dataset import Clip
from videoseq.evaluation.metrics import LabeledVideo, measure
from videoseq.models.decoding import Decoding, DecodingParameters, MarkovChain
from videoseq.video.sampling import step_rows

_CANDIDATES = {
    "margin": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
    "duration_seconds": (0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 3.0),
    "evidence_weight": (1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02),
}
"""From those that change labels least to those that change them most."""
_MAX_COST = 0.01


@dataclass(frozen=True, eq=False)
class HeldOutClip:
    """What decoding needs to know of a clip whose labels came from a network that was trained without it.

    Attributes:
        steps: Taken at each of its frames.
        chain: Of the clips that the network was trained on; None where the method needs none.
    """

    steps: Int[np.ndarray, " frames"]
    chain: MarkovChain | None


def learn_chain(clips: Sequence[Clip], num_classes: int, settings: TrainSettings) -> MarkovChain | None:
    """How classes follow each other in the clips that a network learns from; None where the method needs no chain.

    A step has the target of the frame that it sees. The loss weighs classes, so that the network takes their shares to
    be more equal than they are: it is that prior which its probabilities are divided by.
    """
    if settings.decoding.method not in DECODING_WITH_CHAIN:
        return None
    power = 0.5 if settings.training.class_weighting == "sqrt_inverse" else 1.0
    return MarkovChain.estimate(map(_step_targets, clips), num_classes, power)


def _step_targets(clip: Clip) -> np.ndarray:
    rows, _ = step_rows(clip.features.steps)
    targets: np.ndarray = clip.targets[clip.features.steps > 0][rows - 1]
    return targets


def fit_decoding(
    videos: Sequence[LabeledVideo], held_out: Sequence[HeldOutClip], classes: ClassNames, settings: TrainSettings
) -> DecodingParameters:
    """The decoding that was given, or the one that gives the best segments; none if there are no videos to tune it on.

    Args:
        videos: With the labels and calibrated probabilities of networks that were trained without them.
        held_out: Of each of these.
        classes: In the order of the probabilities.
        settings: What was given, and what is to be tuned.
    """
    candidates = _candidates(settings.decoding)
    if len(candidates) == 1 or not videos:
        return candidates[0]
    scores = []
    for candidate in candidates:
        labeled = decode_videos(videos, held_out, candidate, settings.sample_hz)
        headline = measure(labeled, classes, settings.data.background).metrics.headline
        scores.append((headline["macro_f1"].value or 0.0, headline["f1_at_50"].value or 0.0))
    most = max(of_frames for of_frames, _ in scores)
    affordable = [number for number, (of_frames, _) in enumerate(scores) if of_frames >= most - _MAX_COST]
    return candidates[max(affordable, key=lambda number: scores[number][1])]  # of equals the first


def decode_videos(
    videos: Sequence[LabeledVideo],
    held_out: Sequence[HeldOutClip],
    parameters: DecodingParameters,
    sample_hz: float | None,
) -> list[LabeledVideo]:
    """The videos with the labels that another decoding makes of the same probabilities."""
    return [_decoded(*pair, parameters, sample_hz) for pair in zip(videos, held_out, strict=True)]


def _decoded(
    video: LabeledVideo, held_out: HeldOutClip, parameters: DecodingParameters, sample_hz: float | None
) -> LabeledVideo:
    if video.probabilities is None or parameters.method == "none":
        return video
    decoder = Decoding(parameters, sample_hz, held_out.chain).start(video.probabilities.shape[1])
    first, rest = decoder.push(video.probabilities, held_out.steps), decoder.finish()
    return replace(video, labels=np.concatenate((first, rest)))


def _candidates(settings: DecodingSettings) -> list[DecodingParameters]:
    """What was given; or no decoding, and the method with each value of the number that is to be tuned."""
    given = {name: getattr(settings, name) for name in DECODING_PARAMETERS[settings.method]}
    tuned = next((name for name, value in given.items() if value == "tuned"), None)
    if tuned is None:
        return [DecodingParameters(method=settings.method, **given)]
    values = [{**given, tuned: value} for value in _CANDIDATES[tuned]]
    return [DecodingParameters(), *(DecodingParameters(method=settings.method, **one) for one in values)]

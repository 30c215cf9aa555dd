"""Probabilities of the network's steps → labels of frames.

A method sees steps and not frames: a frame between two steps repeats the probabilities of the step before, and these
must not count several times. All methods except one are causal; ``lag`` looks ahead, by a fixed time.
"""

from __future__ import annotations

from videoseq.models.decoding.base import LabelDecoder, MostProbable
from videoseq.models.decoding.frames import FrameDecoder
from videoseq.models.decoding.hmm import FixedLag, MarkovChain
from videoseq.models.decoding.parameters import Decoding, DecodingParameters
from videoseq.models.decoding.smoothing import Hysteresis, MinimumDuration

__all__ = [
    "Decoding",
    "DecodingParameters",
    "FixedLag",
    "FrameDecoder",
    "Hysteresis",
    "LabelDecoder",
    "MarkovChain",
    "MinimumDuration",
    "MostProbable",
]

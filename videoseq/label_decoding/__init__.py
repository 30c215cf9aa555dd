"""Probabilities of the network's steps → labels of frames.

A method sees steps and not frames: a frame between two steps repeats the answer of the step before, and what is said
once must not count several times. All but one of the methods are causal; ``lag`` looks ahead, by a time that it states.
"""

from __future__ import annotations

from videoseq.label_decoding.base import LabelDecoder, MostProbable
from videoseq.label_decoding.frames import FrameDecoder
from videoseq.label_decoding.hysteresis import Hysteresis
from videoseq.label_decoding.markov import FixedLag, MarkovChain
from videoseq.label_decoding.min_duration import MinimumDuration
from videoseq.label_decoding.parameters import Decoding, DecodingParameters

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

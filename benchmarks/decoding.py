"""What each way from probabilities to labels brings on clips that training did not see.

    .venv/bin/python benchmarks/decoding.py [--seeds N] [--json FILE]

The clips and folds of `real_clips.py`, and the features of `accuracy.py`. Of each fold and seed one default head is
fitted on all training clips; every method decodes the probabilities of that one head. What a method tunes, and the
temperature before it, is tuned on training clips alone, as labeled by heads that did not learn from them: one group
after the other is left out a second time, or where there is one video only the last 40 % of its training part.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from harness import machine, print_table
from real_clips import SAMPLE_HZ, Dataset, Fold, beginning, load_datasets

from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.config.schema import BackboneSettings, DecodingSettings, HeadSettings, TrainingSettings, TrainSettings
from videoseq.data.dataset import Clip
from videoseq.data.splits import leave_groups_out
from videoseq.evaluation.evaluate import label_clips
from videoseq.evaluation.metrics import LabeledVideo, measure
from videoseq.features.backbones import load_backbone
from videoseq.models.decoding import DecodingParameters
from videoseq.models.head import Head
from videoseq.training.calibration import best_temperature, tempered
from videoseq.training.decoding_search import HeldOutClip, decode_videos, fit_decoding, learn_chain
from videoseq.training.fit import fit

METHODS = {
    "none": DecodingSettings(),
    "hysteresis": DecodingSettings(method="hysteresis"),
    "min_duration": DecodingSettings(method="min_duration"),
    "lag, 0.5 s": DecodingSettings(method="lag", delay_seconds=0.5),
    "lag, 2 s": DecodingSettings(method="lag", delay_seconds=2.0),
    "lag, 60 s": DecodingSettings(method="lag", delay_seconds=60.0),
}
NUMBERS = {
    "macro_f1": "macro F1 %", "edit": "edit score %",
    "f1_at_10": "F1@10 %", "f1_at_25": "F1@25 %", "f1_at_50": "F1@50 %",
}  # fmt: skip


@dataclass
class Heads:
    """Default heads of one seed, each fitted once."""

    num_classes: int
    seed: int
    known: dict[tuple[tuple[str, int], ...], Head] = field(default_factory=dict)

    def fitted_on(self, clips: Sequence[Clip]) -> Head:
        """The head of these clips."""
        key = tuple((clip.entry.video.name, len(clip.targets)) for clip in clips)
        if key not in self.known:
            settings = TrainingSettings(seed=self.seed)
            self.known[key] = fit(clips, [], self.num_classes, HeadSettings(), settings).head
        return self.known[key]


def inner_folds(fold: Fold, num_classes: int) -> Iterator[Fold]:
    """The training clips of a fold, divided once more."""
    if len(fold.train) > 1:
        yield from (
            Fold(list(inner.train), list(inner.held_out)) for inner in leave_groups_out(fold.train, num_classes)
        )
    else:
        part = beginning(fold.train[0])
        yield Fold([part], fold.train, len(part.targets))


def label(head: Head, fold: Fold, classes: ClassNames) -> list[LabeledVideo]:
    """The clips that judge, from the frame on from which they do."""
    videos = []
    for video in label_clips(head, fold.test, classes):
        targets = video.targets.copy()
        targets[: fold.first_test_frame] = IGNORE_INDEX
        videos.append(replace(video, targets=targets))
    return videos


def decode(
    dataset: Dataset, settings: TrainSettings, heads: Heads
) -> tuple[list[LabeledVideo], list[DecodingParameters]]:
    """The labels of all folds' unseen clips by one method, and what was tuned in each fold."""
    classes, num_classes = dataset.classes, len(dataset.classes)

    def unseen(fold: Fold) -> list[HeldOutClip]:
        chain = learn_chain(fold.train, num_classes, settings)
        return [HeldOutClip(clip.features.steps, chain) for clip in fold.test]

    labeled: list[LabeledVideo] = []
    chosen = []
    for fold in dataset.folds:
        inner = list(inner_folds(fold, len(classes)))
        said = [video for one in inner for video in label(heads.fitted_on(one.train), one, classes)]
        temperature = best_temperature(said) or 1.0
        said = [tempered(video, temperature) for video in said]
        parameters = fit_decoding(said, [one for part in inner for one in unseen(part)], classes, settings)
        videos = [tempered(video, temperature) for video in label(heads.fitted_on(fold.train), fold, classes)]
        labeled += decode_videos(videos, unseen(fold), parameters, settings.sample_hz)
        chosen.append(parameters)
    return labeled, chosen


def main() -> None:
    """Prints one table, and what was tuned."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bands", type=int, help="of the image, each with features of its own")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--json", type=Path, help="where the scores go")
    arguments = parser.parse_args()
    backbone = load_backbone(BackboneSettings(bands=arguments.bands))
    datasets = load_datasets(backbone, ("urfd", "person", "bottle"))
    scores: dict[str, dict[str, dict[str, list[float]]]] = {
        method: {number: {which: [] for which in datasets} for number in NUMBERS} for method in METHODS
    }
    chosen: dict[str, Counter[str]] = {method: Counter() for method in METHODS}
    for which, dataset in datasets.items():
        for seed in range(arguments.seeds):
            heads = Heads(len(dataset.classes), seed)
            for method, decoding in METHODS.items():
                labeled, parameters = decode(dataset, TrainSettings(sample_hz=SAMPLE_HZ, decoding=decoding), heads)
                headline = measure(labeled, dataset.classes).metrics.headline
                for number in NUMBERS:
                    scores[method][number][which].append(headline[number].value or 0.0)
                chosen[method].update(one.text for one in parameters)
            print(f"{which}, seed {seed}: {len(heads.known)} heads fitted", flush=True)
    print(f"\n{' / '.join(datasets)}; mean over {arguments.seeds} seeds\n")
    print_table(
        ["decoding", *NUMBERS.values()],
        [[method, *(" / ".join(_mean(values) for values in by.values()) for by in numbers.values())]
         for method, numbers in scores.items()],
    )  # fmt: skip
    print()
    for method, counts in chosen.items():
        print(f"{method}: tuned to " + ", ".join(f"{text} ({number}×)" for text, number in counts.most_common()))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"machine": machine(), "scores": scores, "chosen": chosen}, indent=1)
        arguments.json.write_text(text + "\n", encoding="utf-8")


def _mean(values: Sequence[float]) -> str:
    return f"{100 * statistics.mean(values):.1f}" if np.isfinite(values).all() else "–"


if __name__ == "__main__":
    main()

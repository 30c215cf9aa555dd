"""How good labels are on clips that training did not see, beside what others do with the same features.

    make accuracy            # or: .venv/bin/python benchmarks/accuracy.py [--only NAME …] [--backbone NAME] [--seeds N]

Real clips are expected in $VIDEOSEQ_DATA (default ../shared/data): `urfd/manifest.csv`, of which one group at a time is
left out, and `intel/`, of whose videos the first 60 % train and the rest tests. Every recipe gets the same features
(ten steps a second; of the default backbone unless another is named), the same splits and the same seeds, and is judged
on every labelled native frame that was left out: macro F1 over all of them together.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import recipes
import torch
from harness import machine, print_table, print_verdict
from recipes import Labeller, Sequences
from videoseq.pipelines.options import cache_folder

from videoseq.annotations import Annotation, ClassNames, Interval, find_classes
from videoseq.backbones import Backbone, load_backbone
from videoseq.clips import Clip, ClipEntry, load_clips, read_dataset
from videoseq.config import BackboneSettings, HeadSettings, TrainingSettings
from videoseq.evaluation import label_features
from videoseq.feature_store import FeatureStore
from videoseq.formats import read_annotation
from videoseq.lanes import to_sequence
from videoseq.machine import RuntimeChoice
from videoseq.metrics import confusion_matrix, frame_metrics
from videoseq.runtimes import select_runtime
from videoseq.sampling import step_rows
from videoseq.training import fit
from videoseq.video import VideoReader

DATA = Path(os.environ.get("VIDEOSEQ_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
INTEL = {"person": "one-by-one-person-detection.csv", "bottle": "bottle-detection_hand.csv"}
SAMPLE_HZ = 10.0
TRAINING_SHARE = 0.6

Predictor = Callable[[Clip], np.ndarray]
"""A clip to the class index of each of its native frames."""
Recipe = Callable[[Sequence[Clip], ClassNames, int], Predictor]

OURS, NO_CONTEXT, UNTUNED = "videoseq", "videoseq, no context", "GRU on features and differences, untuned"


def ours(clips: Sequence[Clip], classes: ClassNames, seed: int, head: HeadSettings, **training: object) -> Predictor:
    """What `videoseq train` keeps: fitted on all clips that it is given."""
    settings = TrainingSettings.model_validate({"seed": seed, **training})
    fitted = fit(clips, [], len(classes), head, settings).head
    return lambda clip: np.concatenate([part.class_index for part in label_features(fitted, clip.features, classes)])


def theirs(
    clips: Sequence[Clip], classes: ClassNames, seed: int, recipe: Callable[[Sequences, int, int], Labeller]
) -> Predictor:
    """A recipe of `recipes.py`, brought from steps to native frames as ours are."""
    with torch.random.fork_rng():
        label = recipe([_steps(clip) for clip in clips], len(classes), seed)

    def predict(clip: Clip) -> np.ndarray:
        with torch.no_grad():
            labels = label(_steps(clip)[0]).numpy()
        return labels[np.maximum(step_rows(clip.features.steps)[1], 0)]

    return predict


def _steps(clip: Clip) -> tuple[torch.Tensor, torch.Tensor]:
    sequence = to_sequence(clip)
    return torch.from_numpy(np.array(sequence.features[sequence.rows])), torch.from_numpy(sequence.targets)


RECIPES: dict[str, Recipe] = {
    OURS: partial(ours, head=HeadSettings()),
    NO_CONTEXT: partial(ours, head=HeadSettings(cell="none", inputs="features")),
    "videoseq, differences only": partial(ours, head=HeadSettings(inputs="differences")),
    "videoseq, one stream for both": partial(ours, head=HeadSettings(inputs="joint")),
    "videoseq, LSTM": partial(ours, head=HeadSettings(cell="lstm")),
    "videoseq, TCN": partial(ours, head=HeadSettings(cell="tcn", num_layers=10)),  # a stage of MS-TCN
    "videoseq, attention": partial(ours, head=HeadSettings(cell="attention", num_layers=2)),
    "videoseq, bidirectional": partial(ours, head=HeadSettings(bidirectional=True)),
    "videoseq, windows without a state": partial(ours, head=HeadSettings(), state="zero"),
    "videoseq, windows, 16 steps of burn-in": partial(ours, head=HeadSettings(), state="zero", burn_in_steps=16),
    "videoseq, windows from a drawn state": partial(ours, head=HeadSettings(), state="drawn"),
    "videoseq, clips stretched, with noise": partial(ours, head=HeadSettings(), stretch=0.3, noise=0.2),
    "videoseq, five networks": partial(ours, head=HeadSettings(), ensemble=5),
    UNTUNED: partial(
        ours,
        head=HeadSettings(hidden_size=128, components=0, inputs="joint", difference_lags=(1,)),
        max_epochs=100,
        learning_rate=3e-4,
    ),
    "lightning-action 1.1, LSTM": partial(theirs, recipe=recipes.lightning_action),
    "MiniROAD": partial(theirs, recipe=recipes.miniroad),
    "ordered, carried hidden (BNPitfalls)": partial(theirs, recipe=recipes.carried_hidden),
    "MS-TCN, causal": partial(theirs, recipe=recipes.causal_ms_tcn),
}


@dataclass(frozen=True)
class Fold:
    """What to learn from, and which clips' frames from which one on to be judged by."""

    train: list[Clip]
    test: list[Clip]
    first_test_frame: int = 0


@dataclass(frozen=True)
class Dataset:
    """Clips with the ways to divide them."""

    classes: ClassNames
    folds: list[Fold]


def load(
    entries: Sequence[ClipEntry], annotations: Sequence[Annotation], backbone: Backbone
) -> tuple[list[Clip], ClassNames]:
    """Clips with float32 features, computed or taken from the cache."""
    runtime = select_runtime(backbone, RuntimeChoice(precision="float32"))
    store, classes = FeatureStore(cache_folder(None), VideoReader), find_classes(annotations, None)
    clips, _ = load_clips(entries, annotations, lambda video: store.get(video, runtime, SAMPLE_HZ), classes)
    return clips, classes


def urfd(backbone: Backbone) -> Dataset:
    """One group left out at a time."""
    entries = read_dataset(DATA / "urfd" / "manifest.csv")
    clips, classes = load(entries, [read_annotation(entry.annotation) for entry in entries], backbone)
    groups = sorted({clip.entry.group for clip in clips})
    folds = [
        Fold([c for c in clips if c.entry.group != group], [c for c in clips if c.entry.group == group])
        for group in groups
    ]
    return Dataset(classes, folds)


def intel(labels: str, backbone: Backbone) -> Dataset:
    """The first frames of one video to learn from, the others to be judged by."""
    path = DATA / "intel" / "labels" / labels
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    intervals = tuple(Interval(int(a), int(b), label, number) for number, (a, b, label) in enumerate(rows, start=2))
    annotation = Annotation(path, "frames", intervals)
    video = DATA / "intel" / "videos" / f"{labels.rpartition('.')[0].removesuffix('_hand')}.mp4"
    (clip,), classes = load([ClipEntry(video, path, None, video.name)], [annotation], backbone)
    return Dataset(classes, [Fold([beginning(clip)], [clip], int(TRAINING_SHARE * len(clip.targets)))])


def beginning(clip: Clip) -> Clip:
    """The frames that are learnt from where one video is all there is."""
    cut = int(TRAINING_SHARE * len(clip.targets))
    stored = clip.features
    part = replace(
        stored,
        seconds=stored.seconds[:cut], flags=stored.flags[:cut], steps=stored.steps[:cut],
        features=stored.features[: int(np.count_nonzero(stored.steps[:cut]))],
    )  # fmt: skip
    return replace(clip, features=part, targets=clip.targets[:cut])


def macro_f1(recipe: Recipe, dataset: Dataset, seed: int) -> float:
    """Over the labelled frames of all folds together."""
    total = np.zeros((len(dataset.classes), len(dataset.classes)), dtype=np.int64)
    for fold in dataset.folds:
        predict = recipe(fold.train, dataset.classes, seed)
        for clip in fold.test:
            frames = slice(fold.first_test_frame, None)
            total += confusion_matrix(clip.targets[frames], predict(clip)[frames], len(dataset.classes))
    return frame_metrics(total, dataset.classes).macro_f1 or 0.0


def verdicts(scores: dict[str, dict[str, list[float]]]) -> Iterator[tuple[str, float, float]]:
    """What is asked of the default, in points of macro F1 above something else."""
    means = {name: {which: 100 * statistics.mean(v) for which, v in by.items()} for name, by in scores.items()}
    mine = means[OURS]
    if NO_CONTEXT in means:
        for which, target in (("urfd", 4.0), ("person", 10.0), ("bottle", 10.0)):
            yield f"{which}: points above no context", mine[which] - means[NO_CONTEXT][which], target
    if UNTUNED in means:
        yield "urfd: points above the untuned GRU", mine["urfd"] - means[UNTUNED]["urfd"], 2.0
    for name in means:
        if not name.startswith("videoseq") and name != UNTUNED:
            yield f"urfd: points above {name}", mine["urfd"] - means[name]["urfd"], 0.0


def _cells(by_dataset: dict[str, list[float]]) -> list[str]:
    return [f"{100 * statistics.mean(v):.1f} ± {100 * statistics.pstdev(v):.1f}" for v in by_dataset.values()]


def _kept(
    path: Path | None, described: dict[str, object]
) -> tuple[dict[str, dict[str, list[float]]], dict[str, float]]:
    """The scores that a file has, if they are of the same features, machine and seeds, and the seconds they took."""
    if path is None or not path.exists():
        return {}, {}
    found = json.loads(path.read_text(encoding="utf-8"))
    is_same = all(found.get(key) == value for key, value in described.items())
    return (found["macro_f1"], found["seconds"]) if is_same else ({}, {})


def main() -> None:
    """Prints one table and the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES), help="not all recipes")
    parser.add_argument("--backbone", default=BackboneSettings().name, help="what makes the features")
    parser.add_argument("--bands", type=int, help="of the picture, each with features of its own")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--json", type=Path, help="where the scores go, recipe by recipe")
    parser.add_argument("--keep", action="store_true", help="do not run again what the file has scores of")
    arguments = parser.parse_args()
    backbone = load_backbone(BackboneSettings(name=arguments.backbone, bands=arguments.bands))
    datasets = {"urfd": urfd(backbone), **{name: intel(labels, backbone) for name, labels in INTEL.items()}}
    described = {"machine": machine(), "backbone": backbone.identity.model_dump(mode="json"), "seeds": arguments.seeds}
    scores, seconds = _kept(arguments.json, described) if arguments.keep else ({}, {})
    print(f"{arguments.backbone}, {backbone.identity.bands} bands; macro F1, %: mean ± standard deviation over seeds\n")
    for name in arguments.only:
        if name in scores:
            continue
        start = time.perf_counter()
        scores[name] = {
            which: [macro_f1(RECIPES[name], dataset, seed) for seed in range(arguments.seeds)]
            for which, dataset in datasets.items()
        }
        seconds[name] = time.perf_counter() - start
        print(f"{name}: {', '.join(_cells(scores[name]))}", flush=True)
        if arguments.json:
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({**described, "macro_f1": scores, "seconds": seconds}, indent=1)
            arguments.json.write_text(text + "\n", encoding="utf-8")
    print()
    rows = [[name, *_cells(scores[name]), f"{seconds[name]:.0f}"] for name in RECIPES if name in scores]
    print_table(["trained", *datasets, "seconds"], rows)
    if OURS in scores:
        for what, got, target in verdicts(scores):
            print_verdict(what, got, target)


if __name__ == "__main__":
    main()

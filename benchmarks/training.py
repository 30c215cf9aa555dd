"""How fast the head is trained on cached features, next to lightning-action 1.1.0 on the same arrays.

    make .venv/opponents && .venv/bin/python benchmarks/training.py [--rounds N] [--json FILE]

Drawn features of the default width lie in memory-mapped .npy files, as the feature store keeps them. "ours" is
`videoseq.training.fit` with its defaults, which reads them chunk by chunk, validation and copies of the best weights
included. What counts is the time from the end of the first epoch to the end of the last: what is done once, which is
worker processes there and components here, is shown next to it in the rate of the whole run. Amounts are labeled
frames, of training and validation alike.

lightning-action is driven through what it publishes: its `DataModule` (sequences of 500, batches of 32, four worker
processes, ZScore, 90 % to train on) and its `Segmenter` (Adam, 1e-3, class weights), fitted by `lightning.Trainer` as
its `train()` does it. Where this departs from `train()`, it is in its favor: its `FeatureDataset` is given the arrays
instead of CSV files to parse, before the clock starts; TensorBoard, the progress bar and checkpoints are off. Three
times: the RNN head with the size of its documentation's example (two layers of 256; LSTM is its default cell), the
same as one GRU layer of 64 units like ours, and that one without worker processes, which are a loss on few cores.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
import numpy as np

from videoseq.config.schema import HeadSettings, TrainingSettings
from videoseq.data.dataset import Clip
from videoseq.data.manifest import ClipEntry
from videoseq.features.store import VideoFeatures
from videoseq.jobs.events import Listener, Progress
from videoseq.training.fit import FitEnvironment, fit

OPPONENTS = Path(__file__).resolve().parents[1] / ".venv" / "opponents"
FEATURE_SIZE = 1280
CLASSES = ("a", "b", "c", "d", "e")
NUM_STEPS = (1000, 1500, 2000, 1500)  # whole sequences of 500, of which lightning-action would drop the rest
NUM_CLIPS = 40  # the last four, a tenth of the steps, validate
EPOCHS = 3
OURS, THEIRS = "ours", "lightning-action: LSTM 2×256"
SAME_SIZE, NO_WORKERS = "lightning-action: GRU 64", "… without workers"


Run = Callable[[Callable[[], None]], float]
"""Trains, calls its argument at the end of every epoch, and says how much was trained on in all of them."""


def timed(run: Run, epochs: list[harness.Sample]) -> Callable[[], float]:
    """The run, which also notes in ``epochs`` how it went once the first epoch was over."""

    def timed_run() -> float:
        ends: list[tuple[float, float]] = []
        amount = run(lambda: ends.append((time.perf_counter(), harness.core_seconds())))
        seconds, core_seconds = (last - first for first, last in zip(ends[0], ends[-1], strict=True))
        epochs.append(harness.Sample(amount * (EPOCHS - 1) / EPOCHS, seconds, core_seconds))
        return amount

    return timed_run


def draw_clips(folder: Path) -> list[Clip]:
    """Clips whose features hint at their targets, in files that are memory-mapped."""
    random = np.random.default_rng(0)
    centers = random.normal(size=(len(CLASSES), FEATURE_SIZE)).astype(np.float32)
    clips = []
    for number in range(NUM_CLIPS):
        num_steps = NUM_STEPS[number % len(NUM_STEPS)]
        targets = np.repeat(random.integers(0, len(CLASSES), num_steps // 50), 50)
        noise = random.standard_normal((num_steps, FEATURE_SIZE), dtype=np.float32)
        np.save(folder / f"{number}.npy", centers[targets] * 0.1 + noise)
        features = np.load(folder / f"{number}.npy", mmap_mode="r")
        seconds, zeros = np.arange(num_steps) / 10, np.zeros(num_steps, np.int64)
        stored = VideoFeatures(f"{number:064x}", seconds, zeros, zeros + 1, features, num_steps / 10, ())
        clips.append(Clip(ClipEntry(folder / f"{number}.mp4", folder, None, str(number)), stored, targets))
    return clips


class _Epochs(Listener):
    """Calls a function after every epoch."""

    def __init__(self, note_epoch: Callable[[], None]) -> None:
        self._note_epoch = note_epoch

    def on_progress(self, progress: Progress) -> None:
        if "epoch" in progress.facts:
            self._note_epoch()


def ours(clips: list[Clip]) -> Run:
    """A run of `fit` with its defaults, but for the number of epochs."""
    settings = TrainingSettings(max_epochs=EPOCHS)
    amount = float(EPOCHS * sum(len(clip.targets) for clip in clips))

    def run(note_epoch: Callable[[], None]) -> float:
        environment = FitEnvironment(listener=_Epochs(note_epoch))
        result = fit(clips[:-4], clips[-4:], len(CLASSES), HeadSettings(), settings, environment=environment)
        assert len(result.history) == EPOCHS
        return amount

    return run


def theirs(clips: list[Clip], *, num_workers: int = 4, **head: Any) -> Run:  # noqa: ANN401
    """A run of lightning-action's module on its data module; what is read from files is read here."""
    import lightning
    from lightning_action.data import DataModule, FeatureDataset, ZScore
    from lightning_action.models import Segmenter
    from lightning_action.train import compute_class_weights

    arrays = {clip.entry.group: clip for clip in clips}

    class Arrays(FeatureDataset):
        """Its dataset, given arrays in the place of files."""

        def _load_features(self, file_path: str) -> np.ndarray:
            self.input_size = FEATURE_SIZE
            return np.array(arrays[file_path].features.features)

        def _load_labels(self, file_path: str) -> np.ndarray:
            self.label_names = list(CLASSES)
            return np.eye(len(CLASSES), dtype=np.float32)[arrays[file_path].targets]

    import lightning_action.data.datamodule as published

    published.FeatureDataset = Arrays
    names = list(arrays)
    data = DataModule(
        {"ids": names, "signals": [["features", "labels"]] * len(names),
         "transforms": [[[ZScore()], None]] * len(names), "paths": [[name, name] for name in names]},
        batch_size=32, num_workers=num_workers, persistent_workers=num_workers > 0,
        train_probability=0.9, val_probability=0.1,
    )  # fmt: skip
    model = {"head": "rnn", "input_size": FEATURE_SIZE, "output_size": len(CLASSES), "seed": 0, **head}
    model["class_weights"] = compute_class_weights(data)

    def run(note_epoch: Callable[[], None]) -> float:
        class NoteEpoch(lightning.Callback):
            def on_train_epoch_end(self, *_: object) -> None:
                note_epoch()

        trainer = lightning.Trainer(
            accelerator="cpu", max_epochs=EPOCHS, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, callbacks=[NoteEpoch()],
        )  # fmt: skip
        trainer.fit(Segmenter({"model": dict(model), "optimizer": {"type": "Adam", "lr": 1e-3}}), datamodule=data)
        assert trainer.current_epoch == EPOCHS
        return float(EPOCHS * len(data.dataset) * data.sequence_length)  # it leaves 8 of 500 out of the loss; all count

    return run


def main() -> None:
    """Measures and prints one table."""
    arguments = harness.parse_arguments(__doc__ or "", rounds=3)
    if not (OPPONENTS / "lightning_action").is_dir():
        sys.exit(f"expected lightning-action in {OPPONENTS}, found none; run: make .venv/opponents")
    sys.path.append(str(OPPONENTS))
    os.environ["TQDM_DISABLE"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        clips = draw_clips(Path(folder))
        for name in ("lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        warnings.filterwarnings("ignore")  # its advice, and what its Lightning says about this torch
        same = {"num_hid_units": 64, "num_layers": 1, "rnn_type": "gru"}
        runs = {
            OURS: ours(clips),
            THEIRS: theirs(clips, num_hid_units=256, num_layers=2),
            SAME_SIZE: theirs(clips, **same),
            NO_WORKERS: theirs(clips, num_workers=0, **same),
        }
        samples: dict[str, list[harness.Sample]] = {name: [] for name in runs}
        timed_runs = {name: timed(run, samples[name]) for name, run in runs.items()}
        whole = harness.measure(timed_runs, arguments.rounds, warms_up=False)
    medians = {name: harness.median(values) for name, values in samples.items()}
    harness.print_table(
        ["trained", "frames/s after the first epoch", "spread", "ours is", "frames/s of the whole run"],
        [
            [name, *harness.rate_cells(values), f"{medians[OURS] / medians[name]:.2f}×",
             f"{harness.median(whole[name]):.0f}"]
            for name, values in samples.items()
        ],
    )  # fmt: skip
    harness.print_verdict(f"frames/s per epoch relative to {THEIRS}", medians[OURS] / medians[THEIRS], 3.0)
    harness.save_json(arguments.json, samples | {f"{name}, whole run": values for name, values in whole.items()})


if __name__ == "__main__":
    main()

"""The whole path in minutes: draw clips, train with and without context, label a held-out clip, show both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import label_run, options, train
from .console import Console, percent, print_json, table

if TYPE_CHECKING:
    from videoseq.evaluation.metrics import LabeledVideo
    from videoseq.inference.model import Model

_SAMPLE_HZ = 8.0


def demo(
    out: Annotated[Path, typer.Argument(help="A folder to make.")],
    device: options.Device = "auto",
    seed: Annotated[int, typer.Option(help="Governs what is drawn and how training goes.")] = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Draw annotated clips, train on them, label a clip that was held out, and show what context buys."""
    from videoseq.config.yaml_file import load_settings
    from videoseq.inference.model import open_model
    from videoseq.jobs.plan import plan_jobs

    from . import demo_clips

    console = Console(quiet=quiet, verbose=verbose)
    console.say("drawing clips …")
    manifest = demo_clips.draw_dataset(out / "clips", seed=seed, listener=console)
    settings = load_settings(overrides=[f"sample_hz={_SAMPLE_HZ}", f"training.seed={seed}"])
    choice = options.runtime_choice(device)
    train.run(
        manifest, settings, out / "model", console, choice=choice, cache=out / "features", overwrite=True, images=True
    )
    held_out = str(min((out / "clips").glob("test-*.mp4")))
    jobs = plan_jobs([held_out], out / "labels")
    request = label_run.Request(
        jobs, [held_out], out / "model", out / "labels", choice, label_run.OnCorrupt.FAIL, overwrite=True
    )
    label_run.run(request, console)
    scores = _compare(open_model(out / "model", choice), manifest, out)
    for line in _score_lines(scores):
        console.say(line)
    console.say(f"labels: {out / 'labels'}; model and report: {out / 'model' / 'report.html'}")
    console.say(f"now open {out / 'timeline.png'}")
    if json:
        print_json(scores)


def _compare(model: Model, manifest: Path, out: Path) -> dict[str, Any]:
    """Accuracy with and without context on the held-out clips, by kind of frame; draws the first clip's timeline."""
    from videoseq.data.dataset import load_clips, load_dataset
    from videoseq.evaluation.evaluate import evaluate_heads
    from videoseq.features.store import FeatureStore
    from videoseq.report.timeline import Band, draw_timeline, save_png

    store = FeatureStore(out / "features")
    dataset = load_dataset(manifest, classes=model.classes, split="test")
    clips, _ = load_clips(dataset, lambda video: store.get(video, model.runtime, model.sample_hz))
    contents = model.contents
    with_context = evaluate_heads(contents.head, contents.no_context, (0,), clips, model.classes)
    without = evaluate_heads(contents.no_context, contents.no_context, (0,), clips, model.classes)
    first, blind = with_context.clips[0], without.clips[0]
    bands = [
        Band("truth", first.seconds, first.duration_seconds, first.targets),
        Band("with context", first.seconds, first.duration_seconds, first.labels),
        Band("one frame alone", blind.seconds, blind.duration_seconds, blind.labels),
    ]
    save_png(draw_timeline(bands, model.classes, f"{first.name}, held out"), out / "timeline.png")
    return {"with context": _by_kind(with_context.clips, model), "one frame alone": _by_kind(without.clips, model)}


def _by_kind(clips: tuple[LabeledVideo, ...], model: Model) -> dict[str, float]:
    import numpy as np

    from .demo_clips import STILL

    targets = np.concatenate([clip.targets for clip in clips])
    is_right = targets == np.concatenate([clip.labels for clip in clips])
    is_still = np.isin(targets, [model.classes.index(name) for name in STILL])
    return {
        "empty or occupied, the same picture": float(is_right[is_still].mean()),
        "entering or leaving, the same poses": float(is_right[~is_still].mean()),
        "all frames": float(is_right.mean()),
    }


def _score_lines(scores: dict[str, dict[str, float]]) -> list[str]:
    kinds = list(scores["with context"])
    rows = [[kind, *(percent(scores[name][kind]) for name in scores)] for kind in kinds]
    return table(["right on held-out clips, %", *scores], rows)

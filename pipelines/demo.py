"""``videoseq demo``: draw clips, train on them, label a clip that was held out, show what context is good for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options, train
from .console import Console, percent, print_json, table

if TYPE_CHECKING:
    from videoseq.inference.model import Model

_SAMPLE_HZ = 8.0


def demo(
    out: Annotated[Path, typer.Argument(help="A folder to make.")],
    device: options.Device = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the clips and of training.")] = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Draw annotated clips, train on them, label a clip that was held out, and show what context is good for."""
    from videoseq.config.yaml_file import load_settings
    from videoseq.inference.model import open_model
    from videoseq.jobs.label_run import run_labeling
    from videoseq.jobs.plan import plan_jobs
    from videoseq.jobs.request import LabelRequest, OnCorrupt
    from videoseq.video.isolation import Limits

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
    request = LabelRequest(
        jobs, [held_out], out / "model", out / "labels", choice, Limits(), on_corrupt=OnCorrupt.FAIL, overwrite=True
    )
    run_labeling(request, console)
    scores = _compare(open_model(out / "model", choice), manifest, out)
    for line in _score_lines(scores):
        console.say(line)
    console.say(f"labels: {out / 'labels'}; model and report: {out / 'model' / 'report.html'}")
    console.say(f"now open {out / 'timeline.png'}")
    if json:
        print_json(scores)


def _compare(model: Model, manifest: Path, out: Path) -> dict[str, dict[str, float]]:
    """Accuracy with and without context on the held-out clips, by kind of frame; draws the first clip's timeline."""
    from videoseq.data.dataset import load_clips, load_dataset
    from videoseq.evaluation.evaluate import label_clips
    from videoseq.features.store import FeatureStore
    from videoseq.report.timeline import Band, draw_timeline, save_png

    from .demo_clips import accuracy_by_kind

    store = FeatureStore(out / "features")
    dataset = load_dataset(manifest, classes=model.classes, split="test")
    clips, _ = load_clips(dataset, lambda video: store.get(video, model.runtime, model.sample_hz))
    heads = {"with context": model.contents.head, "one frame alone": model.contents.no_context}
    labeled = {name: label_clips(head, clips, model.classes) for name, head in heads.items()}
    first = labeled["with context"][0]
    bands = [Band("truth", first.seconds, first.duration_seconds, first.targets)]
    bands += [Band(name, first.seconds, first.duration_seconds, videos[0].labels) for name, videos in labeled.items()]
    save_png(draw_timeline(bands, model.classes, f"{first.name}, held out"), out / "timeline.png")
    return {name: accuracy_by_kind(videos, model.classes) for name, videos in labeled.items()}


def _score_lines(scores: dict[str, dict[str, float]]) -> list[str]:
    kinds = list(scores["with context"])
    rows = [[kind, *(percent(scores[name][kind]) for name in scores)] for kind in kinds]
    return table(["right on held-out clips, %", *scores], rows)

"""Videos → feature vectors only, for people who bring their own model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .console import Console, Exit, fail
from .videos import open_videos


def features(
    inputs: Annotated[list[str], typer.Argument(metavar="VIDEO…", help="Video files, folders of them, or patterns.")],
    out: Annotated[Path, typer.Option(help="Where the features go; the input tree is mirrored there.")],
    backbone: Annotated[
        str, typer.Option(help="The CNN: efficientnet_lite0, …1, …2, or timm:MODEL.")
    ] = "efficientnet_lite0",
    sample_hz: Annotated[float, typer.Option(help="Feature vectors per second of video; 0 for every frame.")] = 10.0,
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    compiled: options.Compile = False,
    cache: options.Cache = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write NAME.features.npy, one row per sampled frame, and NAME.features.csv with each row's frame and time."""
    from videoseq.backbones import load_backbone
    from videoseq.errors import VideoError
    from videoseq.feature_store import FeatureStore
    from videoseq.inputs import plan_jobs
    from videoseq.runtimes import select_runtime
    from videoseq.settings_file import load_settings

    console = Console(quiet=quiet, verbose=verbose)
    chosen = [f"backbone.name={backbone}", f"sample_hz={sample_hz if sample_hz else 'null'}"]
    settings = load_settings(overrides=chosen)
    jobs = plan_jobs(inputs, out)
    if not jobs:
        console.end_empty(inputs)
    choice = options.runtime_choice(device, runtime, precision, threads, compiled)
    chosen_runtime = select_runtime(load_backbone(settings.backbone), choice)
    num_failed = 0
    with open_videos() as videos:
        store = FeatureStore(options.cache_folder(cache), videos.open)
        for job in jobs:
            try:
                job.check_link()
                found = store.get(job.video, chosen_runtime, settings.sample_hz)
            except VideoError as error:
                fail(error)
                num_failed += 1
                continue
            found.export(job.target)
            console.say(f"complete: {job.video}: {len(found.features)} rows of {chosen_runtime.identity.feature_size}")
    if num_failed:
        raise typer.Exit(Exit.ALL_FAILED if num_failed == len(jobs) else Exit.SOME_FAILED)

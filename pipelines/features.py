"""Videos → feature vectors only, for people who bring their own model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videoseq.jobs.engine import Engine, WorkerConfig
from videoseq.storage.cache import cache_folder

from . import options
from .console import Console, exit_of_run

if TYPE_CHECKING:
    from videoseq.jobs.result import Result


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
    workers: options.LabelWorkers = None,
    engine: options.EngineName = Engine.LOCAL,
    address: options.Address = None,
    shard: options.Shard = None,
    cache: options.Cache = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write NAME.features.npy, one row per sampled frame, and NAME.features.csv with each row's frame and time.

    results.jsonl gets a line about how each video ended. Features that this CNN computed before are not computed again.
    """
    from videoseq.config.yaml_file import load_settings
    from videoseq.jobs.feature_run import run_features
    from videoseq.jobs.plan import plan_jobs
    from videoseq.jobs.request import FeatureRequest
    from videoseq.jobs.run_file import check_no_labels
    from videoseq.video.isolation import Limits

    worker_config = WorkerConfig(workers, engine, address)
    chosen = [f"backbone.name={backbone}", f"sample_hz={sample_hz if sample_hz else 'null'}"]
    settings = load_settings(overrides=chosen)
    share = options.parse_shard(shard)
    check_no_labels(out)
    jobs = plan_jobs(inputs, out, share)
    console = _FeatureConsole(out, quiet=quiet, verbose=verbose)
    if not jobs.num_found:
        console.end_empty(inputs)
    choice = options.runtime_choice(device, runtime, precision, threads)
    request = FeatureRequest(
        jobs, inputs, settings.backbone, settings.sample_hz, out, cache_folder(cache), choice, Limits(), shard=share
    )
    record = run_features(request, console, worker_config)
    raise typer.Exit(exit_of_run(record.counts, record.num_jobs))


class _FeatureConsole(Console):
    """Names rows and columns of the features, where labels have frames and seconds."""

    def __init__(self, out: Path, *, quiet: bool, verbose: bool) -> None:
        super().__init__(quiet=quiet, verbose=verbose)
        self._out = out

    def result_text(self, result: Result) -> str:
        import numpy as np

        array = next(self._out / name for name in result.outputs if name.endswith(".npy"))
        rows, width = np.load(array, mmap_mode="r", allow_pickle=False).shape
        line = f"{result.state}: {result.path}: {rows} rows of {width}"
        return f"{line}; {result.code}: {result.message}" if result.code else line

"""Options that several commands share, so that they read the same everywhere, and the panels of ``--help``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from videoseq.jobs.engine import Engine

if TYPE_CHECKING:
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.jobs.shards import Shard as JobShard

DAMAGE = "Damaged and hostile videos"
MANY = "Many videos"
CLUSTER = "Several processes and machines"
MACHINE = "What runs the CNN"
OUTPUT = "What is printed"

Device = Annotated[str, typer.Option(help="Where the CNN runs: auto, cpu, cuda or cuda:N.", rich_help_panel=MACHINE)]
Runtime = Annotated[
    str,
    typer.Option(
        "--runtime",
        help="What runs the CNN: auto (the fastest that is installed), torch or openvino.",
        rich_help_panel=MACHINE,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        help="What the CNN computes in: auto (the fastest on this hardware that keeps the labels), float32, bfloat16, "
        "float16, or int8 with a model from `videoseq quantize`.",
        rich_help_panel=MACHINE,
    ),
]
Threads = Annotated[
    Optional[int],  # noqa: UP045 (typer reads the annotation at run time, on Python 3.10 too)
    typer.Option(
        min=1,
        help="Cores for the CNN; by default all that this process may use, up to 16.",
        rich_help_panel=MACHINE,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.", rich_help_panel=OUTPUT)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print more.", rich_help_panel=OUTPUT)]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.", rich_help_panel=OUTPUT)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is at --out.")]
Images = Annotated[
    bool,
    typer.Option(
        "--images/--no-images",
        help="Put frames of the longest mistakes into the report; for these, their videos are decoded.",
    ),
]
Isolate = Annotated[
    bool,
    typer.Option(
        "--isolate/--no-isolate",
        help="Decode in a separate process, so that a video that crashes the decoder only costs itself.",
        rich_help_panel=DAMAGE,
    ),
]
MaxPixels = Annotated[
    int,
    typer.Option(min=1, help="Refuse videos with larger images, in width × height.", rich_help_panel=DAMAGE),
]
FrameTimeout = Annotated[
    float,
    typer.Option(min=0.1, help="Seconds to wait for a frame before the video fails.", rich_help_panel=DAMAGE),
]
TimeoutPerVideo = Annotated[
    float,
    typer.Option(min=0.1, help="Seconds that one video may take; by default a week.", rich_help_panel=DAMAGE),
]
DecoderMemory = Annotated[
    float, typer.Option(min=0.1, help="GiB that the separate decoder may use (Linux).", rich_help_panel=DAMAGE)
]
Workers = Annotated[
    int,
    typer.Option(
        "--workers",
        min=1,
        help="Videos whose features are computed at the same time, in processes that share the cores.",
        rich_help_panel=MACHINE,
    ),
]
LabelWorkers = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--workers",
        min=1,
        help="Videos to work on at the same time, each in its own process; the processes share the cores. By default "
        "one, or with Ray as many as the cluster has room for.",
        rich_help_panel=CLUSTER,
    ),
]
EngineName = Annotated[
    Engine,
    typer.Option(
        "--engine",
        help="What starts the workers: this machine (local), or a Ray cluster (ray).",
        rich_help_panel=CLUSTER,
    ),
]
Address = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--address",
        help="The Ray cluster: auto, or HOST:PORT of its head. Without it, Ray runs on this machine until the command "
        "ends.",
        rich_help_panel=CLUSTER,
    ),
]
Shard = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        metavar="I/N",
        help="Do share I of N, counted from 1; other machines can do theirs at the same time, into the same folder.",
        rich_help_panel=CLUSTER,
    ),
]
Cache = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        help="Where features are kept; by default $VIDEOSEQ_CACHE, else ~/.cache/videoseq.", rich_help_panel=MACHINE
    ),
]


def runtime_choice(
    device: str, runtime: str = "auto", precision: str = "auto", threads: int | None = None
) -> RuntimeChoice:
    """What runs the CNN, from the options.

    Raises:
        ConfigError: A name is unknown.
    """
    from videoseq.config.runtime import RuntimeChoice

    return RuntimeChoice(device, runtime, precision, threads)


def parse_shard(text: str | None) -> JobShard | None:
    """The share of the work, from the option.

    Raises:
        ConfigError: It is not a share.
    """
    from videoseq.jobs.shards import Shard

    return None if text is None else Shard.parse(text)

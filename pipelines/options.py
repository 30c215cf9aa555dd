"""Options that several commands share, so that they read alike everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from videoseq.config.runtime import RuntimeChoice

Device = Annotated[str, typer.Option(help="Where the CNN runs: auto, cpu, cuda or cuda:N.")]
Runtime = Annotated[
    str, typer.Option("--runtime", help="What runs the CNN: auto (the fastest that is installed), torch or openvino.")
]
Precision = Annotated[
    str,
    typer.Option(
        help="What the CNN computes in: auto (the fastest that the hardware has and that keeps the labels), float32, "
        "bfloat16, float16, or int8, with a model that `videoseq quantize` has made."
    ),
]
Threads = Annotated[
    Optional[int],  # noqa: UP045 (typer reads the annotation at run time, on Python 3.10 too)
    typer.Option(min=1, help="Cores that the CNN may keep busy; by default all that this process may use, up to 16."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what stands at --out.")]
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
        help="Decode in a process of its own, so that a video that crashes the decoder costs nothing but itself.",
    ),
]
MaxPixels = Annotated[int, typer.Option(min=1, help="Refuse videos with larger pictures, in width × height.")]
FrameTimeout = Annotated[float, typer.Option(min=0.1, help="Seconds to wait for a frame before a video is given up.")]
TimeoutPerVideo = Annotated[
    float, typer.Option(min=0.1, help="Seconds that one video may take altogether; by default a week.")
]
DecoderMemory = Annotated[float, typer.Option(min=0.1, help="GiB that the isolated decoder may take (Linux).")]
Workers = Annotated[
    int,
    typer.Option(
        "--workers", min=1, help="Videos whose features are computed side by side, in processes that share the cores."
    ),
]
Shard = Annotated[
    Optional[str],  # noqa: UP045 (typer reads the annotation at run time, on Python 3.10 too)
    typer.Option(metavar="I/N", help="Do the I-th of N shares, counted from 1; others may do theirs meanwhile."),
]
Cache = Annotated[
    Optional[Path],  # noqa: UP045 (typer reads the annotation at run time, on Python 3.10 too)
    typer.Option(help="Where features are kept; by default $VIDEOSEQ_CACHE, else ~/.cache/videoseq."),
]


def runtime_choice(
    device: str, runtime: str = "auto", precision: str = "auto", threads: int | None = None
) -> RuntimeChoice:
    """What the options say of how the CNN is run.

    Raises:
        ConfigError: A name is unknown.
    """
    from videoseq.config.runtime import RuntimeChoice

    return RuntimeChoice(device, runtime, precision, threads)

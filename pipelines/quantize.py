"""``videoseq quantize``: a model whose CNN also runs in 8-bit integers, if the labels stay the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .console import Console, Exit, fail, print_json

if TYPE_CHECKING:
    from videoseq.jobs.result import Result


def quantize(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    inputs: Annotated[list[str], typer.Argument(metavar="VIDEO…", help="Video files, folders of them, or patterns.")],
    out: Annotated[Path, typer.Option(help="The model folder to make.")],
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make a model whose CNN also runs in 8-bit integers, by OpenVINO on the CPU.

    Calibrates on images of the videos, labels them with both CNNs and compares. If more than one frame in two hundred
    gets another label, nothing is written. Take videos like those to be labeled; annotations are not needed.
    """
    from videoseq.errors import VideoError
    from videoseq.export.int8 import comparison_text, quantize_model
    from videoseq.jobs.plan import plan_jobs

    console = _Console(quiet=quiet, verbose=verbose)
    jobs = [job for text in inputs for job in plan_jobs([text], out)]  # no file is named after them
    if not jobs:
        console.end_empty(inputs, json=json)
    try:
        made = quantize_model(model, jobs, out, num_threads=threads, overwrite=overwrite, listener=console)
    except VideoError:  # of every video, and each was shown
        raise typer.Exit(Exit.ALL_FAILED) from None
    same = f"{100 * made.agreement:.2f} % of {comparison_text(made.origin)}"
    console.on_message(f"int8 gives the same labels as float32 on {same}")
    console.on_message(f"model: {out}; label uses its int8 network wherever OpenVINO is installed")
    if json:
        print_json(made.as_dict())
    raise typer.Exit(Exit.SOME_FAILED if made.failures else Exit.DONE)


class _Console(Console):
    """Shows a video that cannot be used as an error, with ``--quiet`` too: there is no file of results to hold it."""

    def on_result(self, result: Result, *, is_new: bool = True) -> None:
        del is_new  # always
        fail(result.message)

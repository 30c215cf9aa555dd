"""The ``videoseq`` command: one sub-command per pipeline; an error is one line and an exit status."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Annotated, NoReturn

import typer

from videoseq.errors import VideoseqError

from . import check, console, demo, doctor, evaluate, features, label, quantize, train
from .broken_pipe import surviving_broken_pipes
from .help import GroupedCommand

app = typer.Typer(
    name="videoseq",
    help="A label on every frame of a video, from that frame and the ones before it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)
app.command(cls=GroupedCommand)(demo.demo)
app.command(cls=GroupedCommand)(check.check)
app.command(cls=GroupedCommand)(train.train)
app.command(cls=GroupedCommand)(evaluate.evaluate)
app.command(cls=GroupedCommand)(label.label)
app.command(cls=GroupedCommand)(quantize.quantize)
app.command(cls=GroupedCommand)(features.features)
app.command(cls=GroupedCommand)(doctor.doctor)


def _print_version(is_asked: bool) -> None:  # noqa: FBT001 (typer's callback)
    if is_asked:
        from importlib.metadata import version

        print(f"videoseq {version('videoseq')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    del version


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    what, status = _STOPPING[signal.Signals(number).name]
    with suppress(OSError):
        os.write(2, f"{console.error_line(what)}\n".encode())  # sys.stderr may be in the middle of a write
    raise SystemExit(status)


_STOPPING = {
    "SIGINT": ("interrupted", console.Exit.INTERRUPTED),
    "SIGTERM": ("terminated", console.Exit.TERMINATED),
    "SIGHUP": ("hung up: the terminal is gone", console.Exit.HUNG_UP),
}


def main() -> None:
    """Runs the command line and exits with its status."""
    for name in _STOPPING:
        number = getattr(signal, name, None)  # Windows knows no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as in the background, or by nohup
            signal.signal(number, _stop)
    with surviving_broken_pipes():
        _run()


def _run() -> None:
    try:
        with console.bars_closed_at_end():
            app()
    except VideoseqError as error:
        console.fail(error)
        sys.exit(console.exit_of(error))
    except Exception:  # noqa: BLE001 (the last place to say that this is a bug and not the user's fault)
        console.fail_with_bug()
        sys.exit(console.Exit.BUG)


if __name__ == "__main__":
    main()

"""A model and videos like those that it is for → the same model with its CNN in 8-bit integers, if labels agree."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from videoseq.video.access import open_videos

from . import options
from .console import Console, Exit, fail, percent, print_json

if TYPE_CHECKING:
    from videoseq.export.int8 import Comparison
    from videoseq.features.runtimes import QuantizedNetwork, Runtime
    from videoseq.jobs.plan import Job
    from videoseq.models.model_folder import ModelFolder
    from videoseq.video.frames import FrameReader, Progress

_T = TypeVar("_T")
_CARRIED = ("metrics.json", "README.md", "report.html")


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

    Calibrates on pictures of the videos, labels them with either CNN and compares. If more than one frame in two
    hundred gets another label, nothing is written. Take videos like those to be labelled; annotations are not needed.
    """
    from videoseq.export.int8_calibration import check_available
    from videoseq.jobs.plan import plan_jobs
    from videoseq.models.model_folder import check_target, load_model_folder

    console = Console(quiet=quiet, verbose=verbose)
    check_available()
    check_target(out, overwrite=overwrite)
    contents = load_model_folder(model)
    jobs = [job for text in inputs for job in plan_jobs([text], out)]  # nothing is named after them
    if not jobs:
        console.end_empty(inputs, json=json)
    with open_videos() as access:
        videos = _Videos(jobs, access.open, console)
        result = _run(model, contents, videos, out, console, threads=threads, overwrite=overwrite)
    if json:
        print_json(result)
    raise typer.Exit(Exit.SOME_FAILED if videos.failed else Exit.DONE)


class _Videos:
    """The videos, each content once, in an order that has nothing to do with names; what fails is said and left out."""

    def __init__(self, jobs: Sequence[Job], open_video: Callable[[Path], FrameReader], console: Console) -> None:
        from videoseq.video.reader import content_sha256

        self.failed: set[Job] = set()
        self._open = open_video
        self._console = console
        by_content: dict[str, Job] = {}
        for job in jobs:
            with self._failing(job):
                job.check_link()
                by_content.setdefault(content_sha256(job.video), job)
        self.jobs = [job for _, job in sorted(by_content.items())]
        if not self.jobs:
            raise typer.Exit(Exit.ALL_FAILED)

    def each(self, jobs: Sequence[Job], what: str, read: Callable[[FrameReader, Progress], _T]) -> Iterator[_T]:
        """What is read of each, with a progress bar."""
        for job, show in self._console.each([job for job in jobs if job not in self.failed], what):
            found: list[_T] = []
            with self._failing(job), self._open(job.video) as reader:
                found.append(read(reader, show))
            yield from found

    @contextmanager
    def _failing(self, job: Job) -> Iterator[None]:
        from videoseq.errors import VideoError

        try:
            yield
        except VideoError as error:
            fail(error)
            self.failed.add(job)


def _run(
    model: Path,
    contents: ModelFolder,
    videos: _Videos,
    out: Path,
    console: Console,
    *,
    threads: int | None,
    overwrite: bool,
) -> dict[str, Any]:
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.export.int8 import part_videos, with_int8
    from videoseq.export.int8_calibration import quantizer_versions
    from videoseq.features.runtimes import select_runtime
    from videoseq.features.runtimes.int8 import Quantization
    from videoseq.models.model_folder import save_model_folder

    to_calibrate, to_compare = part_videos(videos.jobs)
    network, num_images = _calibrated(contents, videos, to_calibrate, console)
    float32 = select_runtime(contents.backbone, RuntimeChoice("cpu", "openvino", "float32", threads))
    int8 = select_runtime(contents.backbone, RuntimeChoice("cpu", "openvino", "int8", threads), (), network)
    is_held_out = not set(to_calibrate) & set(to_compare)
    found, num_compared = _compared(contents, videos, to_compare, (float32, int8))
    which = "others than those calibrated on" if is_held_out else "the same as calibrated on"
    where = f"{found.num_frames} frames of {num_compared} videos, {which}"
    _check(found, model, contents, where)
    origin = Quantization(
        network_sha256=network.sha256,
        num_calibration_images=num_images,
        num_calibration_videos=sum(job not in videos.failed for job in to_calibrate),
        num_compared_frames=found.num_frames,
        num_compared_videos=num_compared,
        compared_on_other_videos=is_held_out,
        cosine=round(found.cosine, 6),
        versions=quantizer_versions(),
    )
    speeds = _speeds(contents, int8, console)
    made = with_int8(contents, network, found.agreement, origin)
    save_model_folder(made, out, overwrite=overwrite, add_files=lambda folder: _carry(model, folder))
    console.say(f"in int8 {100 * found.agreement:.2f} % of the frames are labelled as in float32 ({where})")
    console.say(f"model: {out}; label takes its int8 network wherever OpenVINO is installed")
    return {"model": str(out), "agreement": found.agreement, "images_per_second": speeds, **origin.model_dump()}


def _calibrated(
    contents: ModelFolder, videos: _Videos, jobs: Sequence[Job], console: Console
) -> tuple[QuantizedNetwork, int]:
    """The network in 8-bit integers, and on how many pictures it was calibrated."""
    import torch

    from videoseq.export.int8 import NUM_CALIBRATION_IMAGES, max_frames_per_video, spread_images
    from videoseq.export.int8_calibration import quantize_backbone

    per_video = -(-NUM_CALIBRATION_IMAGES // len(jobs))
    max_frames = max_frames_per_video(len(jobs))

    def read(reader: FrameReader, show: Progress) -> list[torch.Tensor]:
        return spread_images(reader, contents, per_video, max_frames, show)

    images = [image for found in videos.each(jobs[:NUM_CALIBRATION_IMAGES], "pictures", read) for image in found]
    if not images:
        raise typer.Exit(Exit.ALL_FAILED)
    images = images[:NUM_CALIBRATION_IMAGES]
    console.say(f"calibrating on {len(images)} pictures")
    return quantize_backbone(contents.backbone, torch.stack(images)), len(images)


def _compared(
    contents: ModelFolder, videos: _Videos, jobs: Sequence[Job], runtimes: tuple[Runtime, Runtime]
) -> tuple[Comparison, int]:
    """Labels with features by two runtimes, and how many videos were compared before there were frames enough."""
    from videoseq.export.int8 import MAX_COMPARED_FRAMES, Comparison, compare_labels, max_frames_per_video

    total, num_compared = Comparison(), 0
    max_frames = max_frames_per_video(len(jobs))
    compare = videos.each(
        jobs, "comparing", lambda reader, show: compare_labels(reader, contents, runtimes, max_frames, show)
    )
    for found in compare:
        total, num_compared = total + found, num_compared + 1
        if total.num_frames >= MAX_COMPARED_FRAMES:
            break
    if not num_compared:
        raise typer.Exit(Exit.ALL_FAILED)
    return total, num_compared


def _check(found: Comparison, model: Path, contents: ModelFolder, where: str) -> None:
    """Refuses labels that differ, and those that could not have."""
    from videoseq.errors import ModelError
    from videoseq.models.model_folder import MIN_AGREEMENT

    if found.agreement < MIN_AGREEMENT:
        raise ModelError(
            f"{model}: expected int8 to give float32's labels on {percent(MIN_AGREEMENT)} % of the frames, got "
            f"{100 * found.agreement:.2f} % ({where}); nothing was written, label with the model as it is"
        )
    if len(found.names) < (2 if contents.config.is_multilabel else min(2, len(contents.classes))):
        (only,) = found.names
        raise ModelError(
            f"{model}: expected videos in which labels change, got {only!r} on all of {where}, which would agree "
            "whatever int8 does; nothing was written, take others"
        )


def _speeds(contents: ModelFolder, runtime: Runtime, console: Console) -> dict[str, float]:
    """Images a second in each precision that this CPU computes in."""
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.features.runtimes import select_runtime
    from videoseq.features.runtimes.speed import measure_speed
    from videoseq.system.hardware import cpu_computes_bfloat16

    floating = ("float32", "bfloat16") if cpu_computes_bfloat16() else ("float32",)
    choices = [RuntimeChoice("cpu", "openvino", name, runtime.num_streams) for name in floating]
    runtimes = [*(select_runtime(contents.backbone, choice) for choice in choices), runtime]
    speeds: dict[str, float] = {runtime.precision: round(measure_speed(runtime), 1) for runtime in runtimes}
    console.say("CNN: " + ", ".join(f"{name} {speed:.0f} images/s" for name, speed in speeds.items()))
    return speeds


def _carry(model: Path, folder: Path) -> None:
    """What people look at in a model folder is as true of the new one: it was measured in float32."""
    for name in _CARRIED:
        if (model / name).exists():
            shutil.copyfile(model / name, folder / name)

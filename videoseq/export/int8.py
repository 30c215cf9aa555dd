"""A model whose CNN also runs in 8-bit integers: calibrated on videos, saved only if the labels stay the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from videoseq.config.runtime import RuntimeChoice
from videoseq.errors import ModelError, VideoError
from videoseq.export.int8_calibration import check_available, quantize_backbone, quantizer_versions, spread_images
from videoseq.export.int8_comparison import Comparison, compare_labels
from videoseq.features.runtimes import QuantizedNetwork, Runtime, select_runtime
from videoseq.features.runtimes.int8 import Quantization
from videoseq.features.runtimes.speed import measure_speed
from videoseq.jobs.events import Listener
from videoseq.jobs.plan import Job
from videoseq.jobs.progress import each_file
from videoseq.jobs.result import Result
from videoseq.models import model_folder
from videoseq.models.model_folder import ModelFolder
from videoseq.system.hardware import cpu_computes_bfloat16
from videoseq.video.access import open_videos
from videoseq.video.frames import FrameReader, OnFrames
from videoseq.video.reader import content_sha256

_T = TypeVar("_T")

_NUM_CALIBRATION_IMAGES = 300
_MAX_COMPARED_FRAMES = 50_000  # enough to tell an agreement of 99.5 % from 99 %
_MIN_FRAMES_PER_VIDEO = 5_000
_MIN_VIDEOS_TO_SPLIT = 6
_COPIED = ("metrics.json", "README.md", "report.html")  # measured in float32, which the new model computes as before


@dataclass(frozen=True)
class QuantizedModel:
    """What :func:`quantize_model` made.

    Attributes:
        folder: The new model folder.
        agreement: The share of frames with the same label in int8 as in float32.
        images_per_second: The speed of the CNN on this CPU, by precision.
        origin: How the network was calibrated and compared.
        failures: The videos that could not be used, each with its error.

    Example:
        >>> made = videoseq.quantize("model", "recordings", out="model8")  # doctest: +SKIP
        >>> made.agreement >= 0.995  # doctest: +SKIP
        True
    """

    folder: Path
    agreement: float
    images_per_second: Mapping[str, float]
    origin: Quantization
    failures: Mapping[Path, VideoError]

    def as_dict(self) -> dict[str, Any]:
        """All but the failures as JSON-ready fields."""
        speeds = dict(self.images_per_second)
        return {
            "model": str(self.folder), "agreement": self.agreement, "images_per_second": speeds,
            **self.origin.model_dump(),
        }  # fmt: skip


def quantize_model(
    model: Path,
    jobs: Sequence[Job],
    out: Path,
    *,
    num_threads: int | None = None,
    overwrite: bool = False,
    listener: Listener | None = None,
) -> QuantizedModel:
    """Makes a model whose CNN also runs in 8-bit integers, by OpenVINO on the CPU.

    Args:
        model: The folder of the model.
        jobs: Videos like those that will be labeled. From six on, one half serves for calibration and the other for
            the comparison; videos with the same content count once.
        out: The model folder to make.
        num_threads: CPU threads; None for all cores.
        overwrite: Whether a model at ``out`` may be replaced.
        listener: Hears each video that cannot be used as a failed result, and how far the work is.

    Raises:
        ConfigError: OpenVINO or NNCF is not installed.
        ModelError: The model cannot be loaded, int8 gives too many other labels, or the labels never change.
        VideoError: No video can be used; it is the first one's error.
        OutputError: ``out`` exists or cannot be written.
    """
    check_available()
    model_folder.check_target(out, overwrite=overwrite)
    contents = model_folder.load_model_folder(model)
    with open_videos() as access:
        videos = _Videos(jobs, access.open, listener or Listener())
        to_calibrate, to_compare = split_videos(videos.jobs)
        network, num_images = _calibrated(contents, videos, to_calibrate)
        float32 = select_runtime(contents.backbone, RuntimeChoice("cpu", "openvino", "float32", num_threads))
        int8 = select_runtime(contents.backbone, RuntimeChoice("cpu", "openvino", "int8", num_threads), (), network)
        compared = _compared(contents, videos, to_compare, (float32, int8))
    origin = Quantization(
        network_sha256=network.sha256,
        num_calibration_images=num_images,
        num_calibration_videos=sum(job not in videos.failures for job in to_calibrate),
        num_compared_frames=compared.num_frames,
        num_compared_videos=compared.num_videos,
        compared_on_other_videos=not set(to_calibrate) & set(to_compare),
        cosine=round(compared.cosine, 6),
        versions=quantizer_versions(),
    )
    _check(compared, model, contents, comparison_text(origin))
    speeds = _speeds(contents, int8)
    videos.listener.on_message("CNN: " + ", ".join(f"{name} {speed:.0f} images/s" for name, speed in speeds.items()))
    shares = {**contents.config.agreement, "int8": round(compared.agreement, 6)}
    config = contents.config.model_copy(update={"agreement": shares, "int8": origin})
    made = replace(contents, config=config, quantized=network, sha256="")
    model_folder.save_model_folder(made, out, overwrite=overwrite, add_files=lambda folder: _copy_files(model, folder))
    failures = {job.video: error for job, error in videos.failures.items()}
    return QuantizedModel(out, compared.agreement, speeds, origin, failures)


def comparison_text(origin: Quantization) -> str:
    """What labels were compared on, for people."""
    which = "not used" if origin.compared_on_other_videos else "also used"
    return f"{origin.num_compared_frames} frames of {origin.num_compared_videos} videos, {which} for calibration"


def max_frames_per_video(num_videos: int) -> int:
    """How many frames of each video to read: about half an hour of one, or the beginnings of many."""
    return max(_MIN_FRAMES_PER_VIDEO, _MAX_COMPARED_FRAMES // num_videos)


def split_videos(videos: Sequence[_T]) -> tuple[Sequence[_T], Sequence[_T]]:
    """Videos to calibrate on and videos to compare on; all for both if they are few."""
    if len(videos) < _MIN_VIDEOS_TO_SPLIT:
        return videos, videos
    return videos[::2], videos[1::2]


class _Videos:
    """Videos with different contents, in an order that does not depend on names; those that fail are left out."""

    def __init__(self, jobs: Sequence[Job], open_video: Callable[[Path], FrameReader], listener: Listener) -> None:
        self.failures: dict[Job, VideoError] = {}
        self.listener = listener
        self._open = open_video
        by_content: dict[str, Job] = {}
        for job in jobs:
            with self._failing(job):
                job.check_link()
                by_content.setdefault(content_sha256(job.video), job)
        self.jobs = [job for _, job in sorted(by_content.items())]
        self.require(self.jobs)

    def each(self, jobs: Sequence[Job], stage: str, read: Callable[[FrameReader, OnFrames], _T]) -> Iterator[_T]:
        """What ``read`` finds in each video that can be read."""
        jobs = [job for job in jobs if job not in self.failures]
        for job, on_frames in each_file(jobs, len(jobs), stage, self.listener):
            found: list[_T] = []
            with self._failing(job), self._open(job.video) as reader:
                found.append(read(reader, on_frames))
            yield from found

    def require(self, found: object) -> None:
        """Raises the first error if nothing was found in any video."""
        if not found:
            raise next(iter(self.failures.values()), VideoError("not_found", "expected a video, got none"))

    @contextmanager
    def _failing(self, job: Job) -> Iterator[None]:
        try:
            yield
        except VideoError as error:
            self.failures[job] = error
            self.listener.on_result(Result(str(job.video), "failed", error.code, str(error)))


def _calibrated(contents: ModelFolder, videos: _Videos, jobs: Sequence[Job]) -> tuple[QuantizedNetwork, int]:
    """The network in 8-bit integers, and the number of images that it was calibrated on."""
    per_video = -(-_NUM_CALIBRATION_IMAGES // len(jobs))
    max_frames = max_frames_per_video(len(jobs))

    def read(reader: FrameReader, on_frames: OnFrames) -> list[torch.Tensor]:
        return spread_images(reader, contents, per_video, max_frames, on_frames)

    found = videos.each(jobs[:_NUM_CALIBRATION_IMAGES], "calibration images", read)
    images = [image for images in found for image in images][:_NUM_CALIBRATION_IMAGES]
    videos.require(images)
    videos.listener.on_message(f"calibrating on {len(images)} images")
    return quantize_backbone(contents.backbone, torch.stack(images)), len(images)


def _compared(
    contents: ModelFolder, videos: _Videos, jobs: Sequence[Job], runtimes: tuple[Runtime, Runtime]
) -> Comparison:
    """How far labels agree; it stops when there are frames enough."""
    total = Comparison()
    max_frames = max_frames_per_video(len(jobs))

    def read(reader: FrameReader, on_frames: OnFrames) -> Comparison:
        return compare_labels(reader, contents, runtimes, max_frames, on_frames)

    for found in videos.each(jobs, "comparing", read):
        total += found
        if total.num_frames >= _MAX_COMPARED_FRAMES:
            break
    videos.require(total.num_videos)
    return total


def _check(compared: Comparison, model: Path, contents: ModelFolder, where: str) -> None:
    """Refuses int8 if its labels differ too often, and if they could not differ."""
    required = model_folder.MIN_AGREEMENT
    if compared.agreement < required:
        raise ModelError(
            f"{model}: expected int8 to give float32's labels on {100 * required:.1f} % of the frames, got "
            f"{100 * compared.agreement:.2f} % ({where}); nothing was written, label with the model as it is"
        )
    if len(compared.names) < (2 if contents.config.is_multilabel else min(2, len(contents.classes))):
        (only,) = compared.names
        raise ModelError(
            f"{model}: expected videos in which labels change, got {only!r} on all of {where}, which would agree "
            "whatever int8 does; nothing was written, take others"
        )


def _speeds(contents: ModelFolder, int8: Runtime) -> dict[str, float]:
    """Images per second in each precision that this CPU computes in."""
    floating = ("float32", "bfloat16") if cpu_computes_bfloat16() else ("float32",)
    choices = [RuntimeChoice("cpu", "openvino", name, int8.num_streams) for name in floating]
    runtimes = [*(select_runtime(contents.backbone, choice) for choice in choices), int8]
    return {runtime.precision: round(measure_speed(runtime), 1) for runtime in runtimes}


def _copy_files(model: Path, folder: Path) -> None:
    for name in _COPIED:
        if (model / name).exists():
            shutil.copyfile(model / name, folder / name)

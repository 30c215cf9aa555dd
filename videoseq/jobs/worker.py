"""The process behind :mod:`videoseq.jobs.pool`: works on one video after the other, as its parent tells it.

It ends when its pipe is closed, whatever it is doing, and leaves nothing half-written.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import cv2
import torch

from videoseq.errors import ConfigError, ModelError, OutputError
from videoseq.features.backbones import load_backbone
from videoseq.features.runtimes import Runtime, select_runtime
from videoseq.features.store import FeatureStore, features_sha256
from videoseq.inference.model import open_model
from videoseq.jobs.plan import Job
from videoseq.jobs.result import Result
from videoseq.jobs.run_job import run_feature_job, run_label_job
from videoseq.jobs.worker_process import FeatureTask, LabelTask, WorkerTask
from videoseq.system.hardware import num_usable_cores
from videoseq.video.access import open_videos
from videoseq.video.frames import FrameReader, OnFrames

_PATIENCE_SECONDS = 10.0
_PROGRESS_SECONDS = 0.1

OpenVideo = Callable[[Path], FrameReader]


def main(connection: Connection) -> None:
    """Works on one video after the other, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    orders: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, orders), daemon=True).start()
    try:
        _work(connection, orders.get(), orders)
    except (ConfigError, ModelError, OutputError) as error:
        _tell(connection, "error", error)
    except Exception:  # noqa: BLE001 (any error is a bug, which the parent reports)
        _tell(connection, "error", RuntimeError(f"in a worker:\n{traceback.format_exc()}"))
    finally:
        os._exit(0)  # everything is closed by now; the libraries would need a second to unload


@dataclass(frozen=True)
class Work:
    """A task that is ready for jobs.

    Attributes:
        summary: What ``run.json`` says about it; plain values.
        do: Takes a job, and a function to call as its frames are read; returns the job's result. Raises OutputError
            for what is not the video's fault.
    """

    summary: dict[str, Any]
    do: Callable[[Job, OnFrames], Result]


def begin(task: WorkerTask, stack: ExitStack) -> Work:
    """Sets the number of threads, starts the decoder and loads the model; ``stack`` undoes the first two.

    Raises:
        ModelError: The model cannot be loaded, or was replaced by another.
        ConfigError: This machine does not have what was chosen, or the backbone is missing.
    """
    num_cores = task.choice.num_threads or num_usable_cores()
    stack.callback(cv2.setNumThreads, cv2.getNumThreads())
    stack.callback(torch.set_num_threads, torch.get_num_threads())
    cv2.setNumThreads(num_cores)
    torch.set_num_threads(num_cores)  # more threads than cores would only wait for each other
    open_video = stack.enter_context(open_videos(task.limits, isolate=task.isolate)).open
    return _begin_labels(task, open_video) if isinstance(task, LabelTask) else _begin_features(task, open_video)


def _begin_labels(task: LabelTask, open_video: OpenVideo) -> Work:
    model = open_model(task.model_path, task.choice)
    if model.contents.sha256 != task.model_sha256:
        raise ModelError(f"{task.model_path}: expected the model of this run, got another; start again")

    def label(job: Job, on_progress: OnFrames) -> Result:
        seconds = task.limits.video_seconds
        return run_label_job(
            job, task.out, model, task.settings, on_progress, open_video=open_video, max_seconds=seconds
        )

    return Work(model.summary, label)


def _begin_features(task: FeatureTask, open_video: OpenVideo) -> Work:
    runtime = _runtime_of(task)
    store = FeatureStore(task.cache, open_video)
    summary = {
        "backbone": runtime.identity.model_dump(mode="json"),
        "sample_hz": task.sample_hz,
        "features_sha256": features_sha256(runtime, task.sample_hz),
        "runtime": runtime.description,
    }

    def compute(job: Job, on_progress: OnFrames) -> Result:
        return run_feature_job(job, store, runtime, task.sample_hz, on_progress, out=task.out)

    return Work(summary, compute)


def _runtime_of(task: FeatureTask) -> Runtime:
    if isinstance(task.backbone, Path):
        return open_model(task.backbone, task.choice).runtime
    return select_runtime(load_backbone(task.backbone), task.choice)


def _work(connection: Connection, task: WorkerTask, jobs: queue.SimpleQueue[Job]) -> NoReturn:
    with ExitStack() as stack:
        work = begin(task, stack)
        _tell(connection, "started", work.summary)
        while True:
            _tell(connection, "result", work.do(jobs.get(), _Throttled(connection)))


class _Throttled:
    """Reports progress, but not for every frame."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last = 0.0

    def __call__(self, num_frames: int, fraction: float) -> None:
        if time.monotonic() - self._last >= _PROGRESS_SECONDS:
            self._last = time.monotonic()
            _tell(self._connection, "progress", num_frames, fraction)


def _tell(connection: Connection, *message: Any) -> None:  # noqa: ANN401 (any message that the parent knows)
    with suppress(OSError):  # the pipe is closed: _listen ends the process
        connection.send(message)


def _listen(connection: Connection, orders: queue.SimpleQueue[Any]) -> None:
    """Passes on the parent's messages; ends the process when the pipe is closed, for whatever reason."""
    with suppress(EOFError, OSError):
        while True:
            orders.put(connection.recv())
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    signal.pthread_kill(main_thread, signal.SIGTERM)  # interrupts its work, and lets it clean up
    time.sleep(_PATIENCE_SECONDS)
    os._exit(128 + signal.SIGTERM)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # only once
    raise SystemExit(128 + number)

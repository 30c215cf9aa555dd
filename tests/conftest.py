"""What many tests share: a small model trained for real, and the runtime that makes its features."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from pipelines.__main__ import main
from tests.support.commands import Call, Cli, Ended
from tests.support.index_videos import write_video
from tests.support.light_clips import light_frames

if TYPE_CHECKING:
    from videoseq.features.backbones.base import Backbone

DATA = Path(os.environ.get("VIDEOSEQ_DATA", Path(__file__).parents[2] / "shared" / "data"))

# Nothing in the default run depends on chance or on the machine's speed; `make test-slow` loads the profile "fresh".
settings.register_profile(
    "same",
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("fresh", settings.get_profile("same"), derandomize=False)
settings.load_profile("same")


def pytest_configure() -> None:
    """Sets in Hypothesis what its profiles cannot; it fails here if a new version has other names."""
    patch = pytest.MonkeyPatch()
    patch.setattr("hypothesis.internal.conjecture.engine.MAX_SHRINKING_SECONDS", 30)  # of 300
    # It also tries numbers and strings from the modules that are loaded, which depend on the tests that ran before.
    patch.setattr("hypothesis.internal.conjecture.providers.is_local_module_file", lambda _path: False)


@pytest.fixture(scope="session")
def data() -> Path:
    """Real clips that are no part of the project; the tests that use them skip where they are not."""
    if not DATA.is_dir():
        pytest.skip(f"real clips: none at {DATA} (set VIDEOSEQ_DATA)")
    return DATA


@pytest.fixture(scope="session")
def cli() -> Cli:
    """Runs the real command in a process of its own, off a terminal."""

    def run(*args: object, cwd: Path | None = None, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("videoseq")), *map(str, args)]
        return subprocess.run(command, cwd=cwd, timeout=timeout, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def export_once() -> Callable[[Backbone], bytes]:
    """``to_onnx``, which takes half a second, with a memory: a backbone's packaged weights are always the same."""
    from videoseq.features.runtimes.openvino_runtime import to_onnx

    exported: dict[str, bytes] = {}

    def export(backbone: Backbone) -> bytes:
        if not backbone.weights_are_packaged:
            return to_onnx(backbone)
        key = backbone.identity.sha256
        exported[key] = exported.get(key) or to_onnx(backbone)
        return exported[key]

    return export


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], export_once: Callable[[Backbone], bytes]
) -> Call:
    """Runs the command inside the test process, for the many cases that need no process of their own."""
    monkeypatch.setattr("videoseq.features.runtimes.openvino_runtime.to_onnx", export_once)

    def run(*args: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["videoseq", *map(str, args)])
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # typer puts its own there
        before = signal.getsignal(signal.SIGTERM)
        capfd.readouterr()
        try:
            with pytest.raises(SystemExit) as caught:
                main()
        finally:
            signal.signal(signal.SIGTERM, before)
        return Ended(int(caught.value.code or 0), *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of video: dark, then bright."""
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", light_frames(20, 10, seed=8), fps=20)


@pytest.fixture(scope="session")
def light_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six annotated clips at three frame rates: a light goes on. Intervals in seconds, and one frame by frame."""
    folder = tmp_path_factory.mktemp("lights")
    for number, fps in enumerate((20, 25, 30, 20, 25, 30)):
        num_frames, switch = 2 * fps, fps // 2 + 2 * number
        video = write_video(folder / f"clip{number}.mp4", light_frames(num_frames, switch, number), fps)
        rows = [
            "start_s,stop_s,label",
            f"0,{switch / fps:.3f},dark",
            f"{switch / fps:.3f},{num_frames / fps:.3f},bright",
        ]
        if number == 5:
            labels = ("dark" if index < switch else "bright" for index in range(num_frames))
            rows = ["frame,label", *(f"{index},{label}" for index, label in enumerate(labels))]
        video.with_suffix(".csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def model_folder(light_dataset: Path, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """A model for ``dark`` and ``bright`` at 10 Hz, trained by the program itself with the real backbone."""
    from pipelines import train
    from pipelines.console import Console
    from videoseq.config.runtime import RuntimeChoice
    from videoseq.config.yaml_file import load_settings

    is_parallel = hasattr(pytestconfig, "workerinput")  # then the run's processes share the folder above their own
    base = tmp_path_factory.getbasetemp().parent if is_parallel else tmp_path_factory.mktemp("model")
    folder = base / "lights"
    small = ["head.hidden_size=16", "head.projection_size=16", "training.max_epochs=80"]
    settings = load_settings(overrides=[*small, "data.cross_validation=null"])
    with FileLock(base / "lights.lock"):
        if not folder.exists():
            train.run(
                light_dataset,
                settings,
                folder,
                Console(quiet=True),
                choice=RuntimeChoice(device="cpu"),
                cache=base / "features",
                overwrite=False,
            )
    return folder


@pytest.fixture(scope="session")
def cache(model_folder: Path) -> Path:
    """The cache that has the features of the clips that the model was trained on."""
    return model_folder.parent / "features"

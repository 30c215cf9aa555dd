"""The public API: what a notebook needs all day, signatures that can grow, and examples that are true."""

from __future__ import annotations

import ast
import doctest
import inspect
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import videoseq
from tests.conftest import light_frames
from tests.support.index_videos import write_video
from videoseq.annotations.types import ClassNames

FUNCTIONS = [name for name in videoseq.__all__ if name.islower()]


@pytest.fixture(scope="module")
def prepared(light_dataset: Path, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the examples expect it: a model, clips with annotations, recordings without."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "model").symlink_to(model_folder)
    (folder / "clips").symlink_to(light_dataset)
    shutil.copytree(light_dataset, folder / "clips-of-another-person")
    write_video(folder / "clip.mp4", light_frames(60, 30, seed=3), fps=30)
    (folder / "recordings").mkdir()
    shutil.copyfile(folder / "clip.mp4", folder / "recordings" / "clip.mp4")
    return folder


@pytest.fixture
def here(prepared: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(prepared)
    monkeypatch.setenv("VIDEOSEQ_CACHE", str(model_folder.parent))  # it has the features of the clips
    return prepared


@pytest.fixture(scope="module")
def model(model_folder: Path) -> videoseq.Model:
    return videoseq.load_model(model_folder, device="cpu")


def examples(name: str, known: dict[str, object]) -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = finder.find(getattr(videoseq, name), name, globs=known)
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", videoseq.__all__)
def test_every_public_name_has_an_example_that_is_true(name, here, model):
    found = examples(name, {"videoseq": videoseq, "model": model})
    assert found, f"videoseq.{name}: expected an example in its docstring"
    lines: list[str] = []
    for test in found:
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        runner.run(test, out=lines.append)
    assert lines == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_but_the_first_arguments_are_named_and_all_have_types(name):
    signature = inspect.signature(inspect.unwrap(getattr(videoseq, name)))
    first, *others = signature.parameters.values()
    by_place = [one.name for one in others if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    takes_two = {"evaluate": ["dataset"], "compare_annotators": ["targets"], "quantize": ["videos"]}
    takes_two |= {"write_annotation": ["annotation"], "read_annotation": ["task"]}
    assert by_place == takes_two.get(name, [])
    assert all(one.annotation is not inspect.Parameter.empty for one in (first, *others))
    assert signature.return_annotation is not inspect.Signature.empty


def test_a_cnn_is_run_alike_everywhere():
    names = {"device", "runtime", "precision", "threads"}
    for name in ("train", "evaluate", "label", "extract_features", "load_model"):
        assert names <= set(inspect.signature(getattr(videoseq, name)).parameters), name
    for name in ("train", "evaluate", "label", "extract_features", "check", "quantize", "compare_annotators"):
        assert "listener" in inspect.signature(getattr(videoseq, name)).parameters, name


DAY = """
import videoseq

class Heard(videoseq.Listener):
    def __init__(self):
        self.stages, self.states = set(), []
    def on_progress(self, progress):
        self.stages.add(progress.stage)
    def on_result(self, result, *, is_new=True):
        self.states.append(result.state)

heard = Heard()
small = {"head.hidden_size": 16, "training.max_epochs": 40, "data.cross_validation": None}
model = videoseq.train("clips", out="day/model", settings=small, device="cpu", listener=heard)
assert "features" in heard.stages, heard.stages

result = videoseq.evaluate(model, "clips", listener=heard)
assert result.metrics["labelers"]["model"]["headline"]["accuracy"]["value"] > 0.8
assert list(result.to_pandas().index) == ["model", "no context", "majority class"]
result.write_report("day/report", images=False)

results = videoseq.label("recordings", model=model, out="day/labels", listener=heard)
assert [one.state for one in results] == heard.states == ["complete"], heard.states

model = videoseq.load_model("day/model", device="cpu", threads=1)
labels = model.label("clip.mp4")
table = labels.to_pandas()
assert list(table["label"]) == labels.names
labels.write("day/clip.frames.csv")
assert open("day/clip.frames.csv").read() == open("day/labels/clip.mp4.frames.csv").read()
axes = labels.plot()
axes.figure.savefig("day/clip.png")
assert labels.segments()[-1].stop_seconds == labels.duration_seconds

seconds, features = model.features("clip.mp4")
assert len(seconds) == len(features) == 21

images = [frame.image for frame in videoseq.read_frames("clip.mp4")]
stream = model.stream(fps=30)
one_by_one = [stream.step(image) for image in images]
assert [one.label for one in one_by_one] == labels.names
assert max(abs(one.probabilities - row).max() for one, row in zip(one_by_one, labels.probabilities)) < 1e-4
assert model.label(iter(images), fps=30).names == labels.names

videoseq.write_annotation("day/draft.csv", labels.segments())
assert videoseq.read_annotation("day/draft.csv").labels == set(labels.names)
assert videoseq.load_dataset("clips").classes == model.classes
"""


def test_a_day_in_a_notebook_needs_public_names_only(here):
    imported = [node for node in ast.walk(ast.parse(DAY)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [alias.name for node in imported for alias in node.names] == ["videoseq"]
    subprocess.run([sys.executable, "-c", DAY], cwd=here, timeout=200, check=True)


FORK = """
import os, sys, videoseq

videoseq.load_model("model", device="cpu")
ways = [
    lambda: videoseq.label("recordings", model="model", out="fork/labels"),
    lambda: videoseq.evaluate("model", "clips"),
    lambda: videoseq.train("clips", out="fork/model"),
    lambda: videoseq.extract_features("recordings", out="fork/features"),
]
if (child := os.fork()) == 0:
    number = 0
    try:
        for number, way in enumerate(ways, 1):
            try:
                way()
            except RuntimeError as error:
                assert "got a fork of it" in str(error)
            else:
                os._exit(number)
        os._exit(0)
    finally:
        os._exit(20 + number)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_after_a_fork_work_is_refused(here):
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], cwd=here, timeout=120, check=True)


def test_how_a_loaded_model_runs_is_settled(here):
    model = videoseq.load_model("model", device="cpu")
    with pytest.raises(videoseq.ConfigError, match=r"^device, runtime, precision and threads: expected none with a lo"):
        videoseq.label("recordings", model=model, out="settled", device="cuda")
    with pytest.raises(videoseq.ConfigError, match=r"^on_corrupt: expected salvage, skip, fail, got 'skipp' \(did you"):
        videoseq.label("recordings", model=model, out="settled", on_corrupt="skipp")
    (here / "nothing").mkdir()
    with pytest.raises(videoseq.ConfigError, match=r"^videos: expected video files, .* found none in nothing$"):
        videoseq.label("nothing", model=model, out="settled")


def test_a_dataset_must_go_with_the_settings(here):
    dataset = videoseq.load_dataset("clips")
    with pytest.raises(
        videoseq.ConfigError, match=r"^data.classes: expected \('bright', 'dark'\), with which the dataset"
    ):
        videoseq.train(dataset, out="unmade", settings={"data.classes": ["dark", "bright"]})
    with pytest.raises(
        videoseq.ConfigError, match=r"^data.background: expected None, with which the dataset was read, g"
    ):
        videoseq.train(dataset, out="unmade", settings={"data.background": "dark"})
    assert not (here / "unmade").exists()


def test_a_dataset_is_measured_as_its_folder_is(here, model):
    dataset = videoseq.load_dataset("clips", classes=model.classes)
    assert videoseq.evaluate(model, dataset).metrics == videoseq.evaluate(model, "clips").metrics
    assert videoseq.evaluate(model, replace(dataset, source=None)).evaluation.clips


@pytest.mark.parametrize(
    ("name", "value", "got"),
    [
        ("task", "multiclass", "multilabel"),
        ("classes", ("bright", "dark"), ("dark", "bright")),
        ("classes", ("bright", "dark"), ("bright", "dark", "dim")),
    ],
)
def test_a_dataset_must_go_with_the_model(name, value, got, here, model):
    dataset = replace(videoseq.load_dataset("clips"), **{name: ClassNames(got) if name == "classes" else got})
    expected = f"dataset: expected {name}={value!r}, as the model has, got {got!r}; read it again with the {name} of"
    with pytest.raises(videoseq.ConfigError, match=f"^{re.escape(expected)} the model$"):
        videoseq.evaluate(model, dataset)


def test_a_dataset_without_the_background_of_the_model_is_refused(here, model):
    """Frames that no row covers would count for nothing, although the model learned a class for them."""
    config = model.contents.config
    data = config.settings.data.model_copy(update={"background": "dark"})
    settings = config.settings.model_copy(update={"data": data})
    contents = replace(model.contents, config=config.model_copy(update={"settings": settings}))
    learned = videoseq.Model(contents, model.runtime, model.folder)
    with pytest.raises(videoseq.ConfigError, match=r"^dataset: expected background='dark', as the model has, got None"):
        videoseq.evaluate(learned, videoseq.load_dataset("clips"))
    assert videoseq.evaluate(learned, videoseq.load_dataset("clips", background="bright")).metrics


@pytest.mark.parametrize("options", [{"split": "val"}, {"background": "dark"}])
def test_a_dataset_has_its_own_split_and_background(options, here, model):
    ((name, value),) = options.items()
    expected = f"^{name}: expected none with a dataset that was read already, got '{value}'$"
    with pytest.raises(videoseq.ConfigError, match=expected):
        videoseq.evaluate(model, videoseq.load_dataset("clips"), **options)


def test_an_unknown_task_is_refused(here):
    """In a process where types are not checked, as users' are."""
    code = "import videoseq; videoseq.load_dataset('clips', task='multi-label')"
    done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=False)
    expected = "task: expected multiclass or multilabel, got 'multi-label' (did you mean 'multilabel'?)"
    assert done.stderr.splitlines()[-1] == f"videoseq.errors.ConfigError: {expected}"


def test_videos_to_quantize_with_may_have_one_name(here, model, monkeypatch):
    """No output is named after them; and ``threads`` is no choice of how the model runs."""
    asked = {}
    monkeypatch.setattr(
        "videoseq.export.int8.quantize_model", lambda *args, **options: asked.update(args=args, **options)
    )
    (here / "again").mkdir()
    shutil.copyfile(here / "clip.mp4", here / "again" / "clip.mp4")
    videoseq.quantize(model, ["clip.mp4", "again/clip.mp4"], out="model8", threads=1)
    folder, jobs, out = asked["args"]
    assert (folder, out, asked["num_threads"]) == (model.folder, Path("model8"), 1)
    assert [job.video for job in jobs] == [Path("clip.mp4"), Path("again/clip.mp4")]


def test_a_folder_without_videos_is_a_notice(here):
    heard: list[str] = []

    class Notices(videoseq.Listener):
        def on_notice(self, notice):
            heard.append(str(notice.code))

    (here / "empty").mkdir()
    videoseq.extract_features(["recordings", "empty"], out="features-of-some", sample_hz=1, listener=Notices())
    assert heard == ["empty_folder"]

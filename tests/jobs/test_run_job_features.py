"""Features of many videos: what one process makes, workers make too; kept, recorded, and not made again."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipelines import train
from pipelines.console import Console
from tests.support.commands import Call, Ended, check_one_line, contents, json_lines
from tests.support.index_videos import write_spelled
from videoseq.config.runtime import RuntimeChoice
from videoseq.config.schema import BackboneSettings
from videoseq.config.yaml_file import load_settings
from videoseq.features.backbones import load_backbone
from videoseq.features.runtimes import Runtime, select_runtime
from videoseq.features.store import FeatureStore, features_sha256
from videoseq.jobs import pool as workers
from videoseq.jobs import worker_process
from videoseq.jobs.journal import Journal
from videoseq.jobs.plan import Job
from videoseq.jobs.request import FeatureSettings
from videoseq.jobs.result import Result
from videoseq.jobs.run_job import run_feature_job


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return select_runtime(load_backbone(BackboneSettings()), RuntimeChoice("cpu", "torch", "float32", 1))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos, of which one is cut off, and a file that is none."""
    folder = tmp_path_factory.mktemp("features") / "in"
    (folder / "deep").mkdir(parents=True)
    write_spelled(folder / "a.mp4", 12)
    write_spelled(folder / "deep" / "b.mp4", 24)
    cut = write_spelled(folder / "deep" / "c.avi", 40, fourcc="MJPG")
    os.truncate(cut, cut.stat().st_size // 2)
    (folder / "text.mp4").write_text("I am no video. " * 99)
    return folder


def extract(call: Call, videos: Path, out: Path, *args: object) -> Ended:
    cache = out.with_name(f"{out.name}-cache")
    return call("features", videos, "--out", out, "--cache", cache, "--sample-hz", 5, "--runtime", "torch", *args)


@pytest.fixture
def by_one(call, videos, tmp_path) -> Path:
    num_threads = torch.get_num_threads()
    ended = extract(call, videos, tmp_path / "one", "--threads", num_threads + 1)
    assert torch.get_num_threads() == num_threads
    assert ended.status == 3
    assert ended.err.splitlines()[-1] == "4 videos: 2 complete, 1 degraded, 1 failed"
    return tmp_path / "one"


def test_workers_write_what_one_writes_and_a_second_run_starts_none(by_one, call, videos, tmp_path, monkeypatch):
    two = tmp_path / "two"
    ended = extract(call, videos, two, "--workers", 2)
    assert ended.status == 3
    ours, theirs = contents(two), contents(by_one)
    apart = {"results.jsonl", "run.json"}  # the order in which they end, and the number of threads
    assert {n: b for n, b in ours.items() if n not in apart} == {n: b for n, b in theirs.items() if n not in apart}
    assert contents(tmp_path / "two-cache") == contents(tmp_path / "one-cache")
    results = [
        {str(r["path"]): {**r, "runtime": ""} for r in json_lines(out / "results.jsonl")} for out in (two, by_one)
    ]
    assert results[0] == results[1]
    runs = [json.loads((out / "run.json").read_text()) for out in (two, by_one)]
    assert [run.pop("workers") for run in runs] == [2, 1]
    assert {**runs[0], "runtime": ""} == {**runs[1], "runtime": ""}

    monkeypatch.setattr(workers, "WorkerProcess", None)
    monkeypatch.setattr(worker_process, "WorkerProcess", None)
    (videos / "text.mp4").rename(tmp_path / "text.mp4")  # what failed is tried again
    try:
        again = extract(call, videos, two, "--workers", 2)
    finally:
        (tmp_path / "text.mp4").rename(videos / "text.mp4")
    assert (again.status, again.err) == (3, "3 videos: 2 complete, 1 degraded, 0 failed\n")
    assert {n: b for n, b in contents(two).items() if n.endswith(("npy", "csv"))} == {
        n: b for n, b in ours.items() if n.endswith(("npy", "csv"))
    }


def test_shards_compute_what_is_theirs_and_together_all(call, videos, tmp_path):
    out = tmp_path / "out"
    for number in (1, 2):
        assert extract(call, videos, out, "--shard", f"{number}/2").status in (0, 3)
        assert json.loads((out / f"run.shard-{number}-of-2.json").read_text())["shard"] == f"{number}/2"
    lines = [[Path(str(r["path"])).name for r in json_lines(out / f"results.shard-{n}-of-2.jsonl")] for n in (1, 2)]
    assert all(lines)
    assert sorted(lines[0] + lines[1]) == ["a.mp4", "b.mp4", "c.avi", "text.mp4"]
    again = extract(call, videos, out)
    assert [line.split(":")[0] for line in again.err.splitlines()] == ["failed", "4 videos"]  # the others' is known
    assert len(json_lines(out / "results.jsonl")) == 4


def test_a_folder_of_labels_is_not_mixed_with_features(call, videos, tmp_path):
    (tmp_path / "labels").mkdir()
    run = json.dumps({"model": "lights", "model_sha256": "0" * 64})
    (tmp_path / "labels" / "run.shard-1-of-2.json").write_text(run)
    words = f"{tmp_path / 'labels'}: expected no labels there, got those of lights; choose another --out"
    check_one_line(extract(call, videos, tmp_path / "labels"), 2, words)
    assert sorted(contents(tmp_path / "labels")) == ["run.shard-1-of-2.json"]


@pytest.fixture(scope="module")
def computed(runtime, videos, tmp_path_factory) -> tuple[FeatureStore, Path, Job, Result]:
    """A store, a folder with a video's exported features, and how that went."""
    folder = tmp_path_factory.mktemp("computed")
    store, job = FeatureStore(folder / "store"), Job(videos / "a.mp4", folder / "out" / "a.mp4")
    return store, folder / "out", job, run_feature_job(job, store, runtime, 5.0, out=folder / "out")


def has_features(result: Result, job: Job, out: Path, model_sha256: str) -> bool:
    """Whether a result, recorded for the job, says that its features are in the folder."""
    (out / "results.jsonl").unlink(missing_ok=True)
    journal = Journal(out)
    journal.append(replace(result, path=str(job.video)))
    return journal.find(job, model_sha256, FeatureSettings()) is not None


def test_a_result_says_what_was_read_and_written(computed, runtime):
    _, out, job, result = computed
    assert (result.state, result.num_frames, result.coverage) == ("complete", 12, 1.0)
    assert result.model_sha256 == features_sha256(runtime, 5.0)
    assert sorted(result.outputs) == ["a.mp4.features.csv", "a.mp4.features.npy"]
    assert has_features(result, job, out, result.model_sha256)


def test_a_damaged_video_is_degraded_when_it_is_read_from_the_store_too(runtime, videos, tmp_path):
    store, job = FeatureStore(tmp_path), Job(videos / "deep" / "c.avi", tmp_path / "c.avi")
    first, again = (run_feature_job(job, store, runtime, 5.0) for _ in range(2))
    assert (first.state, first.code, first.outputs) == ("degraded", "truncated", {})
    assert first.coverage < 1.0
    assert again == first


def test_what_was_never_made_or_is_of_another_kind_is_not_there(computed, runtime):
    _, out, job, result = computed
    assert Journal(out).find(Job(job.video, out / "b.mp4"), result.model_sha256, FeatureSettings()) is None
    assert not has_features(replace(result, state="failed"), job, out, result.model_sha256)
    assert not has_features(result, job, out, features_sha256(runtime, None))


@pytest.mark.parametrize("name", ["a.mp4.features.npy", "a.mp4.features.csv"])
def test_features_that_were_edited_or_deleted_are_not_there(name, computed, tmp_path):
    _, out, job, result = computed
    shutil.copytree(out, tmp_path, dirs_exist_ok=True)
    copied = Job(job.video, tmp_path / "a.mp4")
    assert has_features(result, copied, tmp_path, result.model_sha256)
    with (tmp_path / name).open("ab") as file:
        file.write(b"#")
    assert not has_features(result, copied, tmp_path, result.model_sha256)
    (tmp_path / name).unlink()
    assert not has_features(result, copied, tmp_path, result.model_sha256)


def test_features_of_another_video_are_not_there(computed, videos):
    _, out, job, result = computed
    for name in ("deep/b.mp4", "gone.mp4"):
        assert not has_features(result, Job(videos / name, job.output_stem), out, result.model_sha256)


def test_what_is_wrong_with_a_video_becomes_its_result(computed, runtime, tmp_path):
    store, _, _, _ = computed
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    gone = run_feature_job(Job(tmp_path / "gone.mp4", tmp_path / "gone.mp4"), store, runtime, 5.0)
    linked = run_feature_job(Job(tmp_path / "in" / "link.mp4", tmp_path / "l", tmp_path / "in"), store, runtime, 5.0)
    assert [(result.state, result.code) for result in (gone, linked)] == [
        ("failed", "not_found"), ("failed", "refused_link")
    ]  # fmt: skip


@pytest.mark.slow
def test_training_and_evaluation_read_what_workers_computed(call, light_dataset, tmp_path, monkeypatch):
    settings = load_settings(overrides=["training.max_epochs=2", "head.hidden_size=16"])
    given = {"choice": RuntimeChoice(device="cpu", library="torch"), "overwrite": False}
    models = []
    for number in (1, 2):
        cache, out = tmp_path / f"cache{number}", tmp_path / f"model{number}"
        train.run(light_dataset, settings, out, Console(quiet=True), cache=cache, num_workers=number, **given)
        models.append({n: b for n, b in contents(out).items() if n in ("model.safetensors", "metrics.json")})
    assert models[0] == models[1]
    assert contents(tmp_path / "cache1") == contents(tmp_path / "cache2")
    args = ("evaluate", tmp_path / "model1", light_dataset, "--runtime", "torch", "--json", "--no-images", "-q")
    by_workers = call(*args, "--cache", tmp_path / "cache3", "--workers", 2)
    monkeypatch.setattr(workers, "WorkerProcess", None)  # all that is asked for by now is there: no process is needed
    ended = [call(*args, "--cache", tmp_path / f"cache{number}", "--workers", 2) for number in (1, 3)]
    assert by_workers == ended[0] == ended[1]
    assert by_workers.status == 0


@pytest.mark.slow
def test_a_clip_that_cannot_be_read_ends_training_as_with_one_worker(call, light_dataset, tmp_path):
    clips = Path(shutil.copytree(light_dataset, tmp_path / "clips"))
    (clips / "clip3.mp4").write_text("no video")
    args = ("train", clips, "--runtime", "torch", "--cache", tmp_path / "cache", "--out", tmp_path / "model")
    ended = [call(*args, "--workers", number) for number in (2, 1)]
    assert ended[0].status == 4
    assert "clip3.mp4: expected a video, got a file that no decoder recognizes" in ended[0].err.splitlines()[-1]
    assert ended[0] == ended[1]

"""A video that looks like nothing in the training is told from one that does, whatever the chunks it comes in."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.index_videos import write_video
from tests.support.light_clips import light_frames
from tests.support.model_edits import edit, edit_tensors, refusal
from tests.support.switch_clips import APPEARANCE, make_clip
from videoseq.inference.likeness import LikenessMeter, likeness_notices
from videoseq.models.known_groups import KnownGroups, TrainingDistance
from videoseq.training.group_means import learn_known_groups

STEP = 0.5  # from one group to the next, several times what clips of a group differ by


def placed(seed: int, group: str, where: float) -> object:
    """A clip whose features lie about ``where``."""
    clip = make_clip(seed, group=group)
    return replace(clip, features=replace(clip.features, features=clip.features.features + np.float32(where)))


@pytest.fixture(scope="module")
def known() -> KnownGroups:
    clips = [placed(seed, f"g{seed % 3}", STEP * (seed % 3)) for seed in range(9)]
    found = learn_known_groups(clips)
    assert found is not None
    return found


def test_no_clip_of_the_training_is_farther_than_one_from_the_other_groups(known):
    """And the farthest is at 1: that is what the unit is."""
    distances = []
    for seed in range(9):
        others = torch.tensor([name != f"g{seed % 3}" for name in known.names])
        rest = replace(known, names=tuple(n for n in known.names if n != f"g{seed % 3}"), means=known.means[others])
        clip = placed(seed, "", STEP * (seed % 3))
        mean = torch.from_numpy(clip.features.features[:, :APPEARANCE]).double().mean(dim=0)
        distances.append(rest.distance(mean).value)
    assert max(distances) == pytest.approx(1.0, abs=1e-5)


def test_the_distance_grows_with_the_distance_and_names_the_nearest(known):
    found = [known.distance(torch.full((APPEARANCE,), where)) for where in (0.0, STEP, 2 * STEP, 4 * STEP, 8 * STEP)]
    assert [one.nearest_group for one in found] == ["g0", "g1", "g2", "g2", "g2"]
    assert found[2].value < 1 < found[3].value < found[4].value


@given(st.lists(st.integers(0, 70), max_size=6))
def test_it_does_not_matter_how_a_video_is_cut_up(known, cuts):
    clip = placed(4, "", 1.5 * STEP)
    whole = LikenessMeter(known)
    for chunk in clip.features.chunks(1000):
        whole.add(chunk)
    parts = LikenessMeter(known)
    for size in (1, 7, *cuts):
        if size:
            parts = LikenessMeter(known)
            for chunk in clip.features.chunks(size):
                parts.add(chunk)
    assert parts.finish() == whole.finish()


def test_where_groups_are_alike_a_video_may_show_one_behavior_only():
    alike = learn_known_groups([make_clip(seed, num_frames=300, group=f"g{seed}") for seed in range(3)])
    assert alike.reach == pytest.approx(2 / 3)
    steps = torch.from_numpy(make_clip(5, num_frames=300).features.features[:, :APPEARANCE]).double()
    switching = steps[steps[:, 0] > 0.5].mean(dim=0)
    assert likeness_notices("a.mp4", alike.distance(steps[:20].mean(dim=0))) == []
    assert likeness_notices("a.mp4", alike.distance(switching)) != []  # the same step over and over is another matter


def test_one_group_shows_nothing_about_new_ones():
    assert learn_known_groups([make_clip(seed, group="one") for seed in range(3)]) is None
    meter = LikenessMeter(None)
    for chunk in make_clip(0).features.chunks():
        meter.add(chunk)
    assert meter.finish() is None
    assert likeness_notices("a.mp4", None) == []


def test_only_what_is_farther_than_all_that_is_known_is_told():
    assert likeness_notices("a.mp4", TrainingDistance(1.5, "g0")) == []
    (notice,) = likeness_notices("a.mp4", TrainingDistance(1.66, "g0"))
    assert notice.code == "unlike_training"
    assert notice.is_warning
    assert "1.7 times" in notice.message
    assert "'g0'" in notice.message


def test_results_say_it_for_each_video(call, model_folder, tmp_path):
    """A room like those of the training, and a picture that no room of the training has."""
    (tmp_path / "in").mkdir()
    like = write_video(tmp_path / "in" / "like.mp4", light_frames(20, 10, seed=9), fps=20)
    stripes = np.zeros((72, 96, 3), np.uint8)
    stripes[:, ::8], stripes[::6] = (255, 0, 0), (0, 255, 0)
    unlike = write_video(tmp_path / "in" / "unlike.mp4", [stripes] * 20, fps=20)
    ended = call("label", tmp_path / "in", "--model", model_folder, "--out", tmp_path / "out", "--device", "cpu")
    assert ended.status == 0, ended.err
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    results = {one["path"]: one for one in map(json.loads, lines)}
    assert results[str(like)]["training_distance"] < 1 < results[str(unlike)]["training_distance"]
    assert results[str(like)]["notices"] == []
    assert [one["code"] for one in results[str(unlike)]["notices"]] == ["unlike_training"]
    assert results[str(unlike)]["state"] == "complete"
    assert f"{unlike}: does not look like the training clips" in ended.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("known_groups.means"), "expected means of"),
        (lambda t: t["known_groups.means"].fill_(float("nan")), "expected means of"),
        (lambda t: t["known_groups.deviation"].zero_(), "expected deviations and a reach above 0"),
    ],
    ids=["lost", "NaN", "zero"],
)
def test_damaged_groups_are_refused(change, words, model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    edit_tensors(folder, change)
    assert words in refusal(folder)


def test_groups_that_do_not_fit_are_refused(model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    edit(folder, lambda values: values.update(known_groups=["only"]))
    assert "known groups: expected means of (1, " in refusal(folder)

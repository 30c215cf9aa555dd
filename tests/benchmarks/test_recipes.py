"""The recipes that ours is compared with learn what can be learned, and look at no future: the comparison is fair."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from videoseq.annotations.types import IGNORE_INDEX

PATH = Path(__file__).parents[2] / "benchmarks" / "recipes.py"
spec = importlib.util.spec_from_file_location("benchmark_recipes", PATH)
recipes = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(recipes)

pytestmark = pytest.mark.slow  # a minute

RECIPES = [recipes.lightning_action, recipes.miniroad, recipes.carried_hidden, recipes.causal_ms_tcn]


def make_sequence(seed: int, num_steps: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """Two classes that a single step tells apart, the second half of the time the second; some steps unlabeled."""
    generator = torch.Generator().manual_seed(seed)
    targets = (torch.arange(num_steps) >= num_steps // 2).long()
    features = torch.randn(num_steps, 6, generator=generator) * 0.3
    features[:, 0] += 2.0 * targets
    targets[::7] = IGNORE_INDEX
    return features, targets


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.__name__)
def test_a_recipe_learns_and_is_causal(recipe):
    with torch.random.fork_rng():
        label = recipe([make_sequence(seed) for seed in range(12)], 2, 0)
    features, targets = make_sequence(99)
    with torch.no_grad():
        labels = label(features)
        changed = features.clone()
        changed[15:] += 5.0
        assert torch.equal(label(changed)[:15], labels[:15])
    known = targets != IGNORE_INDEX
    assert (labels[known] == targets[known]).float().mean() > 0.8

"""Which default is chosen on several tasks, and how that choice does on a task that had no part in it.

A candidate's regret on a task is how many points it is below the best candidate there. The candidate with the least
mean regret is chosen. The choice itself is judged by leaving out one task: chosen on the others, judged on that one.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence

Scores = Mapping[str, Mapping[str, float]]
"""By candidate and task, in points."""


def regrets(scores: Scores, tasks: Collection[str]) -> dict[str, dict[str, float]]:
    """By candidate and task, the points below the best candidate of the task."""
    best = {task: max(of_tasks[task] for of_tasks in scores.values()) for task in tasks}
    return {name: {task: best[task] - of_tasks[task] for task in tasks} for name, of_tasks in scores.items()}


def chosen(scores: Scores, tasks: Collection[str]) -> str:
    """The candidate with the least mean regret on these tasks; of equals the first."""
    found = regrets(scores, tasks)
    return min(found, key=lambda name: statistics.mean(found[name].values()))


def chosen_without(scores: Scores, tasks: Sequence[str]) -> dict[str, str]:
    """For each task, the candidate that is chosen on all others."""
    return {task: chosen(scores, [one for one in tasks if one != task]) for task in tasks}


def gains(scores: Scores, baseline: Mapping[str, float], tasks: Sequence[str]) -> dict[str, float]:
    """For each task, the points of the candidate that was chosen without it above a baseline."""
    return {task: scores[name][task] - baseline[task] for task, name in chosen_without(scores, tasks).items()}

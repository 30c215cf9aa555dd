"""What every benchmark shares: interleaved rounds, medians and spreads, one table, one JSON file.

What is compared runs side by side in one process (A B C A B C …), so that a machine that drifts drifts for all of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from videoseq.system.hardware import cpu_computes_bfloat16, cpu_name, library_versions, num_usable_cores


@dataclass(frozen=True)
class Sample:
    """One run: how much was done, in how many seconds, and how many seconds of how many cores that took."""

    amount: float
    seconds: float
    core_seconds: float

    @property
    def rate(self) -> float:
        """Amount a second."""
        return self.amount / self.seconds

    @property
    def core_milliseconds(self) -> float:
        """Core time of one unit of the amount."""
        return 1000.0 * self.core_seconds / self.amount


def measure(
    runs: dict[str, Callable[[], float]], rounds: int, pids: Iterable[int] = (), *, warms_up: bool = True
) -> dict[str, list[Sample]]:
    """Every run once a round, each saying how much it did.

    Args:
        runs: By name.
        rounds: How often.
        pids: Other processes that work for the runs; their core time counts too (Linux).
        warms_up: Whether a round goes before that counts for nothing; whole commands start cold every time.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in runs}
    for number in range(0 if warms_up else 1, rounds + 1):
        for name, run in runs.items():
            core_start, start = core_seconds(pids), time.perf_counter()
            amount = run()
            sample = Sample(amount, time.perf_counter() - start, core_seconds(pids) - core_start)
            if number:
                samples[name].append(sample)
    return samples


def core_seconds(pids: Iterable[int] = ()) -> float:
    """Core time that this process, its ended children, and the processes ``pids`` have taken so far."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    total = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def median(samples: Sequence[Sample], what: str = "rate") -> float:
    """The median of a sample's attribute."""
    return statistics.median(getattr(sample, what) for sample in samples)


def rate_cells(samples: Sequence[Sample]) -> list[str]:
    """Median and spread of the rate, as cells of a table."""
    rates = [sample.rate for sample in samples]
    return [f"{statistics.median(rates):.0f}", f"{min(rates):.0f}–{max(rates):.0f}"]


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A Markdown table, so that the output can be copied into docs/performance.md."""
    print("| " + " | ".join(header) + " |")
    print("|---" * len(header) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def print_verdict(what: str, got: float, target: float, *, at_most: bool = False) -> None:
    """A line that says whether a target is met."""
    is_met = got <= target if at_most else got >= target
    print(f"{'met' if is_met else 'MISSED'}: {what}: {got:.3g}, target {'≤' if at_most else '≥'} {target:g}")


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "cpu": cpu_name(), "cores": num_usable_cores(), "computes bfloat16": cpu_computes_bfloat16(),
        "system": platform.platform(), **library_versions(),
    }  # fmt: skip


def parse_arguments(description: str, rounds: int) -> argparse.Namespace:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help="how often everything is run")
    parser.add_argument("--json", type=Path, help="where the samples go")
    return parser.parse_args()


def save_json(path: Path | None, samples: dict[str, list[Sample]], **facts: Any) -> None:  # noqa: ANN401 (any JSON)
    """Writes every sample and what it was measured on."""
    if path is not None:
        listed = {name: [asdict(sample) for sample in values] for name, values in samples.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"machine": machine(), "samples": listed, **facts}, indent=1)
        path.write_text(text + "\n", encoding="utf-8")

"""What ``videoseq.evaluate`` returns: numbers for programs, a table, and the report for people."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoseq.errors import ConfigError
from videoseq.evaluation.metrics_json import headline_values
from videoseq.evaluation.model_evaluation import ModelEvaluation
from videoseq.evaluation.results import MODEL, Evaluation
from videoseq.jobs.events import Listener
from videoseq.report.evaluation_files import write_evaluation
from videoseq.report.mistakes import read_mistakes

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class EvaluationResult:
    """A model's numbers next to those of its baselines.

    Attributes:
        measured: Everything that was measured, and on what.
        listener: Hears how far the reading of images for the report is.

    Example:
        >>> table = videoseq.evaluate("model", "clips").to_pandas()
        >>> table.index.tolist()
        ['model', 'no context', 'majority class']
    """

    measured: ModelEvaluation
    listener: Listener

    def __repr__(self) -> str:
        clips, accuracy = self.evaluation.clips, self.evaluation.metrics[MODEL].headline["accuracy"].value
        value = "" if accuracy is None else f", accuracy {accuracy:.3f}"
        return f"EvaluationResult({len(clips)} videos, {sum(len(clip.seconds) for clip in clips)} frames{value})"

    @property
    def evaluation(self) -> Evaluation:
        """The numbers as objects."""
        return self.measured.evaluation

    @property
    def metrics(self) -> dict[str, Any]:
        """The numbers as plain values: what ``metrics.json`` holds (docs/metrics.md)."""
        return self.measured.as_dict()

    def to_pandas(self) -> pd.DataFrame:
        """A pandas table of the headline numbers: a row for the model and one for each baseline.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise ConfigError('to_pandas: pandas is not installed: pip install "videoseq[pandas]"') from None
        return pd.DataFrame({name: headline_values(one) for name, one in self.evaluation.metrics.items()}).transpose()

    def write_report(self, out: str | os.PathLike[str], *, images: bool = True) -> None:
        """Writes ``metrics.json`` and ``report.html`` into a folder, which is made.

        Args:
            out: The folder.
            images: Whether the report shows frames of the longest mistakes, for which their videos are decoded.

        Raises:
            OutputError: A file cannot be written.
        """
        write_evaluation(
            self.measured, Path(out), read_mistakes(self.evaluation.clips, self.listener) if images else None
        )

"""What ``evaluate`` shows of two annotators: how far they agree, class by class, and what they confuse most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .console import percent, table

if TYPE_CHECKING:
    from pathlib import Path

    from videoseq.evaluation.inter_annotator import Agreement
    from videoseq.evaluation.metrics import Estimate

_ROWS = {
    "kappa": "Cohen's kappa",
    "accuracy": "same class %",
    "macro_f1": "macro F1 %",
    "edit": "edit score %",
    "f1_at_10": "segment F1@10 %",
    "f1_at_25": "segment F1@25 %",
    "f1_at_50": "segment F1@50 %",
    "onset_error_seconds": "onsets differ by, s",
    "offset_error_seconds": "ends differ by, s",
}
_NUM_CONFUSIONS = 2


def agreement_screen(agreement: Agreement, sources: tuple[Path, Path]) -> list[str]:
    """The lines for a terminal; ``sources`` are those of the targets and of the labels, which stand as B and as A."""
    headline = agreement.metrics.headline
    rows = [[title, _with_interval(headline[name], is_share=title.endswith("%"))] for name, title in _ROWS.items()]
    return [
        f"A: {sources[1]}",
        f"B: {sources[0]}",
        "",
        *table(["", "A and B"], rows),
        *_coverage(agreement),
        "",
        *_classes(agreement),
        *_confusions(agreement),
    ]


def _coverage(agreement: Agreement) -> list[str]:
    metrics = agreement.metrics
    drawn = f"{metrics.num_resampled} {metrics.resampled}"
    note = f"95 % intervals over {drawn}" if metrics.num_resampled > 1 else f"no intervals from {drawn[:-1]}"
    videos = "video" if metrics.num_videos == 1 else "videos"
    lines = [f"{metrics.num_frames} frames that both labelled, in {metrics.num_videos} {videos}; {note}"]
    only = (agreement.labels.num_only_frames, agreement.targets.num_only_frames)
    if any(only):
        hint = "" if agreement.background else "; if what is left empty is a class, name it with --background"
        lines.append(f"not compared: {only[0]} frames that only A labelled, {only[1]} that only B did{hint}")
    return lines


def _classes(agreement: Agreement) -> list[str]:
    """A row a class: all that each wrote down, and how far the ends of bouts that they share are apart."""
    header = ["", "F1 %", "frames A", "frames B", "bouts A", "bouts B", "onset A − B, s", "end A − B, s"]
    rows = []
    for name in agreement.classes:
        sides, bouts = (agreement.labels, agreement.targets), agreement.metrics.bouts.get(name)
        rows.append(
            [
                name,
                percent(agreement.metrics.per_class[name].f1),
                *(str(side.num_frames[name]) for side in sides),
                *(str(side.num_bouts.get(name, "–")) for side in sides),
                _signed(bouts.onset_bias_seconds if bouts else None),
                _signed(bouts.offset_bias_seconds if bouts else None),
            ]
        )
    return table(header, rows)


def _confusions(agreement: Agreement) -> list[str]:
    """The pairs of classes that most frames go to."""
    classes, metrics = agreement.classes, agreement.metrics
    cells = [
        (count, classes[row], classes[column])
        for row, counts in enumerate(metrics.confusion)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    return [
        f"{count} frames ({percent(count / metrics.num_frames)} %) are {a!r} to A and {b!r} to B"
        for count, b, a in sorted(cells, key=lambda cell: -cell[0])[:_NUM_CONFUSIONS]
    ]


def _with_interval(estimate: Estimate, *, is_share: bool) -> str:
    def show(value: float | None) -> str:
        return percent(value) if is_share or value is None else f"{value:.2f}"

    if estimate.low is None:
        return show(estimate.value)
    return f"{show(estimate.value)} ({show(estimate.low)} to {show(estimate.high)})"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"

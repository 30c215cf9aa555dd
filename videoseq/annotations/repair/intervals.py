"""Intervals compared with each other and with the video: pairs, order, end, overlaps, gaps."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator

import numpy as np

from videoseq.annotations.repair.table import Finding, Row, Table, listed, named
from videoseq.annotations.targets import frames_in


def check_pairs(table: Table) -> Iterator[Finding]:
    """Starts without a stop, and stops without a start."""
    open_ended = [row for row in table.rows if row.label and math.isnan(row.stop) and not math.isnan(row.start)]
    if open_ended:
        fix = "stop where the next row starts, or else at the video's end"
        yield Finding("unpaired_start", f"{named(open_ended)}: a start without a stop", fix, is_error=True)
        starts = sorted(row.start for row in table.rows if not math.isnan(row.start))
        for row in open_ended:
            later = starts[bisect_right(starts, row.start) :]
            row.stop = later[0] if later else max(table.end, row.start)
    orphans = [row for row in table.rows if row.label and math.isnan(row.start) and not math.isnan(row.stop)]
    if orphans:
        yield Finding("unpaired_start", f"{named(orphans)}: a stop without a start", "drop the rows", is_error=True)
        table.drop(orphans)


def check_direction(table: Table) -> Iterator[Finding]:
    """Intervals that stop before they start."""
    rows = [row for row in table.labeled if row.stop < row.start]
    if rows:
        yield Finding("reversed", f"{named(rows)}: stops before it starts", "swap start and stop", is_error=True)
    for row in rows:
        row.start, row.stop = row.stop, row.start


def check_end(table: Table) -> Iterator[Finding]:
    """Intervals that start or stop after the video."""
    if table.past_end == "keep":
        return
    tolerance = table.one_frame if table.unit == "seconds" else 0
    late = [row for row in table.labeled if row.start >= table.end]
    long = [row for row in table.labeled if row.start < table.end and row.stop > table.end + tolerance]
    is_elsewhere = table.past_end == "report" and len(late) == len(table.labeled)
    if late and table.past_end == "report":
        text = f"{named(late)}: starts after the video, which ends at {table.end_text}; is it another video's file?"
        yield Finding("rows_past_end", text, "" if is_elsewhere else "drop the rows", is_error=True)
    if long and table.past_end == "report":
        text = f"{named(long)}: stops after the video, which ends at {table.end_text}"
        yield Finding("rows_past_end", text, "stop at the video's end", is_error=False)
    table.drop([] if is_elsewhere else late)
    for row in long:
        row.stop = table.end


def check_length(table: Table) -> Iterator[Finding]:
    """Intervals that cover no frame."""
    within = [row for row in table.labeled if row.start < table.end]
    empty = [row for row in within if row.stop == row.start]
    if empty:
        yield Finding("empty_interval", f"{named(empty)}: stops where it starts", "drop the rows", is_error=True)
    frames = {row: frames_in(row.interval, table.unit, table.seconds) for row in within if row.stop > row.start}
    short = [row for row, covered in frames.items() if covered.start == covered.stop]
    if short:
        yield Finding("empty_interval", f"{named(short)}: too short to cover a frame", "drop the rows", is_error=False)
    table.drop([*empty, *short])


def check_overlaps(table: Table) -> Iterator[Finding]:
    """Intervals that overlap: a frame has one label, or with behaviors that overlap each label once."""
    pairs: dict[str, list[tuple[Row, Row]]] = {"cut": [], "tied": [], "joined": []}
    kept_rows: dict[str, Row] = {}
    for row in [] if table.is_per_frame else table.labeled:
        track = row.label if table.is_multilabel else ""
        kept = kept_rows.get(track)
        if kept is None or row.start >= kept.stop - 1e-9:
            kept_rows[track] = row
        elif row.label == kept.label:
            pairs["joined"].append((kept, row))
            kept.stop = max(kept.stop, row.stop)
        else:
            pairs["tied" if row.start == kept.start else "cut"].append((kept, row))
            kept.stop = row.start if row.start > kept.start else kept.stop
            kept_rows[track] = row
    for what, text, fix in (
        ("cut", "different labels overlap, and a frame has one", "the later start wins, the earlier row stops there"),
        ("tied", "different labels start together, and a frame has one; keep one of them", ""),
        ("joined", "intervals of one label overlap", "join them"),
    ):
        if found := pairs[what]:
            where = listed([f"{a.line}/{b.line}" for a, b in found])
            yield Finding("overlap", f"rows {where}: {text}", fix, is_error=what != "joined")
    table.drop(row for _, row in pairs["joined"])


def check_gaps(table: Table) -> Iterator[Finding]:
    """Frames that no row covers, if that makes them unlabeled."""
    if table.is_multilabel and not table.is_per_frame:
        return
    is_covered = np.zeros(len(table.seconds), dtype=bool)
    for row in table.complete:
        is_covered[frames_in(row.interval, table.unit, table.seconds)] = True
    if not is_covered.all():
        count = f"{np.count_nonzero(~is_covered)} of {len(is_covered)} frames"
        text = f"{count} are in no row, the first is frame {is_covered.argmin()}; they count as unlabeled"
        yield Finding("gap_unlabeled", text, "", is_error=False)


def check_times(table: Table) -> Iterator[Finding]:
    """Times in seconds for a video of variable rate."""
    if table.unit == "seconds" and table.is_variable:
        text = (
            f"the video's frame rate is variable: times computed as frame / {table.fps:.5g} would be off by up to "
            f"{table.drift_seconds * 1000:.0f} ms; use the times of the frames"
        )
        yield Finding("variable_rate_drift", text, "", is_error=False)

"""How rows were counted: numbers, spelling, frames from 1, stops that are included, another frame rate."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from videoseq.annotations.formats.csv_table import parse_number
from videoseq.annotations.repair.table import Finding, Row, Table, named
from videoseq.annotations.types import folded

_SAME_RATIO = 0.005  # within half a percent; 24 and 23.976 are thus one rate
_CERTAIN_HOLES = 3  # that many one-frame holes, and nothing but them, are no accident


def check_numbers(table: Table) -> Iterator[Finding]:
    """Cells that are no numbers; the others are read into the rows."""
    wrong = []
    for row in table.rows:
        cells = [row.cells.get(column, "") for column in table.columns]
        values = [parse_number(column, cell) for column, cell in zip(table.columns, cells, strict=True)]
        bad = [c for c, v in zip(cells, values, strict=True) if v is None and (c or not any(cells))]
        if not bad:
            numbers = [math.nan if value is None else value for value in values]
            row.start, row.stop = numbers if len(numbers) == 2 else (numbers[0], numbers[0] + 1)
        elif row.label or table.is_per_frame:  # nothing reads the numbers of an unlabeled interval
            wrong.append((row, bad[0]))
    if wrong:
        kind = "frame numbers" if table.unit == "frames" else "seconds as numbers"
        text = f"{named(row for row, _ in wrong)}: expected {kind}, 0 or more, got {wrong[0][1]!r}"
        yield Finding("not_a_number", f"{text}; correct the cells by hand", "", is_error=True)


def check_spelling(table: Table) -> Iterator[Finding]:
    """Labels that differ by case, blanks or the encoding of accents alone; comes before what compares labels."""
    counts = Counter(row.label for row in table.rows if row.label)
    chosen: dict[str, str] = {}
    for label, _ in counts.most_common():
        chosen.setdefault(folded(label), label)
    for label in counts:
        kept = chosen[folded(label)]
        if kept != label:
            rows = [row for row in table.rows if row.label == label]
            text = f"{named(rows)}: {label!r} and {kept!r} differ by case, blanks or the encoding of accents alone"
            yield Finding("alike_labels", text, f"write {kept!r}, which is there more often or first", is_error=True)
            for row in rows:
                row.label = kept


def check_duplicates(table: Table) -> Iterator[Finding]:
    """Frames that are in two rows."""
    if not table.is_per_frame:
        return
    first: dict[float, Row] = {}
    twins = [row for row in table.rows if first.setdefault(row.start, row) is not row and not math.isnan(row.start)]
    same = [row for row in twins if first[row.start].label == row.label]
    if same:
        text = f"{named(same)}: the frame stands in an earlier row already, with the same label"
        yield Finding("duplicate_frame", text, "drop the rows", is_error=True)
    other = [row for row in twins if first[row.start].label != row.label]
    if other:
        text = f"{named(other)}: the frame stands in an earlier row already, with another label"
        yield Finding("duplicate_frame", f"{text}; a frame has one label, keep one", "", is_error=True)
    table.drop(same)


def check_stops(table: Table) -> Iterator[Finding]:
    """Stops that are the last frame instead of the one after it."""
    rows = [row for row in table.complete if row.stop >= row.start]
    is_adjoining = all(b.start == a.stop + 1 for a, b in pairwise(rows))
    if table.unit == "seconds" or table.is_per_frame or len(rows) < 2 or not is_adjoining:
        return
    first, last = rows[0].start, rows[-1].stop
    if last == table.end - 1 or (first == 1 and last == table.end) or len(rows) > _CERTAIN_HOLES:
        text = f"{named(rows)}: each starts one frame after the stop before it, as if the stop were the last frame"
        yield Finding("stop_inclusive", f"{text}; stop_frame is not included", "add 1 to stop_frame", is_error=True)
        table.move(0, 1)


def check_first_frame(table: Table) -> Iterator[Finding]:
    """Frames counted from 1."""
    numbers = table.numbers
    if table.unit == "seconds" or not numbers or max(numbers) != table.end + 1:
        return
    if min(numbers) == 1 or (table.is_per_frame and min(numbers) > 0):
        rows = [row for row in table.rows if table.end + 1 in (row.start, row.stop)]
        text = f"{named(rows)}: expected frames from 0 to {table.end - 1}, got none with 0 and one more at the end"
        yield Finding("frames_from_one", f"{text}; they seem to count from 1", "subtract 1", is_error=True)
        table.move(-1, -1)


def check_rate(table: Table) -> Iterator[Finding]:
    """Times or frames counted at another frame rate than the video's, so that labels drift."""
    last = max(table.numbers, default=0.0)
    ratio, fps = _nearest_rate(table, last / table.end)
    is_past_end = last > table.end + table.one_frame
    has_several_past_end = is_past_end and sum(row.start > table.end for row in table.rows) > 1
    if not ratio or not (has_several_past_end or _is_unbroken(table, last)):  # one row alone may be a slip of the pen
        return
    drift = abs(last - last / ratio) / (1.0 if table.unit == "seconds" else table.fps) * 1000
    rows = [row for row in table.rows if last in (row.start, row.stop)]
    text = (
        f"{named(rows)}: expected the labels to end by {table.end_text}, got {last:.12g}, as if counted at {fps:.5g} "
        f"frames a second; the video has {table.fps:.5g}, so that labels drift by {drift:.0f} ms at the end"
    )
    if not is_past_end:
        text = text.replace("to end by", "to end at").replace("so that labels drift", "so that labels may drift")
        yield Finding("rate_mismatch", text, "", is_error=False)
    elif table.is_variable:  # no single ratio corrects what was counted at another rate
        table.past_end = "keep"
        yield Finding("rate_mismatch", f"{text}; it is variable, label it by its own times", "", is_error=True)
    else:
        table.past_end = "cut"
        yield Finding("rate_mismatch", text, f"divide by {ratio:.6g} and cut at the video's end", is_error=True)
        _rescale(table, ratio)


def _nearest_rate(table: Table, ratio: float) -> tuple[float, float]:
    """The ratio that explains where the labels end, and the rate they were counted at; zeros where none does."""
    ratios = [((table.fps / fps if table.unit == "seconds" else fps / table.fps), fps) for fps in table.usual_fps]
    near = [pair for pair in ratios if abs(ratio / pair[0] - 1) <= _SAME_RATIO < min(abs(pair[0] - 1), abs(ratio - 1))]
    return min(near, key=lambda pair: abs(ratio - pair[0]), default=(0.0, 0.0))


def _is_unbroken(table: Table, last: float) -> bool:
    reached = 0.0
    for row in table.complete:
        if row.start > reached + table.one_frame:
            return False
        reached = max(reached, row.stop)
    return reached + table.one_frame >= last > 0


def _rescale(table: Table, ratio: float) -> None:
    rows, digits = table.complete, 6 if table.unit == "seconds" else 0
    for row in table.rows:
        row.start, row.stop = round(row.start / ratio, digits), round(row.stop / ratio, digits)
    if table.is_per_frame:
        # Of the rows that fall on one frame the last stays: labels then change where those of intervals would.
        last = {row.start: row for row in rows}
        table.drop(row for row in rows if last[row.start] is not row)
        for row in table.rows:
            row.stop = row.start + 1

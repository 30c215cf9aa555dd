"""How much of each class a run found: a table that is gone or another one is left out, and stops nothing."""

from __future__ import annotations

from videoseq.jobs.class_counts import ClassCounts
from videoseq.jobs.result import Result


def test_tables_are_added_and_what_cannot_be_read_is_left_out(tmp_path):
    header = "start_s,stop_s,start_frame,stop_frame,label,confidence\n"
    (tmp_path / "a.mp4.segments.csv").write_text(f"{header}0,1,0,10,walk,1\n1,4,10,40,rest,1\n4,5,40,50,walk,1\n")
    (tmp_path / "other.mp4.segments.csv").write_text("start_frame,stop_frame\n0,ten\n")
    (tmp_path / "half.mp4.segments.csv").write_text(f"{header}0,1,0,10,walk,1\n1,2,10,x,rest,1\n")
    counts = ClassCounts(tmp_path)
    for name in ("a", "moved", "other", "half"):
        outputs = {f"{name}.mp4.frames.csv": "", f"{name}.mp4.segments.csv": ""}
        counts.add(Result(f"{name}.mp4", "complete", num_frames=50, outputs=outputs))
    counts.add(Result("bad.mp4", "failed", "not_found"))
    assert (counts.num_frames, counts.frames, counts.segments) == (50, {"walk": 20, "rest": 30}, {"walk": 2, "rest": 1})
    assert counts.shares() == {"rest": 0.6, "walk": 0.4}

"""Progress over many files: what is counted, and what a listener hears of it."""

from __future__ import annotations

from videoseq.jobs.events import Listener, Progress
from videoseq.jobs.progress import FileProgress, clock_time, each_file


class Recorder(Listener):
    """Keeps all progress that it hears."""

    def __init__(self) -> None:
        self.heard: list[Progress] = []

    def on_progress(self, progress: Progress) -> None:
        self.heard.append(progress)


def test_files_and_frames_are_counted_over_all_files():
    now = [0.0]
    progress = FileProgress[str](Recorder(), 5, "labels", lambda: now[0])
    progress.skip()
    progress.show("0.mp4", 100, 0.0)
    now[0] = 10.0
    progress.show("0.mp4", 300, 0.5)
    progress.show("1.mp4", 100, 0.5)
    assert progress.text == "1/5 files, 400 frames, 30 fps, 0:00:30 left"
    progress.end("0.mp4", 500)
    progress.end("1.mp4", has_failed=True)
    now[0] = 30.0
    progress.show("2.mp4", 50, 0.0)
    progress.show("2.mp4", 60, 0.0)
    assert progress.text == "3/5 files, 660 frames, 19 fps, 1 failed, 0:00:30 left"
    assert progress.facts == {
        "files_done": 3, "files": 5, "frames": 660, "frames_per_second": 18.7, "failed": 1, "seconds_left": 30.0
    }  # fmt: skip


def test_a_stage_ends_with_its_last_file_and_not_with_its_last_frame():
    recorder = Recorder()
    for _, show in each_file(["one.mp4", "two.mp4"], 2, "labels", recorder):
        show(10, 1.0)
    ended = [progress.num_done == progress.num_total for progress in recorder.heard]
    assert ended == [False] * (len(ended) - 1) + [True]
    assert recorder.heard[-1].note.startswith("2/2 files, 20 frames")


def test_a_stage_that_is_stopped_ends_with_what_was_done():
    recorder = Recorder()
    with FileProgress[str](recorder, 3, "labels") as progress:
        progress.skip(has_failed=True)
    assert (recorder.heard[-1].num_done, recorder.heard[-1].num_total) == (1, 1)


def test_times_are_shown_as_on_a_clock():
    assert list(map(clock_time, (0, 59.6, 3599, 360000))) == ["0:00:00", "0:01:00", "0:59:59", "100:00:00"]

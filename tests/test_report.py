"""What people look at: timelines show what they are given, pages are inert whatever the names in them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np

from videoseq.annotations import IGNORE_INDEX, ClassNames
from videoseq.errors import Notice
from videoseq.evaluation import MAJORITY, MODEL, NO_CONTEXT, Evaluation
from videoseq.metrics import LabelledVideo, compare, measure
from videoseq.report.page import render_model_card, render_report
from videoseq.report.timeline import Band, draw_timeline, save_png, to_svg
from videoseq.training import EpochRecord

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</svg></title>$x_1$ & é"]


def make_page(names: list[str]) -> str:
    classes = ClassNames(names)
    targets = np.array([0, 0, 1, 1, 2, IGNORE_INDEX])
    labels = np.array([0, 1, 1, 1, 2, 2])
    clips = [LabelledVideo(f"{name}.mp4", name, np.arange(6) / 5, 1.2, targets, labels) for name in names[:2]]
    measured = measure(clips, classes, background=names[2])
    labellers = (MODEL, NO_CONTEXT, MAJORITY)
    evaluation = Evaluation(
        dict.fromkeys(labellers, measured.metrics),
        tuple(clips),
        dict.fromkeys(labellers, measured.videos),
        compare(measured, measured),
        names[2],
    )
    notices = [Notice("labels_past_end", f"{names[1]}: row 3")]
    history = [EpochRecord(0, 1.5, None, 1e-3), EpochRecord(1, 0.5, 0.7, 1e-4)]
    return render_report(f"Model {names[2]}", evaluation, classes, {"dataset": Path(names[1])}, notices, history)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_shows_its_numbers():
    page = make_page(["calm", "busy", "gone"])
    assert "80.0" in page  # 4 of 5 labelled frames are right
    assert "80.0 (80.0 to 80.0)" in page  # both clips are alike
    assert "0.0 (0.0 to 0.0)</td><td>1.0000</td>" in page  # a model that is its own baseline
    for words in (
        "no context",
        "majority class",
        "labels_past_end",
        "calm.mp4: 80.0 % right",
        "0.7000",
        "segment F1@50",
    ):
        assert words in page


def test_hostile_names_stay_text_and_nothing_is_fetched():
    tags = Tags()
    tags.feed(make_page(HOSTILE))
    assert not {"script", "img", "iframe", "link", "object"} & {tag for tag, _ in tags.found}
    for tag, attributes in tags.found:
        assert not [name for name in attributes if name.startswith("on")], tag
        address = attributes.get("href") or attributes.get("xlink:href") or attributes.get("src") or "#"
        assert address.startswith("#"), (tag, address)


def test_a_timeline_shows_each_run_in_its_place(tmp_path):
    """Read back from the picture: dark blue, then sand, then nothing where unlabelled."""
    band = Band("truth", np.arange(30) / 10, 3.0, np.repeat([0, 1, IGNORE_INDEX], 10))
    save_png(draw_timeline([band], ClassNames(["a", "b"]), "title"), tmp_path / "t.png")
    picture = cv2.imread(str(tmp_path / "t.png"))[..., ::-1].astype(int)
    colours = {"a": (0x33, 0x22, 0x88), "b": (0xDD, 0xCC, 0x77)}
    rows = {name: np.abs(picture - colour).sum(axis=2) < 12 for name, colour in colours.items()}
    middle = int(np.argmax(rows["a"].sum(axis=1)))
    a, b = np.flatnonzero(rows["a"][middle]), np.flatnonzero(rows["b"][middle])
    assert abs(len(a) - len(b)) <= 2
    assert 0 <= b.min() - a.max() <= 2
    assert (picture[middle, b.max() + 5 : b.max() + len(b) - 5] == 255).all()


def test_a_timeline_is_the_same_bytes_again_and_valid_xml(tmp_path):
    band = Band(HOSTILE[0], np.arange(30) / 10, 3.0, np.repeat([0, 1, 2], 10))
    figures = [draw_timeline([band], ClassNames(HOSTILE), HOSTILE[1]) for _ in range(2)]
    texts = [to_svg(figure) for figure in figures]
    assert texts[0] == texts[1]
    ET.fromstring(texts[0])
    for name, figure in zip("ab", figures, strict=True):
        save_png(figure, tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_one_frame_and_no_label_can_be_drawn():
    draw_timeline([Band("x", np.zeros(1), 0.04, np.array([IGNORE_INDEX]))], ClassNames(["a"]), "")


def test_the_model_folder_has_a_page_and_a_card(model_folder):
    page = (model_folder / "report.html").read_text(encoding="utf-8")
    card = (model_folder / "README.md").read_text(encoding="utf-8")
    assert re.search(r"<td>head</td><td>gru, 1 × 16 units</td>", page)
    assert "one of: bright, dark" in card
    assert "refitted_on_all_clips" in page


def test_the_card_takes_only_what_it_shows():
    card = render_model_card(classes=("a", "b"), facts={"seed": 3}, measured_on="the test clips", metrics={})
    assert "| seed | 3 |" in card

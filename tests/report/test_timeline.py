"""What people look at: timelines show what they are given, pages are inert whatever the names in them."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from pipelines.__main__ import app
from tests.support.report_builders import evaluated, labeled, make_page
from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.evaluation.metrics import LabeledVideo
from videoseq.inference.drawing import COLORS, color_of, hatch_of, plain, visible
from videoseq.report import curves
from videoseq.report.drawing import to_svg
from videoseq.report.html import render_model_card, render_report
from videoseq.report.timeline import Band, draw_comparison, draw_timeline, save_png
from videoseq.training.fit_job import EpochRecord

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</svg></title>$x_1$ & é"]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_shows_its_numbers():
    page = make_page(["calm", "busy", "gone"])
    assert "80.0" in page  # 4 of 5 labeled frames are right
    assert "95 %: 80.0 to 80.0" in page  # both clips are alike
    assert re.search(r"<td>0.0\s*<span class=\"range\">0.0 to 0.0</span>\s*</td></tr>", page)  # its own baseline
    for words in (
        "no context",
        "majority class",
        "labels_past_end",
        "80.0 % right",
        "0.7000",
        "segment F1@50",
    ):
        assert words in page


def test_each_turn_of_a_cross_validation_is_shown():
    page = make_page(["calm", "busy", "gone"])
    assert "<bdi>calm, busy</bdi></th><td>777</td><td>62.5</td><td>43.2</td><td>–</td><td>–</td>" in page


def test_each_group_is_shown_by_itself_the_worst_first():
    """Unless each video is a group of its own: then the table of videos says the same."""
    targets, classes = [0, 0, 1, 1], ClassNames(["calm", "busy"])
    answers = {"good": targets, "bad": [0, 1, 0, 1]}
    videos = [labeled(f"{n}.mp4", targets, answers[n[:-1]], group=n[:-1]) for n in ("good1", "good2", "bad1")]
    page = render_report("Model", evaluated(videos, classes), classes, {}, [])
    bad, good = (
        f"<bdi>{name}</bdi></th><td>{value}</td><td>{value}</td>"
        for name, value in (("bad", "50.0"), ("good", "100.0"))
    )
    assert 0 < page.index(bad) < page.index(good)
    alone = render_report("Model", evaluated(videos[1:], classes), classes, {}, [])
    assert "Each group by itself" in page
    assert "Each group by itself" not in alone


def test_hostile_names_stay_text_and_nothing_is_fetched():
    tags = Tags()
    tags.feed(make_page(HOSTILE))
    assert not {"script", "img", "iframe", "link", "object"} & {tag for tag, _ in tags.found}
    for tag, attributes in tags.found:
        assert not [name for name in attributes if name.startswith("on")], tag
        address = attributes.get("href") or attributes.get("xlink:href") or attributes.get("src") or "#"
        assert address.startswith("#"), (tag, address)


def test_a_timeline_shows_each_run_in_its_place(tmp_path):
    """Read back from the picture: dark blue, then sand, then nothing where unlabeled."""
    band = Band("truth", np.arange(30) / 10, 3.0, np.repeat([0, 1, IGNORE_INDEX], 10))
    save_png(draw_timeline([band], ClassNames(["a", "b"]), "title"), tmp_path / "t.png")
    picture = cv2.imread(str(tmp_path / "t.png"))[..., ::-1].astype(int)
    colors = {"a": (0x33, 0x22, 0x88), "b": (0xDD, 0xCC, 0x77)}
    rows = {name: np.abs(picture - color).sum(axis=2) < 12 for name, color in colors.items()}
    middle = int(np.argmax(rows["a"].sum(axis=1)))
    a, b = np.flatnonzero(rows["a"][middle]), np.flatnonzero(rows["b"][middle])
    assert abs(len(a) - len(b)) <= 2
    assert 0 <= b.min() - a.max() <= 2
    assert (picture[middle, b.max() + 5 : b.max() + len(b) - 5] == 255).all()


def test_a_timeline_is_the_same_bytes_again_and_valid_xml(tmp_path):
    band = Band(HOSTILE[0], np.arange(30) / 10, 3.0, np.repeat([0, 1, 2], 10))
    figures = [draw_timeline([band], ClassNames(HOSTILE), HOSTILE[1]) for _ in range(2)]
    texts = [to_svg(figure, HOSTILE[2], "a") for figure in figures]
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
    assert re.search(r"<th scope=\"row\">head</th><td>gru, 1 × 16 units</td>", page)
    assert "one of: bright, dark" in card
    assert "refitted_on_all_clips" in page
    assert "All settings" in page
    assert "What was annotated" in page
    assert "Loss of each epoch" in page
    assert "<img" not in page  # a model is passed on; people's pictures are not, unless asked for


@pytest.mark.slow
def test_evaluate_shows_mistakes_unless_told_not_to(model_folder, light_dataset, tmp_path):
    """The truth is turned round, so that all is wrong."""
    for name in ("clip0", "clip1"):
        shutil.copy(light_dataset / f"{name}.mp4", tmp_path)
        text = (light_dataset / f"{name}.csv").read_text().replace("dark", "?").replace("bright", "dark")
        (tmp_path / f"{name}.csv").write_text(text.replace("?", "bright"))
    for option, num_images in (("--images", 4), ("--no-images", 0)):
        out = tmp_path / option
        given = ["evaluate", model_folder, tmp_path, "--out", out, "--cache", tmp_path / "cache", "--quiet", option]
        assert CliRunner().invoke(app, [str(one) for one in given]).exit_code == 0
        page = (out / "report.html").read_text(encoding="utf-8")
        assert page.count('src="data:image/jpeg;base64,') == num_images
        assert "Nothing is unusual" not in page


def test_the_card_takes_only_what_it_shows():
    card = render_model_card(classes=("a", "b"), facts={"seed": 3}, measured_on="the test clips", metrics={})
    assert "| seed | 3 |" in card


def test_every_labeler_has_its_column_and_its_bar():
    classes = ClassNames(["a", "b", "c"])
    videos = [labeled(f"{n}.mp4", [0, 0, 1, 1, 2], [0, 1, 1, 1, 2]) for n in range(3)]
    blind = [labeled(video.name, list(video.targets), [0, 0, 0, 0, 0]) for video in videos]
    evaluation = evaluated(videos, classes, blind=blind, previous=videos)
    page = render_report("t", evaluation, classes, {}, [])
    assert '<th scope="col"><bdi>previous model</bdi></th>' in page
    assert page.count("<dt>previous model</dt>") == 4
    assert re.findall(r">(model − [^<]+)<", page) == ["model − no context", "model − previous model"]
    assert page.count("<dt>model</dt>") == 0


def test_the_worst_video_stands_first_and_links_to_its_timeline():
    videos = [labeled("good.mp4", [0, 1, 2], [0, 1, 2]), labeled("bad.mp4", [0, 1, 2], [1, 1, 0])]
    page = render_report("t", evaluated(videos, ClassNames("abc")), ClassNames("abc"), {}, [])
    table = page[page.index('id="videos"') :]
    assert table.index("bad.mp4") < table.index("good.mp4")
    assert '<a href="#video-2"><bdi>bad.mp4</bdi></a>' in table
    assert 'id="video-2"' in table


def test_no_id_stands_twice_and_every_reference_leads_somewhere():
    page = make_page([f"class {n}" for n in range(12)])  # more than there are colors: hatches have ids
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    references = re.findall(r'(?:href="#|url\(#|aria-labelledby=")([^")]+)', page)
    assert set(references) <= set(ids)
    assert any("-svg-" in reference for reference in references)


def test_accuracy_since_the_start_is_shown_where_there_is_more_than_one_span():
    video = labeled("long", [0] * 10, [0] * 5 + [1] * 5)
    page = render_report("t", evaluated([video], ClassNames("abc")), ClassNames("abc"), {}, [])
    assert re.search(r"0 to 1 s</th><td>5</td><td>100.0</td>.*1 to 5 s</th><td>5</td><td>0.0</td>", page, re.DOTALL)


@pytest.mark.slow
def test_more_than_forty_videos_are_all_in_the_table_and_the_worst_are_drawn():
    videos = [labeled(f"{n}.mp4", [0, 0, 1], [0, 0 if n % 2 else 1, 1]) for n in range(42)]
    page = render_report("t", evaluated(videos, ClassNames("abc")), ClassNames("abc"), {}, [])
    assert page.count('class="timeline"') == 40
    assert "and 2 more videos" in page
    assert all(f"<bdi>{n}.mp4</bdi>" in page for n in range(42))


def test_what_turns_or_hides_text_is_shown():
    assert visible("a\u202eb\x1b\ud800") == "a\\u202eb\\x1b\\ud800"
    assert visible("می\u200cخواهم 猫 é") == "می\u200cخواهم 猫 é"
    assert plain("$x$") == r"\$x\$"
    assert len(plain("n" * 500)) < 40
    page = make_page(["a\u202eb", "c", "d"])
    assert "\u202e" not in page
    assert "a\\u202eb" in page


def test_classes_of_one_color_differ_in_their_hatch():
    looks = {(color_of(n), hatch_of(n)) for n in range(3 * len(COLORS))}
    assert len(looks) == 3 * len(COLORS)


def test_a_comparison_has_a_black_bar_where_labels_are_wrong(tmp_path):
    video = labeled("v", [0] * 10 + [1] * 10, [0] * 5 + [1] * 15)
    save_png(draw_comparison(video, ClassNames("abc")), tmp_path / "c.png")
    picture = cv2.imread(str(tmp_path / "c.png")).astype(int)
    black = (picture.sum(axis=2) == 0).sum(axis=1)
    width = 0.92 * picture.shape[1]
    thick = black[(black > 0.15 * width) & (black < 0.35 * width)]  # five frames of twenty; the axis is longer
    assert len(thick) > 5
    assert np.median(thick) == pytest.approx(width / 4, rel=0.05)


def test_a_long_video_makes_no_larger_picture():
    frames = np.arange(100_000)
    targets = frames // 7 % 2
    video = LabeledVideo("v", "v", frames / 25, 4000.0, targets, 1 - targets)
    assert len(to_svg(draw_comparison(video, ClassNames("ab")), "t", "k")) < 1_000_000


def test_letters_without_a_glyph_are_left_to_the_reader(recwarn):
    video = labeled("v", [0, 1], [0, 1], num_classes=2)
    text = to_svg(draw_comparison(video, ClassNames(["猫が寝る", "犬"])), "猫", "k")
    assert "猫が寝る" in text
    assert not recwarn.list


def test_precision_and_recall_are_drawn_for_every_class_that_occurs():
    video = labeled("v", [0, 0, 1, 1], [0, 1, 1, 1])
    figure = curves.draw_precision_recall([video], ClassNames(["a", "b", "never"]))
    assert figure is not None
    assert [line.get_label() for line in figure.axes[0].lines] == ["a", "b"]
    for line in figure.axes[0].lines:
        assert np.max(line.get_xdata()) == 1.0
    silent = LabeledVideo("v", "v", video.seconds, video.duration_seconds, video.targets, video.labels)
    assert curves.draw_precision_recall([silent], ClassNames(["a"])) is None


def test_learning_curves_leave_out_what_was_not_validated():
    history = [EpochRecord(0, 1.5, None, 1e-3), EpochRecord(1, 0.5, 0.7, 1e-4)]
    training, validation = curves.draw_learning_curves(history).axes[0].lines
    assert training.get_ydata().tolist() == [1.5, 0.5]
    assert (validation.get_xdata().tolist(), validation.get_ydata().tolist()) == ([1], [0.7])


def test_few_videos_have_no_p_values_and_short_ones_no_rates():
    targets = [0, 0, 1, 1, 2] * 100

    def page(number, num_frames):
        videos = [labeled(f"{n}.mp4", targets[:num_frames], targets[n:num_frames] + [0] * n) for n in range(number)]
        blind = [labeled(video.name, targets[:num_frames], [0] * num_frames) for video in videos]
        evaluation = evaluated(videos, ClassNames(["rest", "walk", "groom"]), blind=blind)
        return render_report("Model", evaluation, ClassNames(["rest", "walk", "groom"]), {}, [])

    few, many = page(5, 50), page(6, 500)  # 50 seconds, and ten minutes
    assert "No p-values: they need 6 videos, 5 were measured." in few
    assert few.count("No rate per hour: it needs 10 minutes of labeled video, 0.8 were measured.") == 2
    assert '<th scope="col">p</th>' not in few
    assert "per hour&nbsp;↓" not in few
    assert '<th scope="col">false alarms</th>' in few
    assert "No p-values" not in many
    assert "No rate per hour" not in many
    assert '<th scope="col">p</th>' in many
    assert "<td>0.0312</td>" in many  # of 2 ** 6 exchanges the one observed and its opposite
    assert "per hour&nbsp;↓" in many
    assert '<th scope="col">false alarms per hour</th>' in many

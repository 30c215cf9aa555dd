"""The report of a multilabel model: what is in it, what is not, and that hostile names do nothing in it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.browser import HOSTILE, Shown, run_browser
from tests.support.report_builders import FOLD
from videoseq.annotations.types import IGNORE_INDEX, ClassNames
from videoseq.data.statistics import ClassOverview
from videoseq.errors import Notice
from videoseq.evaluation.evaluate import evaluate_labels
from videoseq.evaluation.metrics import LabeledVideo
from videoseq.evaluation.metrics_json import FoldResult
from videoseq.evaluation.results import Evaluation
from videoseq.report.advice import advise
from videoseq.report.html import render_model_card, render_report
from videoseq.report.mistakes import NOT_THERE, wrong_spans
from videoseq.training.fit_job import EpochRecord

NAMES = ["groom", "rear", "sit"]


def clip(name: str, num_classes: int, *, shift: int = 2) -> LabeledVideo:
    """Classes that take twelve frames each of forty and overlap; labels come late; the last frames are unlabeled."""
    targets = np.zeros((40, num_classes), np.int64)
    labels = np.zeros_like(targets)
    for index in range(num_classes):
        start = 2 + 6 * (index % 4)
        targets[start : start + 12, index] = 1
        labels[start + shift : start + 12, index] = 1
    targets[35:] = IGNORE_INDEX
    probabilities = np.where(labels == 1, 0.8, 0.1).astype(np.float32)
    return LabeledVideo(name, name, np.arange(40) / 10, 4.0, targets, labels, probabilities)


@cache
def evaluation_of(*names: str) -> tuple[Evaluation, ClassNames]:
    classes = ClassNames(names)
    videos = [clip(f"{name}.mp4", len(names), shift=2 + row) for row, name in enumerate(names[:2])]
    blind = [clip(f"{name}.mp4", len(names), shift=7) for name in names[:2]]
    thresholds = dict.fromkeys(names, 0.35)
    return evaluate_labels(videos, blind, (0,), classes, thresholds=thresholds, previous=blind), classes


def page_of(names: list[str], image: bytes = b"") -> str:
    evaluation, classes = evaluation_of(*names)
    return render_report(
        f"Model {names[2]}",
        evaluation,
        classes,
        {"dataset": Path(names[1]), names[0]: names[1]},
        [Notice("intervals_overlap", f"{names[1]}: row 3")],
        [EpochRecord(0, 1.5, None, 1e-3), EpochRecord(1, 0.5, 0.7, 1e-4)],
        overview=[ClassOverview(name, 4, 2, 0.4, (names[0], names[1]), 0.1) for name in names],
        folds=[FoldResult((names[0], names[1]), {"model": FOLD | {"micro_f1": 0.5}, "no context": FOLD})],
        settings=f"data:\n  classes: [{names[2]}]\n",
        images={span: image for span in wrong_spans(evaluation.clips) if image},
    )


def test_it_shows_what_has_a_meaning_and_nothing_else():
    shown = Shown(page_of(NAMES)).text
    for words in ("Macro F1", "micro F1", "exact match", "threshold", "missed", "most frequent set", "0.35"):
        assert words in shown, words
    for words in ("classes are confused", "kappa", "edit score", "balanced accuracy", "Majority class"):
        assert words not in shown, words
    assert "Most frequent set” is the same label for every frame" in shown


def test_mistakes_are_of_one_class_each():
    """Late by two frames in the first class: a span that was missed; one that was made up is of no true class."""
    video = clip("a", 1)
    video.labels[30:34, 0] = 1
    missed, made_up = sorted(wrong_spans([video]), key=lambda span: span.start_frame)
    assert (missed.start_frame, missed.stop_frame, missed.target, missed.label) == (2, 4, 0, NOT_THERE)
    assert (made_up.start_frame, made_up.stop_frame, made_up.target, made_up.label) == (30, 34, NOT_THERE, 0)
    assert missed.confidence == pytest.approx(0.9)
    assert made_up.confidence == pytest.approx(0.1)


def test_advice_has_no_confusions_and_speaks_of_the_same_classes():
    evaluation, _ = evaluation_of(*NAMES)
    texts = " ".join(f"{one.action} {one.because}" for one in advise(evaluation, []))
    assert "boundaries" not in texts
    assert "Measure on 10 or more videos." in texts


def test_the_model_card_names_both_numbers():
    evaluation, classes = evaluation_of(*NAMES)
    card = render_model_card(
        classes=classes, facts={}, measured_on="the test clips", metrics=evaluation.metrics, is_multilabel=True
    )
    assert "| labeler | exact match % | macro F1 % | labeled frames |" in card
    assert "which of these classes are present, any number of them: groom, rear, sit." in card


def test_hostile_names_are_text_and_nothing_more():
    shown = Shown(page_of(HOSTILE))
    for name in HOSTILE:
        assert shown.text.count(name.replace("\u202e", "\\u202e").replace("\u2067", "\\u2067")) > 2, name
    tags = {tag for tag, _ in shown.tags}
    assert not tags & {"script", "iframe", "link", "object", "embed", "base", "form", "foreignobject"}
    assert not [name for _, attributes in shown.tags for name in attributes if name.startswith("on")]


@pytest.mark.slow
def test_in_a_browser_hostile_names_do_nothing_and_nothing_is_too_wide(visit, tmp_path):
    text = page_of(HOSTILE, cv2.imencode(".jpg", np.full((60, 80, 3), 90, np.uint8))[1].tobytes())
    seen = visit(text)
    assert "data-pwned=" not in seen.dom
    assert (seen.messages, seen.requests) == ([], [])
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    page.write_text(text, encoding="utf-8")
    run_browser(page, tmp_path / "profile", "--window-size=1100,12000", f"--screenshot={picture}")
    pixels = cv2.imread(str(picture))[..., ::-1].astype(int)
    assert (pixels[:, -4:] == 255).all()
    for color in ((0x33, 0x22, 0x88), (0xDD, 0xCC, 0x77), (0xDD, 0xDD, 0xDD)):
        assert (np.abs(pixels - color).sum(axis=2) < 12).sum() > 1_000

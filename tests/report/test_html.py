"""A report with hostile names in a real browser: what it shows, what it does not do, and what it asks for."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.browser import EFFECT, HOSTILE, Shown, Visit, run_browser
from tests.support.report_builders import make_page


@pytest.fixture(scope="module")
def hostile_page() -> str:
    picture = cv2.imencode(".jpg", np.full((60, 80, 3), (200, 60, 20), np.uint8))[1].tobytes()
    return make_page(HOSTILE, picture)


@pytest.fixture(scope="module")
def hostile_visit(visit, hostile_page) -> Visit:
    return visit(hostile_page)


def test_the_browser_does_tell_when_something_runs(visit):
    """The checks below see what they look for: a page that runs, that is hindered, and that asks."""
    policy = "<meta http-equiv=Content-Security-Policy content=\"script-src 'unsafe-inline'\">"
    seen = visit(f"<!doctype html>{policy}<script>{EFFECT};eval('1')</script><img src=http://evil.test/x.png>")
    assert 'data-pwned="1"' in seen.dom
    assert any("Content Security Policy" in message for message in seen.messages)
    assert seen.requests == ["http://evil.test/x.png"]


def test_hostile_names_do_nothing(hostile_visit):
    assert "<title>Model '/&gt;" in hostile_visit.dom
    assert "data-pwned=" not in hostile_visit.dom
    assert hostile_visit.messages == []
    assert hostile_visit.requests == []


def test_hostile_names_are_read_as_text(hostile_visit):
    shown = Shown(hostile_visit.dom)
    for name in HOSTILE:
        expected = name.replace("\u202e", "\\u202e").replace("\u2067", "\\u2067")
        assert shown.text.count(expected) > 2, name
    tags = {tag for tag, _ in shown.tags}
    assert not tags & {"script", "iframe", "link", "object", "embed", "base", "form", "foreignobject"}
    for tag, attributes in shown.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        address = attributes.get("href") or attributes.get("src") or "#"
        assert address.startswith(("#", "data:image/jpeg;base64,")), (tag, address)
        assert "evil" not in (attributes.get("style") or ""), tag


def test_the_page_can_be_read_without_seeing_it(hostile_visit):
    page = hostile_visit.dom
    tables = re.findall(r"<table.*?</table>", page, re.DOTALL)
    assert len(tables) >= 7
    for table in tables:
        assert re.search(r"<caption>\s*\S", table)
        headers = re.findall(r"<th\b[^>]*>", table)
        assert headers
        assert all("scope=" in header for header in headers)
    for drawing in re.findall(r"<svg\b[^>]*>(?:<title[^>]*>[^<]*)?", page):
        assert "aria-hidden" in drawing or ('role="img"' in drawing and re.search(r"<title[^>]*>\S", drawing)), drawing
    for tag, attributes in Shown(page).tags:
        assert tag != "img" or attributes["alt"]
    assert '<html lang="en">' in page


@pytest.mark.parametrize("width", [1100, 500])
def test_nothing_is_wider_than_the_window_and_the_bars_have_their_colors(width, hostile_page, tmp_path):
    """Names of any length: at the right edge there is paper, and bars are drawn."""
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    page.write_text(hostile_page, encoding="utf-8")
    run_browser(page, tmp_path / "profile", f"--window-size={width},12000", f"--screenshot={picture}")
    shown = cv2.imread(str(picture))[..., ::-1].astype(int)
    assert shown.shape[1] == width
    assert (shown[:, -4:] == 255).all()
    for color in ((0x33, 0x22, 0x88), (0xDD, 0xCC, 0x77)):
        assert (np.abs(shown - color).sum(axis=2) < 12).sum() > 1_000


def screenshot(page: Path, folder: Path, width: int, *options: str) -> np.ndarray:
    run_browser(
        page, folder / "profile", f"--window-size={width},6000", f"--screenshot={folder / 'page.png'}", *options
    )
    return cv2.imread(str(folder / "page.png"))[..., ::-1].astype(int)


@pytest.fixture(scope="module")
def plain_page(tmp_path_factory) -> Path:
    page = tmp_path_factory.mktemp("plain") / "report.html"
    page.write_text(make_page(["rest", "walk", "groom"]), encoding="utf-8")
    return page


def test_the_page_is_dark_where_the_reader_prefers_it(plain_page, tmp_path):
    shown = screenshot(plain_page, tmp_path, 700, "--blink-settings=preferredColorScheme=0")
    assert (shown[:, -4:] == (0x17, 0x17, 0x1B)).all()
    text = shown[: shown.shape[0] // 40]  # the headline
    assert (text.sum(axis=2) > 3 * 200).sum() > 300


@pytest.mark.parametrize(("width", "scrolls"), [(500, True), (1400, False)])
def test_a_table_that_is_cut_off_has_a_shadow_at_that_side(width, scrolls, plain_page, tmp_path):
    shown = screenshot(plain_page, tmp_path, width, "--blink-settings=preferredColorScheme=1")
    edge = 500 - 12 - 2 if scrolls else (1400 + 1024) // 2 - 20 - 2  # inside the padding of the page
    is_gray = (shown[:, edge].max(axis=1) - shown[:, edge].min(axis=1) < 4) & (shown[:, edge].mean(axis=1) < 215)
    assert (is_gray.sum() > 300) == scrolls

"""A report in a real browser: what it shows, runs and asks for."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
EFFECT = "document.title='pwned';document.documentElement.setAttribute('data-pwned','1')"
HOSTILE = [
    f"<script>{EFFECT}</script>",
    f'"><img src=x onerror="{EFFECT}">',
    f"'/><svg onload={EFFECT}><!--",
    "</title></style></svg></table></pre><base href=http://evil.test/><link rel=stylesheet href=http://evil.test/a.css>",
    "$x_1$ {{ 7 * 7 }} &amp; \\frac",
    "url(http://evil.test/b.png);}*{display:none}",
    "right\u202eto left\u2067\u200f",
    "very-" * 60 + "long",
    "javascript:" + EFFECT,
    "猫が寝る",
]


@dataclass(frozen=True)
class Visit:
    """What came of opening a page."""

    dom: str
    messages: list[str]
    requests: list[str]


def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail("the report is tested in a browser: expected chromium, found none; run `apt-get install chromium`")
    return found


def run_browser(page: Path, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Headless, with a profile to throw away, and where no name can be resolved."""
    command = [
        browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
        "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0",
        "--virtual-time-budget=2000", *options, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def requests_in(log: Path) -> list[str]:
    """The addresses that the page asked for, by Chromium's own log; what Chromium wants for itself has no origin."""
    events = [event.get("params", {}) for event in json.loads(log.read_text(encoding="utf-8"))["events"]]
    return sorted({event["url"] for event in events if event.get("initiator") not in (None, "not an origin")})


class Shown(HTMLParser):
    """The tags of a page, and the text outside styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data) -> None:
        self.text += data

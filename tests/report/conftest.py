"""What the tests of the report share: a browser that opens pages."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.browser import Visit, requests_in, run_browser


@pytest.fixture(scope="session")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Visit]:
    """Opens a page and says what is in it then, what the console said, and what was asked for."""

    def open_page(text: str) -> Visit:
        folder = tmp_path_factory.mktemp("visit")
        page, log = folder / "report.html", folder / "net.json"
        page.write_text(text, encoding="utf-8")
        done = run_browser(page, folder / "profile", f"--log-net-log={log}", "--dump-dom")
        messages = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return Visit(done.stdout, messages, requests_in(log))

    return open_page

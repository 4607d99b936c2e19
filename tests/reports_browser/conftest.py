"""One browser for all tests of the report, and pages in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import HOW_TO_INSTALL, Browser, Page, find_chromium, open_browser
from sweeps import seed_grid, write_report


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    executable = find_chromium()
    if executable is None:
        pytest.skip(HOW_TO_INSTALL)
    with open_browser(executable, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="session")
def seed_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a sweep of 8 rows in 9 shapes."""
    return write_report(tmp_path_factory.mktemp("report") / "report.html", seed_grid())


@pytest.fixture(scope="session")
def still(browser: Browser, seed_report: Path) -> Iterator[Page]:
    """That report, for tests that only look."""
    opened = Page(browser)
    opened.open(seed_report.as_uri())
    yield opened
    opened.close()


@pytest.fixture(scope="class")
def page(browser: Browser, seed_report: Path) -> Iterator[Page]:
    """That report, for the tests of a class, which leave its filters as they were."""
    opened = Page(browser)
    opened.open(seed_report.as_uri())
    yield opened
    opened.close()

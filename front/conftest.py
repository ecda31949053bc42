"""One browser and one JupyterLab for all tests of a worker; a page for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from front.jupyterlab import JupyterLab
from tests.browser import CHROMIUM, FLAGS

WIDE = {"width": 1400, "height": 1000}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shots", type=Path, metavar="FOLDER", help="keep a screenshot of each page that is looked at")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    assert CHROMIUM is not None, "expected Chromium on this machine, found none; Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def jupyterlab() -> Iterator[JupyterLab]:
    with JupyterLab() as lab:
        yield lab


@pytest.fixture
def page(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = chromium.new_page(viewport=WIDE)  # type: ignore[arg-type]  # a dict of these two keys
    yield page
    if folder := request.config.getoption("--shots"):
        page.screenshot(path=folder / f"{request.node.name.replace('/', ' ')}.png")
    page.close()

"""The pages of the documentation in a browser, as `dev.py docs` has built them: on wide and narrow screens, in light
and in dark, with the keyboard, and by the rules for who does not see them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

SITE: Final = Path(__file__).parent.parent / "docs" / "_build" / "html"
LOOKED_AT: Final = "index", "learn", "notebooks/01_first_stream", "api/lab-plots", "relay", "words"
PAGES: Final = pytest.mark.parametrize("name", LOOKED_AT)
NARROW: Final = {"width": 390, "height": 844}  # a telephone, upright
SEVERE: Final = "serious", "critical"
"""Of axe's four grades; the others are advice."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name there
        """A request is no news."""


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    assert (SITE / "index.html").exists(), "expected the built site in docs/_build/html; build it: python3 dev.py docs"
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def visit(page: Page, url: str) -> None:
    answer = page.goto(url)
    assert answer is not None
    assert answer.ok, f"{url}: {answer.status}"


def violations(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2 A and AA, and where. Left out are signatures of several lines: Sphinx writes
    them as a list of definitions without a term.
    """
    found = (
        Axe()
        .run(
            page, context={"exclude": ["dt.sig dl"]}, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
        )
        .response["violations"]
    )
    return [
        f"{each['id']} ({each['help']}): {node['target']} {node.get('failureSummary', '')}"
        for each in found
        if each["impact"] in SEVERE
        for node in each["nodes"]
    ]


@PAGES
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_who_sees_badly_or_nothing_can_read_it(
    site: str, page: Page, name: str, theme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=theme)
    visit(page, f"{site}/{name}.html")
    expect(page.locator("html")).to_have_attribute("data-theme", theme)
    assert violations(page) == []


@PAGES
def test_on_a_telephone_the_page_is_as_wide_as_the_screen(site: str, page: Page, name: str) -> None:
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]  # a dict of these two keys
    visit(page, f"{site}/{name}.html")
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


@PAGES
def test_every_picture_is_there_and_says_in_words_what_it_shows(site: str, page: Page, name: str) -> None:
    visit(page, f"{site}/{name}.html")
    page.locator("article img").evaluate_all("images => images.forEach(image => { image.loading = 'eager' })")
    page.wait_for_function("[...document.querySelectorAll('article img')].every(image => image.complete)")
    pictures = page.locator("article img").evaluate_all("images => images.map(i => [i.src, i.naturalWidth, i.alt])")
    assert [src for src, width, alt in pictures if not width or len(alt) < 10] == []


@PAGES
def test_no_picture_is_squeezed_where_it_is_made_narrower(site: str, page: Page, name: str) -> None:
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]  # a dict of these two keys
    visit(page, f"{site}/{name}.html")
    pictures = page.locator("article img").filter(visible=True)
    pictures.evaluate_all("images => images.forEach(image => { image.loading = 'eager' })")
    page.wait_for_function("[...document.querySelectorAll('article img')].every(image => image.complete)")
    shapes = pictures.evaluate_all(
        """images => images.filter(i => getComputedStyle(i).objectFit === 'fill')
            .map(i => [i.src, i.width / i.height, i.naturalWidth / i.naturalHeight])"""
    )
    assert [src for src, shown, made in shapes if abs(shown / made - 1) > 0.03] == []


def test_the_front_page_shows_the_journey_and_how_to_make_it_on_the_first_screen(site: str, page: Page) -> None:
    page.goto(f"{site}/index.html")
    expect(page.locator("h1")).to_contain_text("streamkit")
    expect(page.locator("article img").first).to_be_in_viewport(ratio=0.2)
    expect(page.get_by_text("sk.plots.journey(recording)").first).to_be_in_viewport()


def test_the_first_press_of_tab_offers_to_skip_to_the_text(site: str, page: Page) -> None:
    page.goto(f"{site}/index.html")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to main content")
    page.keyboard.press("Enter")
    assert page.url.endswith("#main-content")


def test_each_notebook_is_reached_by_the_keyboard_from_the_list(site: str, page: Page) -> None:
    page.goto(f"{site}/learn.html")
    link = page.locator('article a[href*="01_first_stream"]').first
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("streaming answer")


def test_a_search_finds_the_page_that_explains_the_word(site: str, page: Page) -> None:
    page.goto(f"{site}/search.html?q=absorbed_bytes")
    expect(page.locator("#search-results li a").first).to_be_visible(timeout=30_000)

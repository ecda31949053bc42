"""The notebooks in JupyterLab, in a browser: by its menus, as a reader would."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from front.jupyterlab import JupyterLab
from front.notebooks import figures
from tests.notebooks import NOTEBOOKS, code_cells

EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
AGAIN = pytest.mark.parametrize("path", [NOTEBOOKS[1], NOTEBOOKS[-1]], ids=lambda path: path.stem)

STANDS = """() => {
    const src = [...document.querySelectorAll(".jp-OutputArea img")].at(-1)?.src, now = performance.now()
    if (src !== window.figure?.src) window.figure = { src, since: now }
    return src && now - window.figure.since > 3000
}"""
"""The last figure has not changed for three seconds: the stream that it shows is over."""


@EACH
def test_run_all_shows_every_figure_and_leaves_nothing_running(jupyterlab: JupyterLab, page: Page, path: Path) -> None:
    notebook = jupyterlab.open(page, path.name)
    notebook.run_all()
    assert notebook.errors() == []
    pictures = notebook.pictures()
    assert len(pictures) == figures(path)
    assert all(0 < shown <= room for shown, room in pictures)
    assert notebook.left_running() == []
    notebook.close()


@AGAIN
def test_restart_and_run_all_does_the_same_three_times(jupyterlab: JupyterLab, page: Page, path: Path) -> None:
    notebook = jupyterlab.open(page, path.name)
    for _ in range(3):
        notebook.restart_and_run_all()
        assert notebook.errors() == []
        assert len(notebook.pictures()) == figures(path)
        assert notebook.left_running() == []
    notebook.close()


def test_each_slider_that_is_moved_is_a_new_figure(jupyterlab: JupyterLab, page: Page) -> None:
    """Two presses of a key: the kernel is told of the first in its main thread, and of the second in another one."""
    notebook = jupyterlab.open(page, NOTEBOOKS[-1].name)
    playground = page.locator(".jp-CodeCell").filter(has_text="sk.playground(")
    page.keyboard.press("Escape")
    while not playground.first.locator(".jp-InputPrompt").filter(has_text="*").count():
        page.keyboard.press("Shift+Enter")
    figure, handles = playground.first.locator(".jp-OutputArea img"), playground.first.locator(".noUi-handle")
    expect(handles).to_have_count(4, timeout=60_000)
    for handle in handles.all():
        page.wait_for_function(STANDS, polling=200)
        before = figure.get_attribute("src") or ""
        handle.press("ArrowRight")
        handle.press("ArrowRight")
        expect(figure).not_to_have_attribute("src", before, timeout=20_000)
    assert notebook.errors() == []
    notebook.close()


def test_the_keyboard_is_enough(jupyterlab: JupyterLab, page: Page) -> None:
    notebook = jupyterlab.open(page, NOTEBOOKS[1].name)
    page.keyboard.press("Escape")
    for _ in range(len(code_cells(NOTEBOOKS[1]))):
        page.keyboard.press("Shift+Enter")
    expect(page.locator(".jp-OutputArea img").first).to_be_visible(timeout=60_000)
    assert notebook.errors() == []
    notebook.close()

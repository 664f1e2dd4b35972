"""Fixtures of the widgets' tests: a browser, a widget on a page, a notebook in a JupyterLab."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.studio.browser import ARGUMENTS, Shown, chromium, jupyter, start_jupyter


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium; the test is skipped where there is none."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install 'vtlab[test]'"
    )
    path = chromium()
    if path is None:
        pytest.skip("no Chromium: set VTLAB_CHROMIUM, or run `playwright install chromium`")
    with api.sync_playwright() as p:
        started = p.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def show(browser: Any) -> Iterator[Callable[..., Shown]]:
    """Function (widget, scale=1.0, size=(1000, 800)) -> `Shown`; `scale` is the device pixel ratio.

    `beside`: another `Shown`, of which the page shares the browser's storage, as another tab does.
    """
    contexts = []

    def open_one(
        widget: Any,
        *,
        scale: float = 1.0,
        size: tuple[int, int] = (1000, 800),
        dark: bool = False,
        beside: Shown | None = None,
    ) -> Shown:
        if beside is not None:
            return Shown(beside.page.context.new_page(), widget)
        contexts.append(
            browser.new_context(
                viewport={"width": size[0], "height": size[1]},
                device_scale_factor=scale,
                color_scheme="dark" if dark else "light",
            )
        )
        return Shown(contexts[-1].new_page(), widget)

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def jupyter_server(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address and folder of a real Jupyter, which shows JupyterLab and Notebook 7: what takes long is its start."""
    pytest.importorskip("jupyterlab", reason="jupyterlab is not installed: pip install 'vtlab[notebook]'")
    folder = tmp_path_factory.mktemp("jupyter")
    url, process = start_jupyter("lab", folder, tmp_path_factory.mktemp("jupyter_home"))
    try:
        yield url, folder
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def lab(browser: Any, jupyter_server: tuple[str, Path]) -> Iterator[Callable[..., Any]]:
    """Notebooks in a real JupyterLab, see `jupyter`."""
    with jupyter("lab", browser, jupyter_server) as open_notebook:
        yield open_notebook


@pytest.fixture(scope="session")
def notebook_7(browser: Any, jupyter_server: tuple[str, Path]) -> Iterator[Callable[..., Any]]:
    """Notebooks in a real Jupyter Notebook 7, see `jupyter`."""
    pytest.importorskip("notebook", "7", reason="notebook 7 is not installed: pip install 'vtlab[test]'")
    with jupyter("notebook", browser, jupyter_server) as open_notebook:
        yield open_notebook

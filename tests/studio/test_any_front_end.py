"""Nothing in the widgets needs JupyterLab: what VS Code, Colab or marimo give to an anywidget's module is enough."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

import vtlab
from tests.studio.browser import PAGE
from vtlab.prompts import BoxPrompt
from vtlab.session import Session
from vtlab.studio import Corrector, PromptAnnotator, TrackPlayer
from vtlab.studio.queue import Queue

WIDGETS = [PromptAnnotator, Corrector, TrackPlayer, Queue]
# Of a front end, not of every browser; another module or address may be out of reach, too.
FOREIGN = (
    r"\b(jupyterapp|Jupyter|JupyterLab|IPython|require|requirejs|google|acquireVsCodeApi|process)\b\s*[.(]"
)
# A model that has what anywidget promises and nothing else: to ask for more is an error.
STRICT = """async ({ esm, state }) => {
  const asked = [], values = new Map(Object.entries(state)), handlers = [];
  const own = {
    get: k => values.get(k), set: (k, v) => values.set(k, v), save_changes() {}, send() {},
    on: (names, f) => handlers.push([names, f]), off() {}, widget_manager: {},
  };
  const model = new Proxy(own, { get(t, k) { if (!(k in t) && typeof k === 'string') asked.push(k); return t[k]; } });
  const url = URL.createObjectURL(new Blob([esm], { type: 'text/javascript' }));
  const module = await import(url), host = document.getElementById('host').attachShadow({ mode: 'open' });
  const el = document.createElement('div'); host.append(el);
  const before = Object.keys(window);
  const cleanup = await module.default.render({ model, el });
  await new Promise(r => setTimeout(r, 300));
  const left = Object.keys(window).filter(k => !before.includes(k)), shown = el.querySelectorAll('canvas').length;
  cleanup?.();
  return { exports: Object.keys(module), asked, left, shown };
}"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, where widgets save by themselves."""
    monkeypatch.chdir(tmp_path)


def code(text: str) -> Iterator[str]:
    """The lines of a script without its comments."""
    for line in text.splitlines():
        yield re.sub(r"(^|\s)//.*", "", line)


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda w: w.__name__)
def test_a_module_names_nothing_of_a_front_end(widget):
    text = "\n".join(code(widget._esm))
    assert re.findall(FOREIGN, text) == []
    assert re.findall(r"^\s*import\s.*|\bimport\(.*|https?://(?!www\.w3\.org/2000/svg)\S+", text, re.M) == []
    assert len(re.findall(r"^export default", text, re.M)) == 1


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda w: w.__name__)
def test_its_colours_have_values_where_jupyter_gives_none(widget):
    bare = re.findall(r"var\(\s*--jp-[\w-]+\s*\)", widget._css)
    assert bare == []


@pytest.mark.browser
def test_a_model_of_the_standard_and_a_root_of_its_own_are_enough(browser):
    clip = vtlab.open_video(np.full((4, 120, 160, 3), 90, np.uint8))
    box = BoxPrompt((20, 30, 80, 90))
    session = Session(clip, "identity")
    session.add(box)
    made = [
        vtlab.annotate(clip, box, autosave=False),
        Corrector(session, autosave=False),
        TrackPlayer(clip, vtlab.track(clip, box, "identity", progress=False)),
    ]
    for widget in made:
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda e, errors=errors: errors.append(str(e)))
        page.route("http://widgets.test/", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        page.goto("http://widgets.test/")
        plain = {
            k: v for k, v in widget.get_state().items() if isinstance(v, (str, int, dict)) and k[0] != "_"
        }
        said = page.evaluate(STRICT, {"esm": widget._esm, "state": plain})
        assert said["exports"] == ["default"]
        assert said["asked"] == []
        assert said["left"] == []
        assert said["shown"] > 0
        assert errors == []
        page.close()

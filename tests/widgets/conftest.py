"""A real browser for the widgets: static pages joined to the Python object (fast), and one real JupyterLab (few).

`show(widget)` puts an anywidget of this very process on a page: its own ES module, its state, and its messages go
to the object and back, without a kernel. `lab(name, cells)` opens a notebook in a real JupyterLab and runs it.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The kernel's indicator says "idle" seconds before the kernel is connected; only this is safe to wait for.
CONNECTED = """async () => {
  const app = window.jupyterapp; if (!app) return false;
  await app.restored;
  const context = app.shell.currentWidget?.context?.sessionContext; if (!context) return false;
  await context.ready;
  return context.session?.kernel?.connectionStatus === 'connected';
}"""
# A model as anywidget gives it to render(): what it sends is answered with the traits that changed.
FAKE_MODEL = """async ({ esm, css, state }) => {
  const style = document.createElement('style'); style.textContent = css; document.head.append(style);
  const bytes = b => { const s = atob(b), a = new Uint8Array(s.length);
    for (let i = 0; i < s.length; i++) a[i] = s.charCodeAt(i); return new DataView(a.buffer); };
  const read = v => v && v.__bytes__ !== undefined ? bytes(v.__bytes__) : v;
  const values = {}, handlers = {}, dirty = new Set();
  for (const k in state) values[k] = read(state[k]);
  const fire = (name, ...args) => [...(handlers[name] || [])].forEach(f => f(...args));
  window.push = changed => { const names = Object.keys(changed);
    for (const k of names) values[k] = read(changed[k]);
    for (const k of names) fire('change:' + k, window.model, values[k]);
    if (names.length) fire('change'); };
  const call = async message => { window.waiting++;
    try { const { __messages__: messages, ...changed } = await window.to_python(message);
      window.push(changed);
      for (const m of messages || []) fire('msg:custom', m.content, m.buffers.map(bytes));
    } finally { window.waiting--; } };
  window.waiting = 0; window.sent = [];
  window.model = {
    get: k => values[k],
    set(k, v) { if (values[k] === v) return; values[k] = v; dirty.add(k); fire('change:' + k, this, v); },
    save_changes() { const set = {}; for (const k of dirty) set[k] = values[k]; dirty.clear(); call({ set }); },
    send(content) { window.sent.push(content); call({ content }); },
    on(names, f) { for (const k of names.split(' ')) (handlers[k] ??= []).push(f); },
    off(names, f) { for (const k of (names || '').split(' '))
      handlers[k] = (handlers[k] || []).filter(g => f && g !== f); },
  };
  const url = URL.createObjectURL(new Blob([esm], { type: 'text/javascript' }));
  const widget = (await import(url)).default, host = document.getElementById('host');
  await widget.initialize?.({ model: window.model });
  window.cleanup = await widget.render({ model: window.model, el: host });
}"""


def chromium() -> str | None:
    """Path of the browser: VTLAB_CHROMIUM, one on the PATH, or the one that playwright installed."""
    found = os.environ.get("VTLAB_CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if found:
        return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        return p.chromium.executable_path if Path(p.chromium.executable_path).exists() else None


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium; the test is skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = chromium()
    if path is None:
        pytest.skip("no Chromium: set VTLAB_CHROMIUM, or run `playwright install chromium`")
    with api.sync_playwright() as p:
        started = p.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


class Shown:
    """A widget of this process on a page of a real browser.

    Attributes:
        page: Playwright's page.
        widget: The Python object.
        errors: What went wrong on the page; a test should end with none.
    """

    def __init__(self, page: Any, widget: Any):
        self.page, self.widget, self.errors = page, widget, []
        self._sent: dict[str, Any] = {}
        self._messages: list[dict[str, Any]] = []
        widget.send = self._send  # what the widget sends by itself goes along with the next answer
        page.on("pageerror", lambda e: self.errors.append(str(e)))
        page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        page.set_content("<!doctype html><meta charset=utf-8><body><div id=host></div>")
        page.expose_function("to_python", self._receive)
        self._changes()
        page.evaluate(
            FAKE_MODEL, {"esm": widget._esm, "css": getattr(widget, "_css", ""), "state": dict(self._sent)}
        )

    def _receive(self, message: dict[str, Any]) -> dict[str, Any]:
        if "content" in message:
            self.widget._handle_custom_msg(message["content"], [])
        for name, value in message.get("set", {}).items():
            self._sent[name] = value
            setattr(self.widget, name, value)
        messages, self._messages = self._messages, []
        return {**self._changes(), "__messages__": messages}

    def _send(self, content: Any, buffers: Sequence[bytes] | None = None) -> None:
        encoded = [base64.b64encode(b).decode() for b in buffers or ()]
        self._messages.append({"content": content, "buffers": encoded})

    def _changes(self) -> dict[str, Any]:
        own = {k: v for k, v in self.widget.get_state().items() if not k.startswith("_")}
        now = {k: _plain(v) for k, v in own.items() if isinstance(v, (str, int, float, bytes, list, dict))}
        changed = {k: v for k, v in now.items() if k not in self._sent or self._sent[k] != v}
        self._sent.update(changed)
        return json.loads(json.dumps(changed))

    def pull(self) -> None:
        """Send to the page what changed in Python by itself."""
        self.page.evaluate("changed => window.push(changed)", self._changes())

    def settle(self) -> None:
        """Wait until every message of the page has been answered and drawn."""
        self.page.wait_for_function("window.waiting === 0")
        self.page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")

    def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait for Python to reach a state, pulling what changes."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "the expected state was not reached"
            self.page.wait_for_timeout(20)
        self.pull()
        self.settle()


def _plain(value: Any) -> Any:
    return {"__bytes__": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


@pytest.fixture
def show(browser: Any) -> Iterator[Callable[..., Shown]]:
    """Function (widget, scale=1.0, size=(1000, 800)) -> `Shown`; `scale` is the device pixel ratio."""
    contexts = []

    def open_one(
        widget: Any, *, scale: float = 1.0, size: tuple[int, int] = (1000, 800), dark: bool = False
    ) -> Shown:
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
def lab(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Function (name, cells, scale=1.0, size=(1200, 950)) -> page of a notebook, run in a real JupyterLab.

    The page has two extras: `page.folder` (where the notebook lies) and `page.rerun()` (run all cells again).
    """
    pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")
    folder = tmp_path_factory.mktemp("lab")
    url, process = _start_lab(folder, tmp_path_factory.mktemp("lab_home"))
    contexts = []

    def open_notebook(
        name: str, cells: Sequence[str], *, scale: float = 1.0, size: tuple[int, int] = (1200, 950)
    ) -> Any:
        (folder / f"{name}.ipynb").write_text(json.dumps(_notebook(cells)))
        contexts.append(
            browser.new_context(viewport={"width": size[0], "height": size[1]}, device_scale_factor=scale)
        )
        page = contexts[-1].new_page()
        page.goto(f"{url}/lab/workspaces/{name}/tree/{name}.ipynb?token=x&reset")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=120_000)
        page.wait_for_function(CONNECTED, timeout=120_000)
        page.folder = folder
        page.rerun = lambda: page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
        page.rerun()
        return page

    try:
        yield open_notebook
    finally:
        for context in contexts:
            context.close()
        process.terminate()
        process.wait(30)


def _start_lab(folder: Path, home: Path) -> tuple[str, subprocess.Popen[bytes]]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    places += ("JUPYTERLAB_WORKSPACES_DIR", "JUPYTERLAB_SETTINGS_DIR")
    env = {**os.environ, **{k: str(home / k.lower()) for k in places}}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    quiet = home / "jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)  # no question about news over the notebook
    (quiet / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--IdentityProvider.token=x", f"--ServerApp.root_dir={folder}"]
    command += ["--LabApp.expose_app_in_browser=True"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with (home / "lab.log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{url}/api?token=x", timeout=2).close()
            return url, process
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    process.terminate()
    raise RuntimeError("JupyterLab did not start:\n" + (home / "lab.log").read_text()[-2000:])


def _notebook(cells: Sequence[str]) -> dict[str, Any]:
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell{i}",
                "metadata": {},
                "execution_count": None,
                "outputs": [],
                "source": source,
            }
            for i, source in enumerate(cells)
        ],
    }

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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
# The kernel's indicator says "idle" seconds before the kernel is connected; this tells.
CONNECTED = """async () => {
  const app = window.jupyterapp; if (!app) return false;
  await app.restored;
  const context = app.shell.currentWidget?.context?.sessionContext; if (!context) return false;
  await context.ready;
  return context.session?.kernel?.connectionStatus === 'connected';
}"""
PAGE = "<!doctype html><meta charset=utf-8><body><div id=host></div>"
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
  // Messages keep their order, as on a socket. `latency` milliseconds there and back; a kernel that is `gone` gets none.
  window.latency = 0; window.gone = false;
  const later = () => window.latency ? new Promise(r => setTimeout(r, window.latency / 2)) : null;
  const call = async message => { if (window.gone) return;
    window.waiting++;
    try { await later();
      const { __messages__: messages, ...changed } = await window.to_python(message);
      await later();
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
        page.route("http://widgets.test/", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        page.goto("http://widgets.test/")  # an address of its own, and so a storage
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


def start_jupyter(kind: str, folder: Path, home: Path) -> tuple[str, subprocess.Popen[bytes]]:
    """Start a server of "lab" or "notebook" (version 7); its address and its process."""
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
    module, app = {"lab": ("jupyterlab", "LabApp"), "notebook": ("notebook", "JupyterNotebookApp")}[kind]
    command = [sys.executable, "-m", module, "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--IdentityProvider.token=x", f"--ServerApp.root_dir={folder}"]
    command += [f"--{app}.expose_app_in_browser=True"]
    command += [f"--{app}.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{url}/api?token=x", timeout=2).close()
            return url, process
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    process.terminate()
    raise RuntimeError("Jupyter did not start:\n" + (home / "server.log").read_text()[-2000:])


def notebook(cells: Sequence[str]) -> dict[str, Any]:
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


def until(page: Any, condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for a condition, while the page goes on."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the expected state was not reached"
        page.wait_for_timeout(50)


@contextmanager
def jupyter(kind: str, browser: Any, server: tuple[str, Path]) -> Iterator[Callable[..., Any]]:
    """Function (name, cells, scale=1.0, size=(1200, 950)) -> page of a notebook, run in a real Jupyter.

    Without cells a notebook that is there is opened and not run. The page has three extras: `page.folder` (where the
    notebook lies), `page.rerun()` (run all cells again) and `page.save()`.
    """
    url, folder = server
    contexts = []

    def open_notebook(
        name: str,
        cells: Sequence[str] = (),
        *,
        scale: float = 1.0,
        size: tuple[int, int] = (1200, 950),
        dark: bool = False,
    ) -> Any:
        if cells:
            (folder / f"{name}.ipynb").write_text(json.dumps(notebook(cells)))
        look = {"viewport": {"width": size[0], "height": size[1]}, "device_scale_factor": scale}
        contexts.append(browser.new_context(**look, color_scheme="dark" if dark else "light"))
        page = contexts[-1].new_page()
        place = f"lab/workspaces/{name}/tree/{name}.ipynb?token=x&reset"
        frames: list[int] = []  # of the kernel's socket
        page.on(
            "websocket", lambda w: "/channels" in w.url and w.on("framereceived", lambda _: frames.append(1))
        )
        page.goto(f"{url}/{place if kind == 'lab' else f'notebooks/{name}.ipynb?token=x'}")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=120_000)
        until(
            page, lambda: bool(frames), 120
        )  # only then the kernel is connected, whatever its indicator says
        page.folder = folder

        def menu(bar: str, item: str) -> None:  # Notebook 7 doesn't show its app to the page
            page.locator(".lm-MenuBar-itemLabel", has_text=bar).first.click()
            page.locator(".lm-Menu-itemLabel", has_text=item).first.click()

        def command(name: str) -> None:
            page.evaluate("name => { jupyterapp.commands.execute(name); }", name)

        if kind == "lab":
            page.rerun = lambda: command("notebook:run-all-cells")
            page.save = lambda: command("docmanager:save")
        else:
            page.rerun = lambda: menu("Run", "Run All Cells")
            page.save = lambda: menu("File", "Save Notebook")
        if cells:
            page.rerun()
        return page

    try:
        yield open_notebook
    finally:
        for context in contexts:
            context.close()


class Hand:
    """Gestures at coordinates of the full-size frame."""

    def __init__(self, shown):
        self.shown, self.page = shown, shown.page
        self.page.wait_for_selector(".vt-annotator[data-ready]")

    def at(self, x: float, y: float) -> tuple[float, float]:
        r = self.page.locator(".vt-canvas").bounding_box()
        w, h = self.shown.widget.view["width"], self.shown.widget.view["height"]
        s = min(r["width"] / w, r["height"] / h)
        return r["x"] + r["width"] / 2 + (x - w / 2) * s, r["y"] + r["height"] / 2 + (y - h / 2) * s

    def drag(self, a, b, at=None) -> None:
        at = at or self.at
        self.page.mouse.move(*at(*a))
        self.page.mouse.down()
        self.page.mouse.move(*at(*b), steps=3)
        self.page.mouse.up()
        self.shown.settle()

    def click(self, x, y, **options) -> None:
        self.page.mouse.click(*self.at(x, y), **options)
        self.shown.settle()

    def press(self, *keys) -> None:
        self.page.locator(".vt-annotator").focus()
        for key in keys:
            self.page.keyboard.press(key)
            self.shown.settle()

    def tool(self, name) -> None:
        self.page.click(f".vt-annotator [data-tool={name}]")


# The number that `numbered` in test_player.py paints into a frame.
READ_NUMBER = """canvas => {
  const g = canvas.getContext('2d'), k = canvas.width / 160; let n = 0;
  for (let bit = 0; bit < 16; bit++)
    if (g.getImageData(Math.round((10 * bit + 4) * k), Math.round(70 * k), 1, 1).data[0] > 128) n += 1 << bit;
  return n;
}"""
# The tracked box moves two pixels a frame; its left edge is the first orange pixel of row 30.
READ_BOX = """canvas => {
  const g = canvas.getContext('2d'), k = canvas.width / 160;
  const row = g.getImageData(0, Math.round(30 * k), canvas.width, 1).data;
  for (let x = 0; x < canvas.width; x++) if (row[4 * x] > 150 && row[4 * x + 2] < 90) return x / k;
  return -1;
}"""

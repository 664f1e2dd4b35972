"""A verdict by hand in a real JupyterLab: somebody labels with mouse and keys, is interrupted, goes on, and decides."""

from __future__ import annotations

import json
import time

import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

from tests.studio.browser import CONNECTED
from vtlab.testing.scenes import square_box

N, SIDE, STEP = 60, 60, 3
CELLS = [
    "import numpy as np, vtlab\n"
    "from vtlab.testing.scenes import moving_square, square_box\n"
    "from vtlab.tracks import Tracks\n"
    f"video = vtlab.open_video(moving_square(n={N}, height=240, width=320, side={SIDE}, step={STEP}))\n"
    f"home = np.array([square_box(f, {SIDE}, {STEP}) for f in range({N})])\n"
    "rng = np.random.default_rng(0)\n"
    "def off(size):\n"
    f"    way = rng.normal(0, size, ({N}, 2)); way[0] = 0\n"
    f"    return Tracks.of(np.arange({N}), 1, home + np.concatenate([way, way], axis=1))\n"
    "answers = {'secret-near': off(1), 'secret-far': off(9), 'secret-lost': off(40)}",
    "v = vtlab.verdict(answers, file='square.verdict.json')\nv.annotator(video)",
    "open('sentence.txt', 'w').write(v.sentence)\nv",
]


class Labeller:
    """Somebody in front of the queue."""

    def __init__(self, page):
        self.page, self.file = page, page.folder / "square.verdict.json"
        self.sit_down()

    def sit_down(self) -> None:
        self.page.wait_for_selector(".vt-annotator[data-ready]", timeout=120_000)
        self.queue = self.page.locator(".vt-annotator").first
        self.queue.scroll_into_view_if_needed()

    def labels(self) -> list[dict]:
        """What the file holds: every object on every labelled frame, the second ones behind."""
        if not self.file.exists():
            return []
        kept = json.loads(self.file.read_text())
        return [
            row for part in ("labels", "second") for said in kept[part].values() for row in said["objects"]
        ]

    def at(self, x: float, y: float) -> tuple[float, float]:
        r = self.queue.locator(".vt-canvas").bounding_box()
        s = min(r["width"] / 320, r["height"] / 240)
        return r["x"] + r["width"] / 2 + (x - 160) * s, r["y"] + r["height"] / 2 + (y - 120) * s

    @property
    def frame(self) -> int:
        return int(self.queue.get_attribute("data-frame"))

    @property
    def answer(self) -> str:
        shown = self.queue.locator(".vt-sentence")
        return shown.text_content() if shown.count() and shown.is_visible() else ""

    def label(self, tool: str = "box") -> int:
        """Label the frame that is asked and wait until its label is on disk and the next question is there."""
        frame, before = self.frame, len(self.labels())
        title, mouse = self.queue.locator(".vt-title").text_content(), self.page.mouse
        x1, y1, x2, y2 = square_box(frame, SIDE, STEP)
        if tool == "click":
            self.queue.locator("[data-tool=click]").click()
            mouse.click(*self.at((x1 + x2) / 2, (y1 + y2) / 2))
            self.page.wait_for_function(
                "() => document.querySelector('.vt-queue') && !/Computing/.test(document.body.textContent)"
            )
        else:
            if self.queue.locator("[data-tool=box]").get_attribute("aria-pressed") != "true":
                self.queue.locator("[data-tool=box]").click()
            mouse.move(*self.at(x1, y1))
            mouse.down()
            mouse.move(*self.at(x2, y2), steps=4)
            mouse.up()
        end = time.monotonic() + 60
        while len(self.labels()) == before:
            assert time.monotonic() < end, f"frame {frame} was not kept: {self.queue.inner_text()}"
            self.queue.focus()
            self.page.keyboard.press("Enter")  # once more where the mask wasn't there yet
            self.page.wait_for_timeout(400)
        self.page.wait_for_function(
            "([title, frame]) => { const q = document.querySelector('.vt-annotator'); "
            "return q.querySelector('.vt-title').textContent !== title || q.dataset.frame !== frame; }",
            arg=[title, str(frame)],
        )
        return frame


@pytest.mark.browser
@pytest.mark.slow
def test_a_verdict_by_hand_with_an_interruption(lab):
    page = lab("verdict", CELLS)
    me = Labeller(page)
    assert "secret" not in me.queue.inner_text()
    assert me.queue.locator(".vt-title").text_content() == "1 of 12"
    frames = [me.label(tool) for tool in ("box", "click", "box", "box", "box")]
    assert len(me.labels()) == 5
    masks = [row for row in me.labels() if "mask" in row]
    assert [row["frame"] for row in masks] == [frames[1]]
    for row in me.labels():
        assert row["box"] == pytest.approx(square_box(row["frame"], SIDE, STEP), abs=4)

    page.evaluate("jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.restart()")
    page.wait_for_timeout(1000)
    page.wait_for_function(CONNECTED, timeout=120_000)
    page.evaluate("document.querySelectorAll('.vt-annotator').forEach(a => a.remove())")
    page.rerun()
    me.sit_down()
    assert me.queue.locator(".vt-title").text_content() == "6 of 12"
    assert me.frame == frames[0], "after five labels the first one comes again"
    while not me.answer:
        frames.append(me.label())
    assert len(frames) == 12
    assert len(set(frames)) == 10  # and two a second time
    for _ in range(4):
        if "With 95 % confidence" in me.answer:
            break
        me.queue.focus()
        page.keyboard.press("Enter")
        page.wait_for_function("() => !document.querySelector('.vt-answered')")
        while not me.answer:
            me.label()
    assert "secret-near" in me.answer
    assert "against your labels" in me.answer
    page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 2")
    page.evaluate("jupyterapp.commands.execute('notebook:run-cell')")
    end = time.monotonic() + 30
    while (
        not (page.folder / "sentence.txt").exists()
        or "secret-near" not in (page.folder / "sentence.txt").read_text()
    ):
        assert time.monotonic() < end, "the cell was not run again"
        page.wait_for_timeout(100)
    assert (page.folder / "sentence.txt").read_text() == me.answer

"""Annotators and corrector in a real JupyterLab, at device pixel ratio 2."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

from vtlab.prompts import Prompts

CELLS = [
    "import vtlab, numpy as np\n"
    "from vtlab.testing.scenes import moving_square\n"
    "video = vtlab.open_video(moving_square(n=10, height=240, width=320, side=60, step=12))\n"
    "first = vtlab.annotate(video, 'first.json')\n"
    "first",
    "second = vtlab.annotate(video, 'second.json', skeleton=None)\nsecond",
    "session = vtlab.Session(video, 'ncc')\n"
    "session.add(vtlab.BoxPrompt((20, 16, 80, 76)))\n"
    "from vtlab.studio import Corrector\n"
    "corrector = Corrector(session, path='work.parquet')\n"
    "corrector",
]


def until(page, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "the expected state was not reached"
        page.wait_for_timeout(50)


def saved(file: Path) -> Prompts:
    return Prompts.load(file) if file.exists() else Prompts()


def drag(page, widget, a, b, zoom: float = 1.0) -> None:
    """Drag over a widget's canvas, from and to coordinates of the 320 x 240 frame."""
    r = widget.locator(".vt-canvas").bounding_box()
    s = zoom * min(r["width"] / 320, r["height"] / 240)

    def at(p):
        return r["x"] + r["width"] / 2 + (p[0] - 160) * s, r["y"] + r["height"] / 2 + (p[1] - 120) * s

    page.mouse.move(*at(a))
    page.mouse.down()
    page.mouse.move(*at(b), steps=3)
    page.mouse.up()


@pytest.mark.browser
@pytest.mark.slow
def test_two_annotators_and_a_corrector_in_one_notebook(lab):
    page = lab("annotators", CELLS, scale=2, size=(1100, 900))
    page.wait_for_selector(".vt-annotator[data-ready]", timeout=90_000)
    cells = page.locator(".jp-CodeCell").count()
    first = page.locator(".vt-annotator").first
    first.scroll_into_view_if_needed()
    drag(page, first, (110, 90), (190.5, 160))
    until(page, lambda: len(saved(page.folder / "first.json")) == 1)
    assert saved(page.folder / "first.json")[0].xyxy == pytest.approx((110, 90, 190.5, 160), abs=1)
    for key in ("x", "a", "n"):  # of the notebook: cut, insert; of the widget: new object
        page.keyboard.press(key)
    page.wait_for_timeout(
        2000
    )  # the new object must be back from the kernel, or the next drag moves the first box
    for _ in range(4):
        page.keyboard.press("+")
    zoom = 1.5**4
    assert first.locator(".vt-percent").text_content() == f"{round(100 * zoom)}%"
    drag(page, first, (140, 100), (180, 130), zoom)
    until(page, lambda: len(saved(page.folder / "first.json")) == 2)
    assert saved(page.folder / "first.json")[1].xyxy == pytest.approx((140, 100, 180, 130), abs=1)
    assert page.locator(".jp-CodeCell").count() == cells
    code = page.locator(".jp-CodeCell .cm-content").first
    code.click()
    page.keyboard.type("# typed ")
    typed = code.text_content()
    name = first.get_by_label("Label of object 2")
    name.click()
    page.keyboard.type("cat")
    for _ in range(6):
        page.keyboard.press("Control+z")
    assert name.input_value() == ""
    assert code.text_content() == typed  # undo of a field is the field's, not the notebook's
    page.keyboard.press("Enter")
    assert len(saved(page.folder / "first.json")) == 2

    second = page.locator(".vt-annotator").nth(1)
    second.scroll_into_view_if_needed()
    second.locator("[data-tool=click]").click()
    drag(page, second, (50, 46), (50, 46))
    until(page, lambda: len(saved(page.folder / "second.json")) == 1)
    mask = next(p for p in saved(page.folder / "second.json") if p.kind == "mask").mask(240, 320)
    assert mask[46, 50]
    r = second.locator(".vt-canvas").bounding_box()
    page.mouse.click(r["x"] + r["width"] / 2, r["y"] + r["height"] / 2, button="right")  # beside the object
    until(page, lambda: len(saved(page.folder / "second.json")) == 1)
    assert page.locator(".lm-Menu").count() == 0  # the notebook's menu stays away
    second.get_by_label("Frame number").fill("4")
    page.keyboard.press("Enter")
    page.wait_for_selector(".vt-annotator[data-frame='4']")
    assert [p.kind for p in saved(page.folder / "first.json")] == ["box", "box"]

    corrector = page.locator(".vt-corrector")
    corrector.scroll_into_view_if_needed()
    corrector.get_by_role("button", name="Track forward").click()
    page.wait_for_function(
        "() => /Tracked/.test(document.querySelector('.vt-corrector .vt-status').textContent)"
    )
    page.keyboard.press("End")  # the button lost the focus to the widget, not to the notebook
    page.wait_for_selector(".vt-corrector[data-frame='9']")
    corrector.get_by_role("button", name="Save the session").click()
    until(page, (page.folder / "work.parquet").exists)
    from vtlab.session import Session
    from vtlab.testing.scenes import moving_square
    from vtlab.video import open_video

    video = open_video(moving_square(n=10, height=240, width=320, side=60, step=12))
    session = Session.load(page.folder / "work.parquet", video)
    assert session.tracks.frame.tolist() == list(range(10))
    assert np.isfinite(session.tracks.boxes).all()

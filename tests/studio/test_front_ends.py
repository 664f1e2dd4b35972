"""One notebook in JupyterLab 4 and in Notebook 7: hands, keys, a closed tab, a cell run again, the file opened later."""

from __future__ import annotations

import json
import shutil

import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

from tests.studio.browser import until
from vtlab.prompts import Prompts
from vtlab.session import Session
from vtlab.testing.scenes import moving_square
from vtlab.video import open_video

CELLS = [
    "import vtlab\n"
    "from vtlab.testing.scenes import moving_square\n"
    "video = vtlab.open_video(moving_square(n=10, height=240, width=320, side=60, step=12))\n"
    "annotator = vtlab.annotate(video, 'FILE')\n"
    "annotator",
    "tracks = vtlab.track(video, vtlab.BoxPrompt((20, 16, 80, 76)), 'ncc')\nvtlab.TrackPlayer(video, tracks)",
]
SMOKE = [
    "import vtlab\n"
    "from vtlab.studio import Corrector\n"
    "from vtlab.testing.scenes import moving_square\n"
    "video = vtlab.open_video(moving_square(n=10, height=240, width=320, side=60, step=12))\n"
    "made = Corrector(vtlab.Session(video, 'TRACKER'), segmenter=None, path='FILE')\n"
    "made",
]
SLEEPY = (
    "import time\n"
    "from vtlab.contracts import Observation, SingleObjectTracker\n"
    "@vtlab.register('sleepy', family='sot', accepts={vtlab.BoxPrompt}, licence='none')\n"
    "class Sleepy(SingleObjectTracker):\n"
    "    def init(self, frame, prompt): self.box = prompt.xyxy\n"
    "    def step(self, frame):\n"
    "        time.sleep(1.0)\n"
    "        return Observation(self.box)\n"
)
pytestmark = pytest.mark.browser
FRONT_ENDS = ["lab", "notebook_7"]


def drag(page, a, b) -> None:
    """Drag over the annotator's canvas, from and to coordinates of the 320 x 240 frame."""
    r = page.locator(".vt-annotator .vt-canvas").bounding_box()
    s = min(r["width"] / 320, r["height"] / 240)

    def at(p):
        return r["x"] + r["width"] / 2 + (p[0] - 160) * s, r["y"] + r["height"] / 2 + (p[1] - 120) * s

    page.mouse.move(*at(a))
    page.mouse.down()
    page.mouse.move(*at(b), steps=3)
    page.mouse.up()


def ready(page) -> None:
    page.wait_for_selector(".vt-annotator[data-ready]", timeout=180_000)
    page.locator(".vt-annotator").scroll_into_view_if_needed()


def corrected(page, file):
    """The work of a corrector's file; None before it is there."""
    video = open_video(moving_square(n=10, height=240, width=320, side=60, step=12))
    return Session.load(file, video, tracker="identity") if file.exists() else None


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_a_box_is_drawn_tracked_and_saved_in_a_front_end(request, front_end):
    name = f"smoke_{front_end}"
    cells = [c.replace("FILE", f"{name}.parquet").replace("TRACKER", "ncc") for c in SMOKE]
    page = request.getfixturevalue(front_end)(name, cells)
    file = page.folder / f"{name}.parquet"
    ready(page)
    drag(page, (20, 16), (80, 76))
    until(page, lambda: (made := corrected(page, file)) is not None and len(made.prompts) == 1)
    page.keyboard.press("f")
    until(page, lambda: corrected(page, file).tracks.frame.tolist() == list(range(10)))
    page.context.close()


@pytest.mark.slow
def test_the_kernel_is_interrupted_while_a_cell_tracks_and_nothing_is_lost(lab):
    """The stop button of JupyterLab, twice: while the corrector tracks beside, and while a cell does."""
    cells = [SMOKE[0].replace("FILE", "interrupted.parquet").replace("made = Corr", SLEEPY + "made = Corr")]
    cells[0] = cells[0].replace("TRACKER", "sleepy")
    page = lab(
        "interrupted", [*cells, "session = made.session\nsession.prompts and session.retrack(progress=False)"]
    )
    file = page.folder / "interrupted.parquet"
    ready(page)
    drag(page, (20, 16), (80, 76))
    until(page, lambda: (made := corrected(page, file)) is not None and len(made.prompts) == 1)
    page.keyboard.press("f")  # in the background: an interrupt is not for it
    page.wait_for_timeout(2500)
    page.evaluate("() => { jupyterapp.commands.execute('notebook:interrupt-kernel'); }")
    page.wait_for_timeout(500)
    until(page, lambda: len(corrected(page, file).tracks.of_object(1)) == 10)
    drag(page, (120, 120), (200, 200))
    until(page, lambda: len(corrected(page, file).prompts) == 2)
    page.evaluate(
        "() => { jupyterapp.commands.execute('notebook:run-cell'); }"
    )  # the last one, which is selected
    page.wait_for_selector(".jp-CodeCell .jp-InputPrompt:has-text('[*]')")
    page.wait_for_timeout(2500)
    page.evaluate("() => { jupyterapp.commands.execute('notebook:interrupt-kernel'); }")
    page.wait_for_function(
        "() => !document.querySelector('.jp-Notebook').innerText.includes('[*]')", timeout=60_000
    )
    drag(page, (20, 120), (90, 200))
    until(page, lambda: len(corrected(page, file).prompts) == 3)
    kept = corrected(page, file)
    assert len(kept.tracks.of_object(1)) == 10
    page.context.close()


@pytest.mark.slow
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_work_in_a_front_end_is_kept_and_seen_later(request, front_end):
    start = request.getfixturevalue(front_end)
    name = f"work_{front_end}"
    cells = [c.replace("FILE", f"{name}.json") for c in CELLS]
    page = start(name, cells)
    file, book = page.folder / f"{name}.json", page.folder / f"{name}.ipynb"
    ready(page)
    assert (
        page.locator(".jp-OutputArea img").count() == 0
        or not page.locator(".jp-OutputArea img").first.is_visible()
    )
    for x in (20, 120, 220):  # faster than any answer
        drag(page, (x, 20), (x + 70, 90))
    until(page, lambda: file.exists() and len(Prompts.load(file)) == 3)
    count = page.locator(".jp-CodeCell").count()
    for key in (
        "x",
        "a",
        "b",
        "n",
    ):  # of the notebook: cut, insert above and below; of the widget: a tool, a new object
        page.keyboard.press(key)
    assert page.locator(".jp-CodeCell").count() == count
    page.rerun()
    page.wait_for_function(
        "/Restored 3 prompts/.test(document.querySelector('.vt-status')?.textContent)", timeout=60_000
    )
    ready(page)
    drag(page, (20, 120), (90, 200))
    until(page, lambda: len(Prompts.load(file)) == 4)

    def pictures() -> list[str]:
        page.save()
        page.wait_for_timeout(500)
        outputs = [o for c in json.loads(book.read_text())["cells"] for o in c["outputs"]]
        return [o["data"]["text/plain"] for o in outputs if "image/png" in o.get("data", {})]

    until(page, lambda: any("4 prompts" in "".join(text) for text in pictures()))
    assert len(pictures()) == 2
    page.context.close()  # the tab is closed; the copy knows nothing of the kernel
    shutil.copy(book, page.folder / f"{name}_later.ipynb")
    later = start(f"{name}_later")
    later.wait_for_selector(".jp-OutputArea img", timeout=60_000)
    later.wait_for_function("document.querySelectorAll('.jp-OutputArea img').length === 2")
    assert (
        "Loading widget" not in later.locator(".jp-Notebook").inner_text()
    )  # not even until the kernel answers
    until(later, lambda: all(i.is_visible() for i in later.locator(".jp-OutputArea img").all()))
    assert "not found" not in later.locator(".jp-Notebook").inner_text()
    assert "%|" not in later.locator(".jp-Notebook").inner_text()  # nothing of a progress bar
    later.context.close()

"""Keys and names in a real browser: each key does what the help says, and none reaches what lies around the widget."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

import vtlab
from tests.studio.browser import Hand
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.session import Session
from vtlab.studio import Corrector
from vtlab.testing.scenes import moving_square
from vtlab.tracks import Tracks

N = 60
# How many pixels of the lanes have the colour of a doubtful place.
TICKS = """() => {
  const c = document.querySelector('.vt-lanes'), { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) n += data[i] === 208 && data[i + 1] === 28;
  return n;
}"""
pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, where widgets save by themselves."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def video():
    return vtlab.open_video(moving_square(n=N, height=120, width=160, step=1))


def doubtful(labels=(None, None)) -> Tracks:
    """Two objects: the first is unsure from frame 20 on, the second jumps on frame 40."""
    left = 5.0 + np.arange(N)
    one = np.stack([left, left * 0 + 10, left + 30, left * 0 + 40], axis=1)
    two, scores = one + np.array([0, 60, 0, 60]), np.full((2, N), 0.9)
    scores[0, 20:23] = 0.2
    two[40:] += [0, 18, 0, 18]
    ids = np.repeat([1, 2], N)
    return Tracks.of(
        np.tile(np.arange(N), 2),
        ids,
        np.concatenate([one, two]),
        scores.ravel(),
        label=[labels[i - 1] for i in ids],
    )


def where(made: Corrector) -> tuple[int, int]:
    return made.view["frame"], made.view["selected"]


def test_keys_of_doubtful_places_and_of_key_figures(show, video):
    made = Corrector(Session.of(video, doubtful(), "ncc"))
    hand = Hand(show(made))
    both = hand.page.evaluate(TICKS)
    assert both > 0
    hand.press("w")
    assert where(made) == (20, 1)
    assert "unsure" in hand.page.text_content(".vt-status")
    hand.press("w")
    assert where(made) == (40, 2)
    hand.press("w")
    assert "no doubtful place after" in hand.page.text_content(".vt-status")
    hand.press("q")
    assert where(made) == (20, 1)
    hand.press("y")  # seen; the next place is shown, and the tick is gone
    assert where(made) == (40, 2)
    assert made.view["doubts"] == 1
    assert 0 < hand.page.evaluate(TICKS) < both
    for frame in (10, 30):
        made.act({"do": "go", "frame": frame})
        made.act({"do": "box", "xyxy": [5 + frame, 70, 35 + frame, 100]})
    hand.shown.pull()
    hand.press("PageUp")
    assert where(made) == (10, 2)
    hand.press("PageDown")
    assert where(made) == (30, 2)
    hand.press("PageDown")
    assert "no key figure after frame 30" in hand.page.text_content(".vt-status")
    hand.press("?")
    said = hand.page.text_content(".vt-help")
    assert "w qnext, previous doubtful place" in said
    assert "duplicate to the next" in said
    assert hand.shown.errors == []


def test_a_name_selects_its_object_and_undo_in_it_stays_there(show, video):
    made = Corrector(Session.of(video, doubtful(("cat", "dog")), "ncc"))
    made.act({"do": "box", "xyxy": [6, 10, 36, 40]})
    hand = Hand(show(made))
    page, state = hand.page, made.session.state
    assert [o["label"] for o in made.view["objects"]] == ["cat", "dog"]  # of imported rows
    page.evaluate("document.body.prepend(document.createElement('textarea'))")
    page.locator("textarea").type("code")
    name = page.get_by_label("Label of object 2")
    name.click()
    hand.shown.settle()
    assert made.view["selected"] == 2
    assert name.evaluate("e => e === document.activeElement")  # the answer left the focus where it was
    page.keyboard.press("Control+z")  # nothing to take back in the field
    name.press("End")
    page.keyboard.type("gy")
    page.keyboard.press("Control+z")
    assert name.input_value() == "dogg"
    page.keyboard.press("Control+Shift+z")
    assert name.input_value() == "doggy"
    for _ in range(4):
        page.keyboard.press("Control+z")
    hand.shown.settle()
    assert name.input_value() == "dog"
    assert page.locator("textarea").input_value() == "code"
    assert made.session.state is state
    page.keyboard.type("s")
    page.keyboard.press("Enter")
    hand.shown.settle()
    assert [o["label"] for o in made.view["objects"]] == ["cat", "dogs"]
    hand.press("Control+z")  # in the widget it is the session's again
    assert [o["label"] for o in made.view["objects"]] == ["cat", "dog"]
    number = page.get_by_label("Frame number")
    number.fill("7")
    number.press("Control+z")
    assert number.input_value() == "0"
    assert page.locator("textarea").input_value() == "code"
    assert hand.shown.errors == []


def test_a_click_on_a_name_over_a_figure_selects_its_object(show, video):
    two = [BoxPrompt((10, 40, 50, 80), label="cat"), BoxPrompt((90, 40, 130, 80), object_id=2, label="dog")]
    made = vtlab.annotate(video, Prompts(two), autosave=False)
    hand = Hand(show(made))
    for object_id, x in ((2, 90), (1, 10)):
        left, top = hand.at(x, 40)
        hand.page.mouse.click(left + 4, top - 9)
        hand.shown.settle()
        assert made.view["selected"] == object_id
    assert len(made.prompts) == 2
    assert hand.shown.errors == []

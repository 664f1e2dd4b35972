"""Seen and reached by everybody: captions on any footage, colours that repeat, keys for every action, narrow columns."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

import vtlab
from tests.drifts import Drifts
from tests.studio.browser import Hand
from vtlab.prompts import BoxPrompt, Prompts
from vtlab.session import Session
from vtlab.studio import Corrector, TrackPlayer, annotate

pytestmark = pytest.mark.browser
# Pixels of a part of a canvas, in CSS pixels from its upper left corner.
PART = """(canvas, [x, y, w, h]) => { const k = canvas.width / canvas.clientWidth;
  return [...canvas.getContext('2d').getImageData(x * k, y * k, w * k, h * k).data]; }"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, where widgets save by themselves."""
    monkeypatch.chdir(tmp_path)


def footage(shade: int, height: int = 240, width: int = 320):
    return vtlab.open_video(np.full((4, height, width, 3), shade, np.uint8))


def luminance(rgb: np.ndarray) -> np.ndarray:
    v = rgb / 255.0
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("shade", [0, 128, 255])
@pytest.mark.parametrize("widget", ["annotator", "player"])
def test_captions_reach_the_contrast_of_the_guidelines_on_any_footage(show, shade, widget):
    clip = footage(shade)
    boxes = [
        BoxPrompt((40.0, 40 + 60 * i, 300, 80 + 60 * i), object_id=i + 5, label="mm") for i in range(2)
    ]  # 5: dark blue
    if widget == "annotator":
        hand = Hand(show(annotate(clip, Prompts(boxes), autosave=False)))
        page, canvas = hand.page, hand.page.locator(".vt-canvas")
        r, (left, top) = canvas.bounding_box(), hand.at(40, 40)
        part = [left - r["x"] + 7, top - r["y"] - 15, 34, 12]
    else:
        shown = show(TrackPlayer(clip, vtlab.track(clip, Prompts(boxes), "identity", progress=False)))
        page, canvas = shown.page, shown.page.locator("canvas.vt-panel")
        page.wait_for_selector(".vt-player[data-frame='0']")
        k = canvas.bounding_box()["width"] / 320
        part = [40 * k + 7, 40 * k - 14, 30, 12]
    light = luminance(np.array(canvas.evaluate(PART, part)).reshape(-1, 4)[:, :3])
    words, ground = light.max(), np.median(light)
    assert (words + 0.05) / (ground + 0.05) >= 4.5


def test_objects_of_one_colour_differ_by_their_lines_and_numbers(show):
    boxes = [BoxPrompt((20.0, 30, 120, 200)), BoxPrompt((180.0, 30, 280, 200), object_id=15)]
    made = annotate(footage(60), Prompts(boxes), autosave=False)
    assert len({o["colour"] for o in made.view["objects"]}) == 1
    hand = Hand(show(made))
    hand.press("2")
    r, canvas = hand.page.locator(".vt-canvas").bounding_box(), hand.page.locator(".vt-canvas")
    kinds = []
    for x in (20, 180):  # along the left edges, off the handles
        left, top = hand.at(x, 60)
        part = [left - r["x"] - 1, top - r["y"], 2, 60]
        kinds.append(
            len(np.unique(np.array(canvas.evaluate(PART, part)).reshape(-1, 4)[:, :3] // 64, axis=0))
        )
    assert kinds[1] > kinds[0]
    swatches = [
        e.evaluate("e => getComputedStyle(e).backgroundImage") for e in hand.page.locator(".vt-swatch").all()
    ]
    assert swatches[0] != swatches[1]
    assert hand.shown.errors == []


def test_every_button_has_a_key_and_a_name_and_the_canvas_says_what_it_shows(show):
    session = Session(footage(90), Drifts)
    session.add([BoxPrompt((20, 30, 80, 90), label="cat"), BoxPrompt((120, 30, 180, 90), object_id=2)])
    made = Corrector(session)
    hand = Hand(show(made))
    canvas = hand.page.locator(".vt-canvas")
    assert canvas.get_attribute("role") == "img"
    assert canvas.get_attribute("aria-label") == "Frame 0 of 3; objects: 1 cat (selected), 2"
    names = [
        b.get_attribute("aria-label") or ""
        for b in hand.page.locator(".vt-tracking button, .vt-bar button").all()
    ]
    assert [n for n in names if not n.endswith(")")] == []
    hand.press("t")
    hand.shown.until(lambda: bool(made.view["tracking"]["total"]) and not made.view["tracking"]["running"])
    hand.press("ArrowRight", "ArrowRight", "Shift+S")
    assert session.object_ids == [1, 2, 3]
    hand.press("1", "Shift+A")
    hand.press("ArrowRight")
    assert made.view["objects"][0]["note"] == "gone"
    assert hand.shown.errors == []


@pytest.mark.parametrize("corrects", [False, True])
def test_the_picture_comes_first_in_a_narrow_column(show, corrects):
    clip = footage(90, height=320, width=180)  # portrait
    made = Corrector(Session(clip, Drifts)) if corrects else annotate(clip)
    hand = Hand(show(made, size=(390, 800)))
    top = hand.page.locator(".vt-annotator").bounding_box()["y"]
    r = hand.page.locator(".vt-canvas").bounding_box()
    assert r["y"] - top < 20
    assert r["x"] >= 0
    assert r["x"] + r["width"] <= 390
    assert r["height"] > 300
    assert hand.page.evaluate("document.documentElement.scrollWidth") <= 390
    hand.drag((40, 50), (120, 200))
    prompts = made.session.prompts if corrects else made.prompts
    assert prompts[0].xyxy == pytest.approx((40, 50, 120, 200), abs=1)
    assert hand.shown.errors == []


def names(hand, where: str) -> list[str]:
    """Names of the buttons that are seen."""
    return [b.get_attribute("aria-label") or "" for b in hand.page.locator(where).all() if b.is_visible()]


def test_every_button_of_the_list_and_beside_it_has_a_key(show):
    session = Session(footage(90), Drifts)
    session.add([BoxPrompt((20 + 60 * i, 30, 70 + 60 * i, 90), object_id=i + 1) for i in range(3)])
    made = Corrector(session, labels=["cat", "dog"])
    hand = Hand(show(made))

    def objects(key: str) -> list:
        return [o[key] for o in made.view["objects"]]

    hand.press("ArrowDown")
    assert made.view["selected"] == 2
    hand.press("ArrowUp", "ArrowUp")
    assert made.view["selected"] == 1
    hand.press("Shift+ArrowDown", "Shift+ArrowDown", "h")
    assert objects("shown") == [False] * 3
    assert [n for n in names(hand, ".vt-annotator button") if not n.endswith(")")] == []
    hand.press("h", "Shift+L")
    assert objects("locked") == [True] * 3
    hand.press("Shift+L", "Escape")
    assert objects("locked") == [False] * 3
    hand.press("l")
    hand.page.keyboard.type("bear")
    hand.page.keyboard.press("Enter")
    hand.shown.settle()
    assert sorted(objects("label")) == ["", "", "bear"]
    hand.press("Shift+C", "Shift+K", "Shift+G", "Shift+G", "Shift+D", "Shift+D", "u")
    assert made.view["work"]["by"] == "class"
    assert made.view["work"]["thumbnails"]
    assert made.view["tracking"]["follow"]
    assert hand.page.locator(".vt-tracking input[type=checkbox]").first.is_checked()
    other = hand.page.locator(".vt-tracking select")
    before = other.input_value()
    hand.press("Shift+O")
    assert other.input_value() != before
    hand.press("Shift+E")
    hand.page.keyboard.type("age")
    assert hand.page.locator(".vt-fact input").first.input_value() == "age"
    assert hand.shown.errors == []


def test_fields_keep_their_keys_and_give_the_focus_back(show):
    made = annotate(footage(90), Prompts(BoxPrompt((20, 30, 80, 90))))
    hand = Hand(show(made))
    hand.press("Shift+B")
    slider = hand.page.locator(".vt-look input").first
    hand.page.keyboard.press("ArrowRight")
    assert float(slider.input_value()) > 1
    assert made.view["frame"] == 0
    hand.page.keyboard.press("Escape")
    hand.page.keyboard.press("ArrowRight")
    hand.shown.settle()
    assert made.view["frame"] == 1
    hand.page.keyboard.press("j")
    hand.page.keyboard.type("3")
    hand.page.keyboard.press("Enter")
    hand.shown.settle()
    assert made.view["frame"] == 3
    assert hand.shown.errors == []


def test_the_players_buttons_have_keys(show):
    clip = footage(90)
    boxes = [BoxPrompt((5 + 25 * i, 30, 25 + 25 * i, 90), object_id=i + 1) for i in range(11)]
    shown = show(TrackPlayer(clip, vtlab.track(clip, Prompts(boxes), "identity", progress=False)))
    page = shown.page
    page.wait_for_selector(".vt-player[data-frame='0']")
    page.locator(".vt-player").focus()
    for key in ("2", "0", "Shift+Digit1"):
        page.keyboard.press(key)
    chips = page.locator(".vt-objects button")
    off = [i for i, c in enumerate(chips.all(), 1) if c.get_attribute("aria-pressed") == "false"]
    assert off == [2, 10, 11]
    page.keyboard.press("]")
    assert page.locator(".vt-player select").input_value() == "2"
    told = [b.get_attribute("title") for b in page.locator(".vt-player button").all() if b.is_visible()]
    assert [t for t in told if "(" not in t] == []
    assert shown.errors == []

"""Hands that are faster than the kernel, and kernels that are silent or gone: nothing that was drawn is lost."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install 'vtlab[notebook]'")

import vtlab
from tests.drifts import Drifts
from tests.studio.browser import Hand
from vtlab.prompts import BoxPrompt, PointPrompt, Prompts
from vtlab.session import Session
from vtlab.studio import Corrector, TrackPlayer, annotate
from vtlab.studio.annotator import Skeleton
from vtlab.testing.scenes import moving_square

pytestmark = pytest.mark.browser
# Drags and clicks one after the other: within one task of the browser, or with a pause of some milliseconds.
FAST = """async ({ strokes, pause }) => {
  const canvas = document.querySelector('.vt-canvas');
  const send = (type, [x, y]) => canvas.dispatchEvent(new PointerEvent(type, { clientX: x, clientY: y, pointerId: 1,
    bubbles: true, cancelable: true, isPrimary: true, pointerType: 'mouse' }));
  for (const [a, b] of strokes) {
    send('pointerdown', a); send('pointermove', b); send('pointerup', b);
    if (pause) await new Promise(r => setTimeout(r, pause));
  }
}"""
DRAWN = """canvas => canvas.getContext('2d')
  .getImageData(0, 0, canvas.width, canvas.height).data.reduce((n, v) => (n * 31 + v) | 0, 7)"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, where widgets save by themselves."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def clip():
    return vtlab.open_video(moving_square(n=6, height=240, width=320, side=60, step=12))


def fast(hand: Hand, *strokes, pause: float = 0) -> None:
    hand.page.mouse.move(*hand.at(*strokes[0][0]))
    places = [[hand.at(*a), hand.at(*b)] for a, b in strokes]
    hand.page.evaluate(FAST, {"strokes": places, "pause": pause})


def clicks(*points):
    return [(p, p) for p in points]


def slow(hand: Hand, latency: int) -> Hand:
    hand.page.evaluate("n => { window.latency = n; }", latency)
    return hand


@pytest.mark.parametrize("latency", [0, 300])
def test_six_points_in_no_time_are_six(show, clip, latency):
    made = annotate(clip, autosave=False, skeleton=Skeleton(("a", "b", "c")))
    hand = slow(Hand(show(made)), latency)
    hand.tool("points")
    six = [(20.0 + 40 * i, 30.0 + 20 * i) for i in range(6)]
    fast(hand, *clicks(*six))
    hand.shown.settle()
    (points,) = (p for p in made.prompts if isinstance(p, PointPrompt))
    assert np.array(points.points) == pytest.approx(np.array(six), abs=1)
    hand.tool("skeleton")
    fast(hand, *clicks(*six[:4]))  # the template has three nodes
    hand.shown.settle()
    assert [len(p.points) for p in made.prompts if p.kind == "skeleton"] == [3]
    assert hand.shown.errors == []


def test_six_clicks_in_no_time_are_six(show, clip):
    class Counts:
        """Answers with a square around the clicks."""

        def segment(self, image, *, box=None, points=None, positive=None):
            mask = np.zeros(image.shape[:2], bool)
            mask[20:40, 20:40] = True
            return mask, 0.9

    made = annotate(clip, autosave=False, segmenter=Counts())
    hand = slow(Hand(show(made)), 300)
    hand.tool("click")
    fast(hand, *clicks(*[(20 + 9 * i, 30) for i in range(6)]))
    hand.shown.settle()
    (figure,) = (f for f in made.view["figures"] if f["kind"] == "click")
    assert len(figure["points"]) == 6
    assert hand.shown.errors == []


@pytest.mark.parametrize(("latency", "corrects"), [(0, False), (300, False), (300, True)])
def test_four_boxes_in_a_tenth_of_a_second_are_four_objects(show, clip, latency, corrects):
    made = Corrector(Session(clip, Drifts), autosave=False) if corrects else annotate(clip, autosave=False)
    hand = slow(Hand(show(made)), latency)
    four = [((10 + 70 * i, 20), (60 + 70 * i, 90)) for i in range(4)]
    fast(hand, *four, pause=25)
    hand.page.evaluate("() => new Promise(requestAnimationFrame)")
    rows = hand.page.locator(".vt-row")
    assert rows.count() == 4  # drawn, whatever the kernel knows by now
    hand.shown.settle()
    prompts = made.session.prompts if corrects else made.prompts
    found = {p.object_id: p.xyxy for p in prompts}
    assert found == {i + 1: pytest.approx((*a, *b), abs=1) for i, (a, b) in enumerate(four)}
    hand.press("Control+z")  # one step is one box
    assert len(made.session.prompts if corrects else made.prompts) == 3
    assert hand.shown.errors == []


def test_what_is_drawn_is_seen_before_the_kernel_answers(show, clip):
    made = annotate(clip, autosave=False)
    hand = slow(Hand(show(made)), 1000)
    canvas = hand.page.locator(".vt-canvas")
    before = canvas.evaluate(DRAWN)
    fast(hand, ((40, 50), (100, 120)))
    hand.page.evaluate("() => new Promise(requestAnimationFrame)")
    seen = canvas.evaluate(DRAWN)
    assert hand.page.evaluate("window.waiting") > 0
    assert seen != before
    fast(hand, ((70, 85), (90, 95)))  # what has no answer yet can be moved
    hand.shown.settle()
    assert [p.xyxy for p in made.prompts] == [pytest.approx((60, 60, 120, 130), abs=1)]
    assert hand.shown.errors == []


def test_an_edit_is_of_the_frame_that_was_seen(show, clip):
    made = annotate(clip, autosave=False)
    hand = slow(Hand(show(made)), 1500)
    hand.page.locator(".vt-annotator").focus()
    hand.page.keyboard.press("ArrowRight")
    fast(hand, ((40, 50), (100, 120)))  # frame 1 is not there yet
    hand.shown.settle()
    hand.page.wait_for_selector(".vt-annotator[data-frame='1']")
    assert made.prompts.frames == (0,)
    assert made.view["frame"] == 1
    assert hand.shown.errors == []


def test_a_drag_on_empty_ground_makes_an_object_and_only_what_is_selected_moves(show, clip):
    session = Session(clip, Drifts)
    session.add([BoxPrompt((20, 20, 200, 200)), BoxPrompt((230, 30, 300, 100), object_id=2)])
    for made in (annotate(clip, session.prompts, autosave=False), Corrector(session, autosave=False)):
        hand = Hand(show(made))

        def boxes(made=made):
            prompts = made.session.prompts if isinstance(made, Corrector) else made.prompts
            return {p.object_id: p.xyxy for p in prompts}

        hand.drag((220, 120), (310, 220))
        assert boxes()[3] == pytest.approx((220, 120, 310, 220), abs=1)
        hand.drag((60, 60), (120, 120))  # begun inside object 1, which isn't selected
        assert boxes()[4] == pytest.approx((60, 60, 120, 120), abs=1)
        assert boxes()[1] == (20, 20, 200, 200)
        hand.click(150, 150)
        assert made.view["selected"] == 1
        hand.drag((150, 150), (160, 155))
        assert boxes()[1] == pytest.approx((30, 25, 210, 205), abs=1)
        hand.click(90, 90)  # the smallest one there
        assert made.view["selected"] == 4
        hand.page.keyboard.down("Alt")
        hand.drag((230, 130), (300, 210))  # the selected one anew
        hand.page.keyboard.up("Alt")
        assert boxes()[4] == pytest.approx((230, 130, 300, 210), abs=1)
        hand.press("h")
        hand.drag((10, 210), (60, 235))  # nothing is drawn over a figure that is hidden
        assert boxes()[4] == pytest.approx((230, 130, 300, 210), abs=1)
        assert len(boxes()) == 5
        assert hand.shown.errors == []


def test_a_silent_kernel_is_said_and_edits_wait_for_it(show, clip):
    made = annotate(clip, autosave=False)
    hand = Hand(show(made))
    notice = hand.page.locator(".vt-notice")
    assert not notice.is_visible()
    hand.page.evaluate("window.gone = true")
    notice.wait_for(state="visible", timeout=6000)  # though nothing was done
    assert "has not answered" in notice.text_content()
    fast(hand, ((10, 20), (60, 90)), ((100, 20), (160, 90)))
    hand.page.wait_for_function(
        "/2 edits are kept here/.test(document.querySelector('.vt-notice').textContent)"
    )
    assert made.prompts == Prompts()
    hand.page.get_by_role("button", name="Copy the edits").click()
    code = hand.page.get_by_role("textbox", name="Edits that have no answer").input_value()
    hand.page.evaluate("window.gone = false")
    notice.wait_for(state="hidden", timeout=20_000)
    hand.shown.until(lambda: len(made.prompts) == 2)
    other = annotate(clip, autosave=False)
    exec(code.replace("...", "other"), {"other": other})
    assert other.prompts == made.prompts
    assert hand.shown.errors == []


def test_a_lost_message_is_sent_again_and_none_is_carried_out_twice(show, clip):
    made = annotate(clip, autosave=False)
    hand = Hand(show(made))
    hand.tool("points")
    fast(hand, *clicks((20, 20)))
    hand.shown.settle()
    hand.page.evaluate("window.gone = true")
    fast(hand, *clicks((40, 20)))
    hand.page.evaluate("window.gone = false")
    fast(hand, *clicks((60, 20)))
    hand.shown.until(lambda: len(made.prompts) == 1 and len(made.prompts[0].points) == 3)
    assert [x for x, _ in made.prompts[0].points] == pytest.approx([20, 40, 60], abs=1)
    last = hand.page.evaluate("window.sent.findLast(m => m.edit?.do === 'add_point')")
    for message in (last, {**last, "n": last["n"] + 5}):  # again; and one whose forerunners are missing
        made._hear(message)
    assert len(made.prompts[0].points) == 3
    assert hand.shown.errors == []


def test_two_views_that_make_an_object_at_once_make_two(clip):
    made = annotate(clip, autosave=False)
    box = {"do": "box", "fresh": True, "at": {"frame": 0, "object_id": 2}}
    later = {"do": "box", "xyxy": [61, 60, 91, 90], "at": {"frame": 0, "object_id": 2}}
    for view, n, edit in (
        ("a", 1, box | {"xyxy": [5, 5, 50, 50]}),
        ("b", 1, box | {"xyxy": [60, 60, 90, 90]}),
        ("b", 2, later),  # of the object that this view took for number 2
        ("a", 2, {"do": "label", "object_id": 2, "text": "cat"}),
    ):
        made._hear({"link": view, "n": n, "first": 1, "seen": 0, "edit": edit})
    assert {p.object_id: p.xyxy for p in made.prompts} == {2: (5, 5, 50, 50), 3: (61, 60, 91, 90)}
    assert made.prompts.labels == {2: "cat"}


def test_what_a_closed_tab_left_is_carried_out_by_the_next_one(show, clip):
    made = annotate(clip)
    first = Hand(show(made))
    first.tool("points")
    fast(first, *clicks((20, 20)))
    first.shown.settle()
    first.page.evaluate("window.gone = true")
    fast(first, *clicks((40, 20), (60, 20)))
    first.page.close()  # without a word
    second = Hand(show(made, beside=first.shown))
    second.shown.until(lambda: len(made.prompts[0].points) == 3)
    assert "2 edits" in second.page.text_content(".vt-status")
    second.page.wait_for_function("localStorage.length === 0")
    assert second.shown.errors == []


def test_what_a_dead_kernel_did_not_answer_goes_to_the_next_one_once(show, clip):
    made = annotate(clip)
    hand = Hand(show(made))
    hand.drag((10, 20), (60, 90))
    hand.page.evaluate("window.gone = true")
    strokes = ((100, 20), (160, 90)), ((200, 20), (260, 90))
    fast(hand, *strokes)
    hand.press("Control+z")  # what the dead kernel's history was nobody knows
    made.act({"do": "box", "xyxy": [100, 20, 160, 90], "at": {"frame": 0, "object_id": 2}})
    (drawn,) = [m["edit"] for m in hand.page.evaluate("window.sent") if m.get("n") == 2]
    made.act({"do": "box", "xyxy": drawn["xyxy"], "at": {"frame": 0, "object_id": 2}})  # done, never answered
    hand.page.evaluate("window.cleanup()")  # the cell is run again, in another kernel
    again = annotate(clip)
    assert len(again.prompts) == 2
    second = Hand(show(again, beside=hand.shown))
    second.shown.until(lambda: len(again.prompts) == 3)
    assert sorted(p.xyxy[0] for p in again.prompts) == pytest.approx([10, 100, 200], abs=1)
    notice = second.page.locator(".vt-notice")
    notice.wait_for(state="visible", timeout=20_000)
    assert "can't be repeated" in notice.text_content()
    notice.get_by_role("button", name="Close").click()
    assert not notice.is_visible()
    assert second.shown.errors == []


def test_a_silent_kernel_is_said_in_the_player_and_its_frames_are_asked_for_again(show, clip):
    tracks = vtlab.track(clip, BoxPrompt((20, 20, 60, 60)), "identity")
    shown = show(TrackPlayer(clip, tracks))
    page = shown.page
    page.wait_for_selector(".vt-player[data-frame='0']")
    page.evaluate("window.gone = true")
    page.locator(".vt-player").focus()
    page.keyboard.press("End")
    page.locator(".vt-notice").wait_for(state="visible", timeout=6000)
    assert "has not answered" in page.text_content(".vt-notice")
    page.evaluate("window.gone = false")
    page.wait_for_selector(".vt-player[data-frame='5']", timeout=20_000)
    assert not page.locator(".vt-notice").is_visible()
    assert shown.errors == []
